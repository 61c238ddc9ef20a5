"""The same elements under another shape, order, type or selection; backward beside forward.

Views share memory with their source, so a write to either counts as a write to both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastconv.autograd.engine import recording
from fastconv.autograd.tensor import Tensor, alias, record
from fastconv.autograd.variable import FLOATING, SUPPORTED
from fastconv.devices import CPU, Device, check_same, device_of, is_array, to_device, to_host


def arguments(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """``f(2, 3)`` and ``f((2, 3))`` mean the same."""
    if len(values) == 1 and isinstance(values[0], (tuple, list)):
        return tuple(values[0])
    return values


def reshape(x: Tensor, *shape: Any) -> Tensor:
    """The elements in logical order under another shape; a view where the strides allow it."""
    data, wanted = x._data, arguments(shape)
    try:
        out = data.reshape(wanted)
    except ValueError:
        raise ValueError(f"reshape: shape {data.shape} does not fit into {wanted}") from None
    contiguous = data.flags.c_contiguous
    if recording(x) is None:
        result = Tensor(out)
    else:
        old, order = data.shape, None if contiguous else _stride_order(data)

        def backward(grad: Any) -> Any:
            grad = grad.reshape(old)
            return (grad if order is None else _laid_out(grad, order),)

        result = record("reshape", out, (x,), backward)
    return alias(result, x) if contiguous or np.may_share_memory(out, data) else result


def _stride_order(data: Any) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argsort([-abs(s) for s in data.strides], kind="stable"))


def _laid_out(grad: Any, order: tuple[int, ...]) -> Any:
    """The gradient in the memory order of its variable, so that a chain of channels-last kernels
    gets channels-last gradients too."""
    turned = grad.transpose(order)
    turned = turned if turned.flags.c_contiguous else turned.copy()
    return turned.transpose([order.index(i) for i in range(len(order))])


def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Merge the dimensions from ``start_dim`` to ``end_dim`` into one, in logical order."""
    shape = x._data.shape or (1,)
    count = len(shape)
    for name, dim in (("start_dim", start_dim), ("end_dim", end_dim)):
        if not -count <= dim < count:
            raise ValueError(f"flatten: {name} {dim} is out of range for shape {x._data.shape}")
    start, end = start_dim % count, end_dim % count
    if start > end:
        raise ValueError(
            f"flatten: start_dim {start_dim} comes after end_dim {end_dim} in shape {shape}"
        )
    return reshape(x, *shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])


def permute(x: Tensor, *dims: Any) -> Tensor:
    """A view with the dimensions in the order ``dims``."""
    data, dims = x._data, arguments(dims)
    try:
        out = data.transpose(dims) if data.ndim else data.reshape(())
    except ValueError:
        raise ValueError(
            f"permute: dims {dims} are no order of the {data.ndim} dimensions of {data.shape}"
        ) from None
    if recording(x) is None:
        return alias(Tensor(out), x)
    inverse = [int(i) for i in np.argsort([d % data.ndim for d in dims])]
    return alias(record("permute", out, (x,), lambda grad: (grad.transpose(inverse),)), x)


def transpose(x: Tensor, dim0: int, dim1: int) -> Tensor:
    """A view with two dimensions exchanged."""
    count = x._data.ndim
    for dim in (dim0, dim1):
        if not -count <= dim < count:
            raise ValueError(f"transpose: dim {dim} is out of range for shape {x._data.shape}")
    dims = list(range(count))
    dims[dim0], dims[dim1] = dims[dim1], dims[dim0]
    return permute(x, *dims)


def index_of(index: Any) -> tuple[Any, list[Tensor], bool]:
    """An index as NumPy takes it, the tensors in it, and whether it is basic (a view)."""
    parts = index if isinstance(index, tuple) else (index,)
    tensors = [part for part in parts if isinstance(part, Tensor)]
    plain = tuple([part._data if isinstance(part, Tensor) else part for part in parts])
    basic = all([_is_basic(part) for part in plain])
    if basic and Ellipsis not in plain:
        plain = (*plain, ...)  # all integers: an array of no dimensions instead of a copied number
    return plain, tensors, basic


def _is_basic(part: Any) -> bool:
    if part is None or part is Ellipsis or isinstance(part, slice):
        return True
    return isinstance(part, (int, np.integer)) and not isinstance(part, bool)


def getitem(x: Tensor, index: Any) -> Tensor:
    """``x[index]``: integers, slices, None and ... give a view, arrays and tensors a copy."""
    data = x._data
    plain, tensors, basic = index_of(index)
    try:
        out = data[plain]
    except IndexError as error:
        raise IndexError(f"index: {error} (shape {data.shape})") from None
    if recording(x) is None:
        return alias(Tensor(out), x) if basic else Tensor(out)
    shape = data.shape

    def backward(grad: Any) -> Any:
        if basic:
            dx = np.zeros_like(grad, order="C", shape=shape)
            dx[plain] = grad
            return (dx,)
        return (_scattered(grad, plain, shape),)

    kept = [("index", tensor) for tensor in tensors]
    result = record("index", out, (x,), backward, kept)
    return alias(result, x) if basic else result


def _scattered(grad: Any, index: tuple[Any, ...], shape: tuple[int, ...]) -> Any:
    """Zeros with ``grad`` added at ``index``, where an element may be chosen twice.

    Of CUDA arrays too on the host: in the order of the index, where CuPy would add atomically.
    """
    dx = np.zeros(shape, grad.dtype)
    parts = tuple([to_host(part) if is_array(part) else part for part in index])
    np.add.at(dx, parts, to_host(grad))
    return to_device(dx, device_of(grad))


def clone(x: Tensor) -> Tensor:
    """A copy with its own memory, laid out as the source."""
    out = x._data.copy(order="K")
    if recording(x) is None:
        return Tensor(out)
    return record("clone", out, (x,), lambda grad: (grad,))


def cast(x: Tensor, dtype: Any) -> Tensor:
    """The values as another dtype; the tensor itself where it has that dtype."""
    old, new = x._data.dtype, np.dtype(dtype)
    if new not in SUPPORTED and (new not in FLOATING or x.device == CPU):
        raise TypeError(f"to: dtype {new} is not supported on {x.device}")
    if new == old:
        return x
    with np.errstate(all="ignore"):
        out = x._data.astype(new)
    if new not in FLOATING or recording(x) is None:
        return Tensor(out)
    return record("to", out, (x,), lambda grad: (grad.astype(old),))


def move(x: Tensor, where: Device) -> Tensor:
    """The values on a device; the tensor itself where it is there."""
    here = x.device
    if here == where:
        return x
    out = to_device(x._data, where)
    if recording(x) is None:
        return Tensor(out)
    return record("to", out, (x,), lambda grad: (to_device(grad, here),))


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Join tensors along an existing dimension; their other dimensions must agree."""
    tensors = tuple(tensors)
    if not tensors:
        raise ValueError("cat: expected at least one tensor")
    for x in tensors:
        if not isinstance(x, Tensor):
            raise TypeError(f"cat: expected Tensors, got {type(x).__name__}")
    arrays = [x._data for x in tensors]
    shapes = [array.shape for array in arrays]
    first, shape = arrays[0], shapes[0]
    if not -len(shape) <= dim < len(shape):
        raise ValueError(f"cat: dim {dim} is out of range for shape {shape}")
    axis = dim % len(shape)
    for array in arrays:
        check_same("cat", "one tensor", array, "the first", first)
        if array.dtype != first.dtype:
            raise TypeError(f"cat: {first.dtype} and {array.dtype} do not mix (shapes {shapes})")
        other = array.shape
        if other[:axis] + other[axis + 1 :] != shape[:axis] + shape[axis + 1 :]:
            raise ValueError(f"cat: shapes {shape} and {other} differ outside dim {dim}")
    out = np.concatenate(arrays, axis=axis)
    needs = recording(*tensors)
    if needs is None:
        return Tensor(out)
    ends = np.cumsum([s[axis] for s in shapes])[:-1].tolist()

    def backward(grad: Any) -> Any:
        parts = np.split(grad, ends, axis=axis)
        return [part if need else None for part, need in zip(parts, needs, strict=True)]

    return record("cat", out, tensors, backward)
