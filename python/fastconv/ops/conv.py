"""Convolution, stated as deep learning does: the cross-correlation

y[n, k, i, j] = bias[k] + sum over c, r, s of
                weight[k, c, r, s] * x[n, c, i * stride + r * dilation - padding, j * ...]

with x zero outside its bounds. ``conv2d`` and its two backward functions (``conv1d`` and ``conv3d``
have their own files) check shapes on every call; ``conv_problem`` checks once, and
``conv_forward``, ``conv_backward_input`` and ``conv_backward_weight`` take its result, of any
number of spatial dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastconv import _core
from fastconv.config import chosen_algorithm, float32_precision
from fastconv.ops.types import Activation, Array, ArrayLike, MemoryFormat, Padding, Size


def conv2d(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
    *,
    activation: Activation | None = None,
    algorithm: str | None = "auto",
    memory_format: MemoryFormat | None = None,
    out: Array | None = None,
) -> Array:
    """2-D convolution with fused bias and activation.

    Args:
        x: input (N, C, H, W), float32 or float64; N may be 0.
        weight: (K, C/groups, R, S), dtype of ``x``.
        bias: (K,) or None.
        stride: an integer or a pair (vertical, horizontal), at least 1.
        padding: zeros around the input: an integer, a pair, ((top, bottom), (left, right)), "valid"
            (none) or "same" (the output is as large as the input; stride 1 only, an odd cell goes
            to the end).
        dilation: distance between the kernel's taps, an integer or a pair, at least 1.
        groups: channels are convolved in this many independent groups; divides C and K.
        activation: applied to the result: None, "relu", "sigmoid" or "tanh".
        algorithm: "auto" (or None), which ``with fastconv.algorithm(...)`` may narrow; "direct";
            "winograd" (Winograd 1980; Lavin, Gray 2016; kernels of 2x2 to 5x5, stride and dilation
            1), which "auto" takes where fewer products pay for the transforms, also for strided
            kernels that become such ones with residues as channels. Its relative L2
            error is at most 12 epsilon of the dtype, the direct algorithms' 3, and an infinity or
            NaN spreads over the 2x2 to 4x4 outputs of its tile (times the stride, each way, in the
            gradient of a strided convolution's input).
        memory_format: how the result lies, "contiguous" or "channels_last"; None: as ``x`` does.
        out: the array to write to: dense, of the result's shape and dtype, apart from the inputs.

    Returns:
        (N, K, H', W') with H' = (H + top + bottom - dilation * (R - 1) - 1) // stride + 1 and W'
        alike; ``out`` where it was given.

    Raises:
        ValueError: shapes or values do not fit, nothing implements ``algorithm`` for this problem,
            or ``out`` is read-only, not dense or overlaps an input.
        TypeError: not arrays, another or mixed dtypes, or parameters of another type.
        MemoryError: the result cannot be held.
    """
    return _core.conv(
        2, x, weight, bias, stride, padding, dilation, groups,
        activation, chosen_algorithm(algorithm), memory_format, out, float32_precision(),
    )  # fmt: skip


def conv2d_backward_input(
    grad: ArrayLike,
    weight: ArrayLike,
    input_shape: Sequence[int],
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
    *,
    algorithm: str | None = "auto",
    memory_format: MemoryFormat | None = None,
    out: Array | None = None,
) -> Array:
    """Gradient of ``conv2d`` at its input.

    Args:
        grad: gradient at the output before any activation, (N, K, H', W').
        weight: (K, C/groups, R, S), dtype of ``grad``.
        input_shape: (N, C, H, W) of the input.
        stride, padding, dilation, groups, algorithm, out: as in ``conv2d``.
        memory_format: how the result lies; None: as ``grad`` does.

    Returns:
        (N, C, H, W).

    Raises:
        ValueError, TypeError, MemoryError: as ``conv2d``.
    """
    return _core.conv_input_gradient(
        2, grad, weight, input_shape, stride, padding, dilation, groups,
        chosen_algorithm(algorithm), memory_format, out, float32_precision(),
    )  # fmt: skip


def conv2d_backward_weight(
    grad: ArrayLike,
    x: ArrayLike,
    weight_shape: Sequence[int],
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
    *,
    bias: bool = True,
    algorithm: str | None = "auto",
) -> tuple[Array, Array | None]:
    """Gradients of ``conv2d`` at its weight and bias.

    Args:
        grad: gradient at the output before any activation, (N, K, H', W').
        x: the input, (N, C, H, W), dtype of ``grad``.
        weight_shape: (K, C/groups, R, S).
        stride, padding, dilation, groups, algorithm: as in ``conv2d``.
        bias: whether the gradient of the bias is wanted.

    Returns:
        dw (K, C/groups, R, S), and db (K,) or None. Zeros for an empty batch.

    Raises:
        ValueError, TypeError, MemoryError: as ``conv2d``.
    """
    return _core.conv_weight_gradient(
        2, grad, x, weight_shape, stride, padding, dilation, groups, bias,
        chosen_algorithm(algorithm), float32_precision(),
    )  # fmt: skip


def conv_problem(
    x_shape: Sequence[int],
    weight_shape: Sequence[int],
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
    *,
    operation: str = "conv2d",
) -> _core.ConvProblem:
    """Check the shapes and parameters of a convolution once, for all its passes.

    Args:
        x_shape: (N, C, H, W).
        weight_shape: (K, C/groups, R, S).
        stride, padding, dilation, groups: as in ``conv2d``.
        operation: the name that error messages begin with; "conv1d" and "conv3d" expect one and
            three spatial dimensions.

    Returns:
        The problem, whose text (``str``) is its descriptor, such as "n64c3h32k16r5p2".

    Raises:
        ValueError: shapes or values do not fit.
        TypeError: something is not an integer.
    """
    return _core.conv_problem(x_shape, weight_shape, stride, padding, dilation, groups, operation)


def conv_forward(
    problem: _core.ConvProblem,
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    activation: Activation | None = None,
    algorithm: str | None = None,
    memory_format: MemoryFormat | None = None,
    out: Array | None = None,
) -> Array:
    """``conv2d`` for a checked problem: arguments, result and errors are the same."""
    return _core.conv_forward(
        problem,
        x,
        weight,
        bias,
        activation,
        chosen_algorithm(algorithm),
        memory_format,
        out,
        float32_precision(),
    )


def conv_backward_input(
    problem: _core.ConvProblem,
    grad: ArrayLike,
    weight: ArrayLike,
    algorithm: str | None = None,
    memory_format: MemoryFormat | None = None,
    out: Array | None = None,
) -> Array:
    """``conv2d_backward_input`` for a checked problem."""
    return _core.conv_backward_input(
        problem,
        grad,
        weight,
        chosen_algorithm(algorithm),
        memory_format,
        out,
        float32_precision(),
    )


def conv_backward_weight(
    problem: _core.ConvProblem,
    grad: ArrayLike,
    x: ArrayLike,
    bias: bool = True,
    algorithm: str | None = None,
) -> tuple[Array, Array | None]:
    """``conv2d_backward_weight`` for a checked problem: dw, and db or None."""
    return _core.conv_backward_weight(
        problem, grad, x, bias, chosen_algorithm(algorithm), float32_precision()
    )
