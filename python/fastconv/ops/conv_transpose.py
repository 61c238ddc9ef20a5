"""Transposed convolution, also called fractionally strided: each input cell adds its multiple of
the kernel to the result, at ``stride`` times its place.

It is the gradient of a convolution at its input as an operation of its own: the weight is that
convolution's, (in_channels, out_channels/groups, ...), and its backward pass is a convolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastconv import _core
from fastconv.config import chosen_algorithm, float32_precision
from fastconv.ops.transposed import backward_input, backward_weight, finished, forward
from fastconv.ops.types import Activation, Array, ArrayLike, MemoryFormat, Size


def conv_transpose2d(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
    *,
    activation: Activation | None = None,
    algorithm: str | None = "auto",
    memory_format: MemoryFormat | None = None,
    out: Array | None = None,
) -> Array:
    """Transposed 2-D convolution: ``conv2d_backward_input`` with bias and activation.

    Args:
        x: input (N, C, H, W), float32 or float64; N may be 0.
        weight: (C, K/groups, R, S), dtype of ``x``.
        bias: (K,) or None.
        stride: distance of the windows in the result, an integer or a pair, at least 1.
        padding: rows and columns taken off the result at both ends.
        output_padding: rows and columns added at its end; smaller than the stride or the dilation.
        groups: channels are convolved in this many independent groups; divides C and K.
        dilation: distance between the kernel's taps, an integer or a pair, at least 1.
        activation, algorithm, memory_format, out: as in ``conv2d``.

    Returns:
        (N, K, H', W') with H' = (H - 1) * stride - 2 * padding + dilation * (R - 1) + 1 +
        output_padding and W' alike.

    Raises:
        ValueError, TypeError, MemoryError: as ``conv2d``.

    Dumoulin, Visin, A guide to convolution arithmetic for deep learning (2016), section 4.
    """
    window = (stride, padding, output_padding, groups, dilation)
    return forward(2, x, weight, bias, window, activation, algorithm, memory_format, out)


def conv_transpose2d_backward_input(
    grad: ArrayLike,
    weight: ArrayLike,
    input_shape: Sequence[int],
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
    *,
    algorithm: str | None = "auto",
    memory_format: MemoryFormat | None = None,
    out: Array | None = None,
) -> Array:
    """Gradient of ``conv_transpose2d`` at its input, a convolution of ``grad``.

    Args:
        grad: gradient at the output before any activation, (N, K, H', W').
        weight: (C, K/groups, R, S), dtype of ``grad``.
        input_shape: (N, C, H, W) of the input.
        stride, padding, output_padding, groups, dilation, algorithm: as in ``conv_transpose2d``.
        memory_format, out: as in ``conv2d_backward_input``.

    Returns:
        (N, C, H, W).

    Raises:
        ValueError, TypeError, MemoryError: as ``conv2d``.
    """
    window = (stride, padding, output_padding, groups, dilation)
    return backward_input(2, grad, weight, input_shape, window, algorithm, memory_format, out)


def conv_transpose2d_backward_weight(
    grad: ArrayLike,
    x: ArrayLike,
    weight_shape: Sequence[int],
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
    *,
    bias: bool = True,
    algorithm: str | None = "auto",
) -> tuple[Array, Array | None]:
    """Gradients of ``conv_transpose2d`` at its weight and bias.

    Args:
        grad: gradient at the output before any activation, (N, K, H', W').
        x: the input, (N, C, H, W), dtype of ``grad``.
        weight_shape: (C, K/groups, R, S).
        stride, padding, output_padding, groups, dilation, algorithm: as in ``conv_transpose2d``.
        bias: whether the gradient of the bias is wanted.

    Returns:
        dw (C, K/groups, R, S), and db (K,) or None. Zeros for an empty batch.

    Raises:
        ValueError, TypeError, MemoryError: as ``conv2d``.
    """
    window = (stride, padding, output_padding, groups, dilation)
    return backward_weight(2, grad, x, weight_shape, window, bias, algorithm)


def conv_transpose_problem(
    x_shape: Sequence[int],
    weight_shape: Sequence[int],
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
    *,
    spatial: int = 2,
) -> _core.ConvProblem:
    """Check shapes and parameters once: the convolution that this one is the transpose of, whose
    output is ``x`` and whose input the result, with ``spatial`` dimensions."""
    return _core.conv_transpose_problem(
        spatial, x_shape, weight_shape, stride, padding, output_padding, groups, dilation
    )


def conv_transpose_forward(
    problem: _core.ConvProblem,
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    activation: Activation | None = None,
    memory_format: MemoryFormat | None = None,
) -> Array:
    """``conv_transpose2d`` for a checked problem, of any number of spatial dimensions."""

    def run(bias: Any, activation: Any) -> Any:
        return _core.conv_transpose_forward(
            problem, x, weight, bias, activation,
            chosen_algorithm(None), memory_format, float32_precision(),
        )  # fmt: skip

    return finished(f"conv_transpose{len(problem.stride)}d", run, x, bias, activation)


def conv_transpose_backward_input(
    problem: _core.ConvProblem, grad: ArrayLike, weight: ArrayLike
) -> Array:
    """``conv_transpose2d_backward_input`` for a checked problem."""
    return _core.conv_transpose_backward_input(
        problem, grad, weight, chosen_algorithm(None), float32_precision()
    )


def conv_transpose_backward_weight(
    problem: _core.ConvProblem, grad: ArrayLike, x: ArrayLike
) -> Array:
    """``conv_transpose2d_backward_weight`` for a checked problem: dw alone."""
    return _core.conv_transpose_backward_weight(
        problem, grad, x, chosen_algorithm(None), float32_precision()
    )
