"""Pooling over windows that cover the input, as many as the output has cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, overload

from fastconv import _core
from fastconv.ops.types import Array, ArrayLike, MemoryFormat, OutputSize


def adaptive_avg_pool2d(x: ArrayLike, output_size: OutputSize) -> Array:
    """Means of windows that cover x, ``output_size`` of them.

    Window o of a dimension holds the cells from floor(o * size / count) to
    ceil((o + 1) * size / count); a count of 1 is the mean of all.

    Args:
        x: (N, C, H, W), float32 or float64; N may be 0.
        output_size: an integer or a pair; None, also in the pair, keeps the input's extent.

    Returns:
        (N, C, *output_size); it lies as ``x`` does.

    Raises:
        ValueError: shapes or values do not fit.
        TypeError: not an array, another dtype, or sizes of another type.
        MemoryError: the result cannot be held.
    """
    return _core.adaptive_avg_pool(2, x, output_size)


def adaptive_avg_pool2d_backward(
    grad: ArrayLike,
    input_shape: Sequence[int],
    *,
    memory_format: MemoryFormat | None = None,
) -> Array:
    """Gradient of ``adaptive_avg_pool2d``: each cell gets what its windows pass on.

    Args:
        grad: gradient at the output, (N, C, H', W'), float32 or float64.
        input_shape: (N, C, H, W) of the input.
        memory_format: how the result lies; None: as ``grad`` does.

    Returns:
        (N, C, H, W).

    Raises:
        ValueError, TypeError, MemoryError: as ``adaptive_avg_pool2d``.
    """
    return _core.adaptive_avg_pool_backward(2, grad, input_shape, memory_format)


def adaptive_avg_pool1d(x: ArrayLike, output_size: OutputSize) -> Array:
    """``adaptive_avg_pool2d`` of x (N, C, W)."""
    return _core.adaptive_avg_pool(1, x, output_size)


def adaptive_avg_pool1d_backward(
    grad: ArrayLike,
    input_shape: Sequence[int],
    *,
    memory_format: MemoryFormat | None = None,
) -> Array:
    """``adaptive_avg_pool2d_backward`` of x (N, C, W)."""
    return _core.adaptive_avg_pool_backward(1, grad, input_shape, memory_format)


def adaptive_avg_pool3d(x: ArrayLike, output_size: OutputSize) -> Array:
    """``adaptive_avg_pool2d`` of x (N, C, D, H, W)."""
    return _core.adaptive_avg_pool(3, x, output_size)


def adaptive_avg_pool3d_backward(
    grad: ArrayLike,
    input_shape: Sequence[int],
    *,
    memory_format: MemoryFormat | None = None,
) -> Array:
    """``adaptive_avg_pool2d_backward`` of x (N, C, D, H, W)."""
    return _core.adaptive_avg_pool_backward(3, grad, input_shape, memory_format)


@overload
def adaptive_max_pool2d(
    x: ArrayLike, output_size: OutputSize, *, return_indices: Literal[True] = True
) -> tuple[Array, Array]: ...
@overload
def adaptive_max_pool2d(
    x: ArrayLike, output_size: OutputSize, *, return_indices: Literal[False]
) -> Array: ...
def adaptive_max_pool2d(
    x: ArrayLike, output_size: OutputSize, *, return_indices: bool = True
) -> tuple[Array, Array] | Array:
    """Largest value of windows that cover x, and where it was.

    The windows are ``adaptive_avg_pool2d``'s, the winners ``max_pool2d``'s.

    Args:
        x: (N, C, H, W), float32 or float64; N may be 0.
        output_size: an integer or a pair; None, also in the pair, keeps the input's extent.
        return_indices: whether positions are wanted.

    Returns:
        y (N, C, *output_size), and indices as those of ``max_pool2d``; ``y`` alone where
        ``return_indices`` is false. Both lie as ``x`` does.

    Raises:
        ValueError, TypeError, MemoryError: as ``adaptive_avg_pool2d``.
    """
    y, indices = _core.adaptive_max_pool(2, x, output_size, return_indices)
    return y if indices is None else (y, indices)


@overload
def adaptive_max_pool1d(
    x: ArrayLike, output_size: OutputSize, *, return_indices: Literal[True] = True
) -> tuple[Array, Array]: ...
@overload
def adaptive_max_pool1d(
    x: ArrayLike, output_size: OutputSize, *, return_indices: Literal[False]
) -> Array: ...
def adaptive_max_pool1d(
    x: ArrayLike, output_size: OutputSize, *, return_indices: bool = True
) -> tuple[Array, Array] | Array:
    """``adaptive_max_pool2d`` of x (N, C, W)."""
    y, indices = _core.adaptive_max_pool(1, x, output_size, return_indices)
    return y if indices is None else (y, indices)


@overload
def adaptive_max_pool3d(
    x: ArrayLike, output_size: OutputSize, *, return_indices: Literal[True] = True
) -> tuple[Array, Array]: ...
@overload
def adaptive_max_pool3d(
    x: ArrayLike, output_size: OutputSize, *, return_indices: Literal[False]
) -> Array: ...
def adaptive_max_pool3d(
    x: ArrayLike, output_size: OutputSize, *, return_indices: bool = True
) -> tuple[Array, Array] | Array:
    """``adaptive_max_pool2d`` of x (N, C, D, H, W)."""
    y, indices = _core.adaptive_max_pool(3, x, output_size, return_indices)
    return y if indices is None else (y, indices)


def adaptive_max_pool2d_backward(
    grad: ArrayLike, indices: ArrayLike, input_shape: Sequence[int]
) -> Array:
    """Gradient of ``adaptive_max_pool2d``: every value of ``grad`` is added where its maximum was.

    Args:
        grad: gradient at the output, (N, C, H', W'), float32 or float64.
        indices: int64, the shape of ``grad``, as ``adaptive_max_pool2d`` returned them.
        input_shape: (N, C, H, W) of the input.

    Returns:
        (N, C, H, W); it lies as ``grad`` does.

    Raises:
        ValueError, TypeError: as ``max_pool2d_backward``.
    """
    return _core.adaptive_max_pool_backward(2, grad, indices, input_shape)


def adaptive_max_pool1d_backward(
    grad: ArrayLike, indices: ArrayLike, input_shape: Sequence[int]
) -> Array:
    """``adaptive_max_pool2d_backward`` of x (N, C, W)."""
    return _core.adaptive_max_pool_backward(1, grad, indices, input_shape)


def adaptive_max_pool3d_backward(
    grad: ArrayLike, indices: ArrayLike, input_shape: Sequence[int]
) -> Array:
    """``adaptive_max_pool2d_backward`` of x (N, C, D, H, W)."""
    return _core.adaptive_max_pool_backward(3, grad, indices, input_shape)
