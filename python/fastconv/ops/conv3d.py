"""3-D convolution: ``conv2d`` for arrays (N, C, D, H, W), weights (K, C/groups, T, R, S)."""

from __future__ import annotations

from collections.abc import Sequence

from fastconv import _core
from fastconv.config import chosen_algorithm, float32_precision
from fastconv.ops.types import Activation, Array, ArrayLike, MemoryFormat, Padding, Size


def conv3d(
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
    """3-D convolution with fused bias and activation.

    Args:
        x: input (N, C, D, H, W), float32 or float64; N may be 0.
        weight: (K, C/groups, T, R, S), dtype of ``x``.
        bias: (K,) or None.
        stride, padding, dilation: integers or triples (depth, vertical, horizontal); padding also a
            pair (before, after) for each, "valid" or "same".
        groups, activation, algorithm, memory_format, out: as in ``conv2d``.

    Returns:
        (N, K, D', H', W'), each extent as ``conv2d``'s.

    Raises:
        ValueError, TypeError, MemoryError: as ``conv2d``.
    """
    return _core.conv(
        3, x, weight, bias, stride, padding, dilation, groups,
        activation, chosen_algorithm(algorithm), memory_format, out, float32_precision(),
    )  # fmt: skip


def conv3d_backward_input(
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
    """Gradient of ``conv3d`` at its input.

    Args:
        grad: gradient at the output before any activation, (N, K, D', H', W').
        weight: (K, C/groups, T, R, S), dtype of ``grad``.
        input_shape: (N, C, D, H, W) of the input.
        stride, padding, dilation, groups, algorithm, out: as in ``conv3d``.
        memory_format: how the result lies; None: as ``grad`` does.

    Returns:
        (N, C, D, H, W).

    Raises:
        ValueError, TypeError, MemoryError: as ``conv2d``.
    """
    return _core.conv_input_gradient(
        3, grad, weight, input_shape, stride, padding, dilation, groups,
        chosen_algorithm(algorithm), memory_format, out, float32_precision(),
    )  # fmt: skip


def conv3d_backward_weight(
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
    """Gradients of ``conv3d`` at its weight and bias.

    Args:
        grad: gradient at the output before any activation, (N, K, D', H', W').
        x: the input, (N, C, D, H, W), dtype of ``grad``.
        weight_shape: (K, C/groups, T, R, S).
        stride, padding, dilation, groups, algorithm: as in ``conv3d``.
        bias: whether the gradient of the bias is wanted.

    Returns:
        dw (K, C/groups, T, R, S), and db (K,) or None. Zeros for an empty batch.

    Raises:
        ValueError, TypeError, MemoryError: as ``conv2d``.
    """
    return _core.conv_weight_gradient(
        3, grad, x, weight_shape, stride, padding, dilation, groups, bias,
        chosen_algorithm(algorithm), float32_precision(),
    )  # fmt: skip
