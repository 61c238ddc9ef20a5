"""Maxout: max pooling over neighbouring channels."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastconv.devices import from_dlpack, is_array
from fastconv.ops.pool import max_pool2d, max_pool2d_backward
from fastconv.ops.types import Array, ArrayLike


def maxout(x: ArrayLike, pieces: int, dim: int = 1) -> tuple[Array, Array]:
    """The largest of every ``pieces`` neighbours along ``dim`` (Goodfellow et al., 2013).

    The first maximum wins; NaN wins over every number, as in max pooling.

    Args:
        x: float32 or float64, such as (N, C, H, W).
        pieces: neighbours of one group, at least 1; divides the size of ``dim``.
        dim: the dimension of the groups, negative from the end.

    Returns:
        y, of the shape of ``x`` with ``dim`` divided by ``pieces``, and indices: int64 of that
        shape, positions along ``dim``. Both lie as ``x`` does.

    Raises:
        ValueError: ``dim`` is out of range, or ``pieces`` does not divide its size.
        TypeError: not an array, another dtype, or arguments that are no integers.
    """
    given = _array("maxout", "x", x)
    axis = _axis("maxout", dim, given.shape)
    count = _integer("maxout", "pieces", pieces)
    if count < 1 or given.shape[axis] % count:
        raise ValueError(
            f"maxout: pieces must divide dimension {axis} of the input, got {count} "
            f"(input shape {given.shape})"
        )
    shape = _resized(given.shape, axis, given.shape[axis] // count)
    order = _order(given)
    if given.size == 0:
        return np.empty_like(given, shape=shape), np.empty_like(given, np.int64, shape=shape)
    y, indices = max_pool2d(_rows(given, axis, order), (1, count))
    return _unrolled(y, shape, order), _unrolled(indices, shape, order)


def maxout_backward(
    grad: ArrayLike, indices: ArrayLike, input_shape: Sequence[int], dim: int = 1
) -> Array:
    """Gradient of ``maxout``: every value of ``grad`` goes where its maximum came from, else 0.

    Args:
        grad: gradient at the output, float32 or float64.
        indices: int64, the shape of ``grad``, as ``maxout`` returned them.
        input_shape: the shape of the input.
        dim: as in ``maxout``.

    Returns:
        An array of ``input_shape`` that lies as ``grad`` does.

    Raises:
        ValueError: shapes do not fit, or an index is outside the dimension.
        TypeError: not arrays, or another dtype.
    """
    g = _array("maxout_backward", "grad", grad)
    places = _array("maxout_backward", "indices", indices)
    shape = tuple(input_shape)
    axis = _axis("maxout_backward", dim, shape)
    groups = g.shape[axis] if g.ndim == len(shape) else 0
    divided = shape[axis] % groups == 0 if groups else shape[axis] == 0
    if _resized(shape, axis, groups) != g.shape or not divided:
        raise ValueError(
            f"maxout_backward: grad has shape {g.shape}, expected {shape} with dimension "
            f"{axis} divided"
        )
    if places.shape != g.shape:
        raise ValueError(f"maxout_backward: indices has shape {places.shape}, expected {g.shape}")
    if g.size == 0:
        return np.zeros_like(g, shape=shape)
    order = _order(g)
    rows = _rows(g, axis, order)
    whole = (*rows.shape[:3], shape[axis])
    dx = max_pool2d_backward(rows, _rows(places, axis, order), whole, (1, shape[axis] // groups))
    return _unrolled(dx, shape, order)


def _order(x: Array) -> tuple[int, ...]:
    """The dimensions in the order of memory: contiguous unless the array is channels-last."""
    plain = tuple(range(x.ndim))
    if x.ndim == 4 and not x.flags.c_contiguous and x.transpose(0, 2, 3, 1).flags.c_contiguous:
        return (0, 2, 3, 1)
    return plain


def _rows(x: Array, axis: int, order: tuple[int, ...]) -> Array:
    """(before, after, 1, size): the axis as the width of images of one row, channels last. A view
    where the array lies in this order."""
    turned = np.ascontiguousarray(x.transpose(order))
    place = order.index(axis)
    before = math.prod(turned.shape[:place])
    return turned.reshape(before, 1, x.shape[axis], -1).transpose(0, 3, 1, 2)


def _unrolled(rows: Array, shape: tuple[int, ...], order: tuple[int, ...]) -> Array:
    """The array of this shape, which lies in this order, from its rows."""
    flat = np.ascontiguousarray(rows.transpose(0, 2, 3, 1))
    return flat.reshape([shape[i] for i in order]).transpose(np.argsort(order).tolist())


def _resized(shape: tuple[int, ...], axis: int, size: int) -> tuple[int, ...]:
    return (*shape[:axis], size, *shape[axis + 1 :])


def _array(operation: str, name: str, x: Any) -> Any:
    if is_array(x):
        return x
    if not hasattr(x, "__dlpack__"):
        raise TypeError(
            f"{operation}: {name} must be a NumPy array or have __dlpack__, got {type(x).__name__}"
        )
    return from_dlpack(x)


def _integer(operation: str, name: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(
            f"{operation}: {name} must be an integer, got {type(value).__name__}"
        ) from None


def _axis(operation: str, dim: Any, shape: tuple[int, ...]) -> int:
    axis, rank = _integer(operation, "dim", dim), len(shape)
    if not -rank <= axis < rank:
        raise ValueError(f"{operation}: dim {axis} is out of range for shape {shape}")
    return axis % rank
