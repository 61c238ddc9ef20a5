"""Sums, means and maxima over dimensions, backward beside forward."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from fastconv.autograd.engine import recording
from fastconv.autograd.tensor import Tensor, record
from fastconv.autograd.variable import FLOATING


class MaxResult(NamedTuple):
    """What ``x.max(dim)`` returns."""

    values: Tensor
    indices: Tensor


def _axes(operation: str, dim: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Dimensions as a sorted tuple of non-negative ones; None means all."""
    rank = len(shape) or 1
    if dim is None:
        return tuple(range(len(shape)))
    axes = []
    for axis in dim if isinstance(dim, (tuple, list)) else (dim,):
        if not isinstance(axis, (int, np.integer)):
            raise TypeError(f"{operation}: dim must be an integer or a tuple of them, got {dim!r}")
        if not -rank <= axis < rank:
            raise ValueError(f"{operation}: dim {axis} is out of range for shape {shape}")
        axes.append(int(axis) % rank)
    if len(set(axes)) != len(axes):
        raise ValueError(f"{operation}: dim {dim} names one dimension twice (shape {shape})")
    return tuple(sorted(axes)) if shape else ()


def _kept_shape(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple([1 if i in axes else n for i, n in enumerate(shape)])


def sum(x: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The sum over ``dim`` (an integer, several, or None for all); bool and integers give int64."""
    data = x._data
    axes = _axes("sum", dim, data.shape)
    dtype = data.dtype if data.dtype in FLOATING else np.int64
    with np.errstate(all="ignore"):
        out = np.sum(data, axis=axes, keepdims=keepdim, dtype=dtype)
    if recording(x) is None:
        return Tensor(out)
    shape, kept = data.shape, _kept_shape(data.shape, axes)

    def backward(grad: Any) -> Any:
        return (np.broadcast_to(grad.reshape(kept), shape),)

    return record("sum", out, (x,), backward)


def mean(x: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The mean over ``dim`` (an integer, several, or None for all)."""
    data = x._data
    if data.dtype not in FLOATING:
        raise TypeError(f"mean: expected a float32 or float64 tensor, got {data.dtype}")
    axes = _axes("mean", dim, data.shape)
    shape, kept = data.shape, _kept_shape(data.shape, axes)
    count = data.dtype.type(math.prod([shape[i] for i in axes]))
    with np.errstate(all="ignore"):
        out = np.sum(data, axis=axes, keepdims=keepdim) / count
    if recording(x) is None:
        return Tensor(out)

    def backward(grad: Any) -> Any:
        return (np.broadcast_to((grad / count).reshape(kept), shape),)

    return record("mean", out, (x,), backward)


def max(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The maximum; NaN counts as larger than everything.

    Without ``dim``: a tensor of no dimensions, its gradient shared evenly among all maxima.
    With ``dim``: (values, indices); the gradient goes to the first maximum.
    """
    data = x._data
    if data.size == 0:
        raise ValueError(f"max: a tensor of shape {data.shape} has no maximum")
    if dim is None:
        return _max_of_all(x)
    axis = _one_axis("max", dim, data.shape)
    if data.ndim == 0:
        return MaxResult(x.clone(), Tensor(np.zeros_like(data, np.int64)))
    index = np.expand_dims(np.argmax(data, axis=axis), axis)
    values = np.take_along_axis(data, index, axis)
    place = index if keepdim else index.squeeze(axis)
    out = values if keepdim else values.squeeze(axis)
    if recording(x) is None:
        return MaxResult(Tensor(out), Tensor(place))
    shape, index = data.shape, index.copy()

    def backward(grad: Any) -> Any:
        dx = np.zeros_like(grad, order="C", shape=shape)
        np.put_along_axis(dx, index, grad.reshape(index.shape), axis)
        return (dx,)

    return MaxResult(record("max", out, (x,), backward), Tensor(place))


def _max_of_all(x: Tensor) -> Tensor:
    data = x._data
    out = np.max(data)
    if recording(x) is None:
        return Tensor(out)

    def backward(grad: Any) -> Any:
        where = (data == out) | np.isnan(data)  # no cell equals a maximum that is NaN
        return (where * (grad / np.sum(where).astype(data.dtype)),)

    return record("max", out, (x,), backward, [("input", x)])


def argmax(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The int64 index of the first maximum: in the flattened tensor, or along ``dim``."""
    data = x._data
    if data.size == 0:
        raise ValueError(f"argmax: a tensor of shape {data.shape} has no maximum")
    if dim is None:
        return Tensor(np.argmax(data).reshape((1,) * data.ndim if keepdim else ()))
    axis = _one_axis("argmax", dim, data.shape)
    if data.ndim == 0:
        return Tensor(np.zeros_like(data, np.int64))
    return Tensor(np.argmax(data, axis=axis, keepdims=keepdim))


def _one_axis(operation: str, dim: Any, shape: tuple[int, ...]) -> int:
    if not isinstance(dim, (int, np.integer)):
        raise TypeError(f"{operation}: dim must be an integer, got {dim!r}")
    axes = _axes(operation, dim, shape)
    return axes[0] if axes else 0
