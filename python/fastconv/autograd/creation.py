"""New tensors, and :func:`cat`."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv.autograd.shaping import arguments, cat
from fastconv.autograd.tensor import Tensor
from fastconv.random import generator

__all__ = ["arange", "cat", "ones", "randn", "tensor", "zeros"]


def tensor(data: Any, requires_grad: bool = False, *, dtype: Any = None) -> Tensor:
    """A tensor of an array, of nested lists, or of a number.

    A NumPy array (or what has ``__dlpack__``) is wrapped, not copied, and keeps its dtype:
    ``tensor(a).data is a``. Lists and numbers become float32, int64 or bool. ``dtype`` converts.
    Raises TypeError for unsupported dtypes, and for integers that are to require grad.
    """
    if isinstance(data, Tensor):
        raise TypeError("tensor: already a Tensor; use .clone() or .detach()")
    if isinstance(data, (np.ndarray, np.generic)):
        array = np.asarray(data)
    elif hasattr(data, "__dlpack__"):
        array = np.from_dlpack(data)
    else:
        array = np.array(data)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        elif array.dtype == np.int32:  # NumPy's default integer on some platforms
            array = array.astype(np.int64)
    if dtype is not None:
        array = array.astype(dtype, copy=False)
    return Tensor(array, requires_grad)


def zeros(*size: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros: ``zeros(2, 3)`` or ``zeros((2, 3))``."""
    return Tensor(np.zeros(arguments(size), dtype), requires_grad)


def ones(*size: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """A tensor of ones: ``ones(2, 3)`` or ``ones((2, 3))``."""
    return Tensor(np.ones(arguments(size), dtype), requires_grad)


def randn(*size: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """Numbers of the standard normal distribution from :mod:`fastconv.random`."""
    return Tensor(generator().standard_normal(arguments(size), dtype), requires_grad)


def arange(
    start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """The numbers start, start + step, ... below end: int64 for integers, else float32."""
    if end is None:
        start, end = 0, start
    if step == 0:
        raise ValueError("arange: step must not be 0")
    array = np.arange(start, end, step)
    if dtype is None:
        dtype = np.int64 if array.dtype.kind in "iu" else np.float32
    return Tensor(array.astype(dtype, copy=False), requires_grad)
