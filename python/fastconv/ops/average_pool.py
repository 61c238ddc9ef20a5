"""Average pooling in one to three dimensions."""

from __future__ import annotations

from collections.abc import Sequence

from fastconv import _core
from fastconv.ops.types import Array, ArrayLike, MemoryFormat, Size


def avg_pool2d(
    x: ArrayLike,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """Mean of every window.

    Args:
        x: (N, C, H, W), float32 or float64; N may be 0.
        kernel_size: an integer or a pair, at least 1.
        stride: an integer or a pair; None: ``kernel_size``.
        padding: an integer or a pair, at most half of ``kernel_size``; its cells are 0.
        ceil_mode: round the output size up; the last window must still begin inside the input or
            the padding before it. Cells beyond the padding never count.
        count_include_pad: whether cells of the padding count.
        divisor_override: what every sum is divided by, not 0; None: the cells that count.

    Returns:
        (N, C, H', W'); it lies as ``x`` does.

    Raises:
        ValueError: shapes or values do not fit.
        TypeError: not an array, another dtype, or parameters of another type.
        MemoryError: the result cannot be held.
    """
    return _core.avg_pool(
        2, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def avg_pool2d_backward(
    grad: ArrayLike,
    input_shape: Sequence[int],
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    memory_format: MemoryFormat | None = None,
) -> Array:
    """Gradient of ``avg_pool2d``: each cell gets what the windows that hold it pass on.

    Args:
        grad: gradient at the output, (N, C, H', W'), float32 or float64.
        input_shape: (N, C, H, W) of the input.
        kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override: as
            ``avg_pool2d`` had them.
        memory_format: how the result lies; None: as ``grad`` does.

    Returns:
        (N, C, H, W).

    Raises:
        ValueError, TypeError, MemoryError: as ``avg_pool2d``.
    """
    return _core.avg_pool_backward(
        2, grad, input_shape, kernel_size, stride, padding,
        ceil_mode, count_include_pad, divisor_override, memory_format,
    )  # fmt: skip


def avg_pool1d(
    x: ArrayLike,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """``avg_pool2d`` of x (N, C, W)."""
    return _core.avg_pool(
        1, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def avg_pool1d_backward(
    grad: ArrayLike,
    input_shape: Sequence[int],
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    memory_format: MemoryFormat | None = None,
) -> Array:
    """``avg_pool2d_backward`` of x (N, C, W)."""
    return _core.avg_pool_backward(
        1, grad, input_shape, kernel_size, stride, padding,
        ceil_mode, count_include_pad, divisor_override, memory_format,
    )  # fmt: skip


def avg_pool3d(
    x: ArrayLike,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """``avg_pool2d`` of x (N, C, D, H, W)."""
    return _core.avg_pool(
        3, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def avg_pool3d_backward(
    grad: ArrayLike,
    input_shape: Sequence[int],
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    memory_format: MemoryFormat | None = None,
) -> Array:
    """``avg_pool2d_backward`` of x (N, C, D, H, W)."""
    return _core.avg_pool_backward(
        3, grad, input_shape, kernel_size, stride, padding,
        ceil_mode, count_include_pad, divisor_override, memory_format,
    )  # fmt: skip
