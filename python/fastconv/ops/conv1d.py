"""1-D convolution: ``conv2d`` for arrays (N, C, W), weights (K, C/groups, S)."""

from __future__ import annotations

from collections.abc import Sequence

from fastconv import _core
from fastconv.config import chosen_algorithm, float32_precision
from fastconv.ops.types import Activation, Array, ArrayLike, MemoryFormat, Padding, Size


def conv1d(
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
    """1-D convolution with fused bias and activation.

    Args:
        x: input (N, C, W), float32 or float64; N may be 0.
        weight: (K, C/groups, S), dtype of ``x``.
        bias: (K,) or None.
        stride, padding, dilation: integers or tuples of one; padding also ((before, after),),
            "valid" or "same".
        groups, activation, algorithm, memory_format, out: as in ``conv2d``.

    Returns:
        (N, K, W'), each extent as ``conv2d``'s.

    Raises:
        ValueError, TypeError, MemoryError: as ``conv2d``.
    """
    return _core.conv(
        1, x, weight, bias, stride, padding, dilation, groups,
        activation, chosen_algorithm(algorithm), memory_format, out, float32_precision(),
    )  # fmt: skip


def conv1d_backward_input(
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
    """Gradient of ``conv1d`` at its input.

    Args:
        grad: gradient at the output before any activation, (N, K, W').
        weight: (K, C/groups, S), dtype of ``grad``.
        input_shape: (N, C, W) of the input.
        stride, padding, dilation, groups, algorithm, out: as in ``conv1d``.
        memory_format: how the result lies; None: as ``grad`` does.

    Returns:
        (N, C, W).

    Raises:
        ValueError, TypeError, MemoryError: as ``conv2d``.
    """
    return _core.conv_input_gradient(
        1, grad, weight, input_shape, stride, padding, dilation, groups,
        chosen_algorithm(algorithm), memory_format, out, float32_precision(),
    )  # fmt: skip


def conv1d_backward_weight(
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
    """Gradients of ``conv1d`` at its weight and bias.

    Args:
        grad: gradient at the output before any activation, (N, K, W').
        x: the input, (N, C, W), dtype of ``grad``.
        weight_shape: (K, C/groups, S).
        stride, padding, dilation, groups, algorithm: as in ``conv1d``.
        bias: whether the gradient of the bias is wanted.

    Returns:
        dw (K, C/groups, S), and db (K,) or None. Zeros for an empty batch.

    Raises:
        ValueError, TypeError, MemoryError: as ``conv2d``.
    """
    return _core.conv_weight_gradient(
        1, grad, x, weight_shape, stride, padding, dilation, groups, bias,
        chosen_algorithm(algorithm), float32_precision(),
    )  # fmt: skip
