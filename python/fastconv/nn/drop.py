"""Random zeros as functions of tensors."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv import ops, random
from fastconv.autograd.engine import recording
from fastconv.autograd.tensor import Tensor, record
from fastconv.nn.fused import array_of

if TYPE_CHECKING:
    from fastconv.ops.types import MemoryFormat


def check_probability(operation: str, p: float) -> None:
    """TypeError unless p is a number, ValueError unless 0 <= p <= 1."""
    if not isinstance(p, numbers.Real):
        raise TypeError(f"{operation}: p must be a number, got {p!r}")
    if not 0 <= p <= 1:
        raise ValueError(f"{operation}: p must be in [0, 1], got {p}")


def dropout(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """In training each element is 0 with probability ``p``, the others are divided by 1 - p.

    Draws 64 bits from fastconv's generator: a seed repeats it on every device.
    """
    x = array_of("dropout", "input", input)
    check_probability("dropout", p)
    if not training or p == 0:
        return input
    if p == 1:
        return input * 0.0
    key = int(random.generator().integers(2**64, dtype=np.uint64))
    y = ops.dropout(x, p, key)
    if recording(input) is None:
        return Tensor(y)
    lies: MemoryFormat = "contiguous" if y.flags.c_contiguous else "channels_last"

    def backward(grad: Any) -> Any:
        return (ops.dropout(grad, p, key, memory_format=lies),)

    return record("dropout", y, (input,), backward)


def _of_channels(operation: str, input: Tensor, p: float, training: bool, spatial: int) -> Tensor:
    """``dropout`` of whole channels of (N, C, ...); ``spatial`` 0: of any number of dimensions."""
    x = array_of(operation, "input", input)
    check_probability(operation, p)
    if x.ndim < 2 or (spatial and x.ndim != spatial + 2):
        expected = ("...", "L", "H, W", "D, H, W")[spatial]
        raise ValueError(f"{operation}: input has shape {x.shape}, expected (N, C, {expected})")
    if not training or p == 0:
        return input
    first = (slice(None), slice(None)) + (slice(1),) * (x.ndim - 2)
    ones = np.ones_like(x[first])
    return input * dropout(Tensor(ones), p)


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """:func:`dropout` of whole channels: input (N, C, L)."""
    return _of_channels("dropout1d", input, p, training, 1)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """:func:`dropout` of whole channels: input (N, C, ...)."""
    return _of_channels("dropout2d", input, p, training, 0)


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """:func:`dropout` of whole channels: input (N, C, D, H, W)."""
    return _of_channels("dropout3d", input, p, training, 3)
