"""New tensors, and :func:`cat`."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv.autograd.shaping import arguments, cat
from fastconv.autograd.tensor import Tensor
from fastconv.devices import CPU, as_dtype, from_dlpack, is_array, to_device
from fastconv.devices import device as named
from fastconv.random import generator

__all__ = ["arange", "cat", "ones", "randn", "tensor", "zeros"]


def tensor(
    data: Any, requires_grad: bool = False, *, dtype: Any = None, device: Any = None
) -> Tensor:
    """A tensor of an array, of nested lists, or of a number.

    An array of NumPy or CuPy (or what has ``__dlpack__``) is wrapped, not copied, and keeps its
    dtype and device: ``tensor(a).data is a``. Lists and numbers become float32, int64 or bool.
    ``dtype`` converts, ``device`` moves. Raises TypeError for unsupported dtypes, and for integers
    that are to require grad.
    """
    if isinstance(data, Tensor):
        raise TypeError("tensor: already a Tensor; use .clone() or .detach()")
    if is_array(data):
        array = data
    elif isinstance(data, np.generic):
        array = np.asarray(data)
    elif hasattr(data, "__dlpack__"):
        array = from_dlpack(data)
    else:
        array = np.array(data)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        elif array.dtype == np.int32:  # NumPy's default integer on some platforms
            array = array.astype(np.int64)
    if device is not None:
        array = to_device(array, named(device))
    if dtype is not None:
        array = array.astype(as_dtype(dtype), copy=False)
    return Tensor(array, requires_grad)


def zeros(
    *size: Any, dtype: Any = np.float32, device: Any = CPU, requires_grad: bool = False
) -> Tensor:
    """A tensor of zeros: ``zeros(2, 3)`` or ``zeros((2, 3))``."""
    return tensor(np.zeros(arguments(size), dtype), requires_grad, device=device)


def ones(
    *size: Any, dtype: Any = np.float32, device: Any = CPU, requires_grad: bool = False
) -> Tensor:
    """A tensor of ones: ``ones(2, 3)`` or ``ones((2, 3))``."""
    return tensor(np.ones(arguments(size), dtype), requires_grad, device=device)


def randn(
    *size: Any, dtype: Any = np.float32, device: Any = CPU, requires_grad: bool = False
) -> Tensor:
    """Numbers of the standard normal distribution from :mod:`fastconv.random`, the same on every
    device."""
    values = generator().standard_normal(arguments(size), dtype)
    return tensor(np.asarray(values), requires_grad, device=device)


def arange(
    start: Any,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: Any = CPU,
    requires_grad: bool = False,
) -> Tensor:
    """The numbers start, start + step, ... below end: int64 for integers, else float32."""
    if end is None:
        start, end = 0, start
    if step == 0:
        raise ValueError("arange: step must not be 0")
    array = np.arange(start, end, step)
    if dtype is None:
        dtype = np.int64 if array.dtype.kind in "iu" else np.float32
    return tensor(array.astype(dtype, copy=False), requires_grad, device=device)
