"""Max pooling in one and three dimensions: ``max_pool2d`` of other arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, overload

from fastconv import _core
from fastconv.ops.types import Array, ArrayLike, Size


@overload
def max_pool1d(
    x: ArrayLike,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    *,
    return_indices: Literal[True] = True,
) -> tuple[Array, Array]: ...
@overload
def max_pool1d(
    x: ArrayLike,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    *,
    return_indices: Literal[False],
) -> Array: ...
def max_pool1d(
    x: ArrayLike,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    *,
    return_indices: bool = True,
) -> tuple[Array, Array] | Array:
    """``max_pool2d`` of x (N, C, W); indices are flat positions in the row of the input."""
    y, indices = _core.max_pool(
        1, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )
    return y if indices is None else (y, indices)


def max_pool1d_backward(
    grad: ArrayLike,
    indices: ArrayLike,
    input_shape: Sequence[int],
    kernel_size: Size | None = None,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Array:
    """``max_pool2d_backward`` of x (N, C, W)."""
    return _core.max_pool_backward(
        1, grad, indices, input_shape, kernel_size, stride, padding, dilation, ceil_mode
    )


@overload
def max_pool3d(
    x: ArrayLike,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    *,
    return_indices: Literal[True] = True,
) -> tuple[Array, Array]: ...
@overload
def max_pool3d(
    x: ArrayLike,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    *,
    return_indices: Literal[False],
) -> Array: ...
def max_pool3d(
    x: ArrayLike,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    *,
    return_indices: bool = True,
) -> tuple[Array, Array] | Array:
    """``max_pool2d`` of x (N, C, D, H, W); indices are flat positions in D*H*W."""
    y, indices = _core.max_pool(
        3, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )
    return y if indices is None else (y, indices)


def max_pool3d_backward(
    grad: ArrayLike,
    indices: ArrayLike,
    input_shape: Sequence[int],
    kernel_size: Size | None = None,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Array:
    """``max_pool2d_backward`` of x (N, C, D, H, W)."""
    return _core.max_pool_backward(
        3, grad, indices, input_shape, kernel_size, stride, padding, dilation, ceil_mode
    )
