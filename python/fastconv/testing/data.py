"""Test data: integers whose sums are exact, arrays that lie in every way, poisoned memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastconv.reference.layout import channels_last

Array = np.ndarray

GUARD = 67  # cells on either side; odd, so that a guarded array is aligned to nothing but its items


def exact_integers(
    shape: Sequence[int], seed: int, dtype: Any = np.float32, low: int = -3, high: int = 3
) -> Array:
    """Integers in [low, high] as floating point.

    A sum of `terms` products is exact in float32, in any order, while terms * low * high < 2**24.
    """
    generator = np.random.Generator(np.random.Philox(seed))
    return generator.integers(low, high, tuple(shape), endpoint=True).astype(dtype)


def normal(shape: Sequence[int], seed: int, dtype: Any = np.float32) -> Array:
    """Numbers of the standard normal distribution, drawn in float64: the same for every dtype."""
    generator = np.random.Generator(np.random.Philox(seed))
    return generator.standard_normal(tuple(shape)).astype(dtype)


def _strided(array: Array) -> Array:
    """Every second cell of a larger array; the cells between are NaN."""
    wide = np.full([2 * extent for extent in array.shape], np.nan, array.dtype)
    view = wide[tuple(slice(None, None, 2) for _ in array.shape)]
    view[...] = array
    return view


def _reversed(array: Array) -> Array:
    """Negative strides in every dimension."""
    return np.ascontiguousarray(np.flip(array))[tuple(slice(None, None, -1) for _ in array.shape)]


def _guarded(array: Array) -> Array:
    """Dense and NCHW, between NaN cells: a read beyond either end shows."""
    buffer = np.full(array.size + 2 * GUARD, np.nan, array.dtype)
    view = buffer[GUARD : GUARD + array.size].reshape(array.shape)
    view[...] = array
    return view


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "contiguous": _guarded,
    "channels_last": lambda array: channels_last(array) if array.ndim > 2 else _guarded(array),
    "strided": _strided,
    "reversed": _reversed,
    "fortran": lambda array: np.array(array, order="F"),
}


def lay_out(array: Array, layout: str) -> Array:
    """A copy with the same shape and values that lies as `layout`, a key of `LAYOUTS`, says."""
    return LAYOUTS[layout](array)


class Poisoned:
    """A result array full of NaN between two guards of known cells.

    `array` goes to `out=`; `check()` fails where a cell beside it was written.
    """

    def __init__(self, shape: Sequence[int], dtype: Any, memory_format: str = "contiguous") -> None:
        n, c, *spatial = shape
        last = memory_format == "channels_last"
        lies = (n, *spatial, c) if last else tuple(shape)
        size = int(np.prod(lies, dtype=np.int64))
        self._buffer = np.full(size + 2 * GUARD, 12288, dtype)
        dense = self._buffer[GUARD : GUARD + size].reshape(lies)
        dense[...] = np.nan
        self.array: Array = np.moveaxis(dense, -1, 1) if last else dense

    def check(self, repeat: str = "") -> None:
        guards = np.concatenate([self._buffer[:GUARD], self._buffer[-GUARD:]])
        written = np.flatnonzero(guards != 12288)
        assert not written.size, f"{written.size} cells beside the result were written\n{repeat}"
