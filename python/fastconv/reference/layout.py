"""How an array lies in memory, and small helpers that several operations share."""

from __future__ import annotations

from collections.abc import Sequence
from types import EllipsisType
from typing import Any

import numpy as np

Array = np.ndarray


def per_dimension(value: Any, dims: int) -> tuple[int, ...]:
    """One integer a spatial dimension, from an integer for all or one for each."""
    return (int(value),) * dims if np.ndim(value) == 0 else tuple(int(v) for v in value)


def under_tap(
    tap: Sequence[int], output: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> tuple[EllipsisType | slice, ...]:
    """Index of the cells of a padded array that one kernel tap meets, one for each output cell."""
    steps = zip(tap, output, stride, dilation, strict=True)
    return (..., *(slice(t * d, t * d + (o - 1) * s + 1, s) for t, o, s, d in steps))


def lies_channels_last(array: Array) -> bool:
    """True where the channels of (N, C, ...) lie beside each other; what is both counts as NCHW."""
    return not array.flags.c_contiguous and np.moveaxis(array, 1, -1).flags.c_contiguous


def channels_last(array: Array) -> Array:
    """A copy of (N, C, ...) with the same shape that lies channels-last."""
    return np.moveaxis(np.moveaxis(array, 1, -1).copy(order="C"), -1, 1)


def deliver(
    result: Array, like: Array, memory_format: str | None = None, out: Array | None = None
) -> Array:
    """`result` written to `out`, or lying as asked for, or else as the input `like` does."""
    if out is not None:
        out[...] = result
        return out
    if memory_format == "channels_last" or (memory_format is None and lies_channels_last(like)):
        return channels_last(result)
    return np.ascontiguousarray(result)
