"""Dropout from a key: the same key, the same zeros, on every device."""

from __future__ import annotations

from fastconv import _core
from fastconv.ops.types import Array, ArrayLike, MemoryFormat


def dropout(
    x: ArrayLike, p: float, key: int, *, memory_format: MemoryFormat | None = None
) -> Array:
    """``x / (1 - p)`` with each element 0 instead with probability ``p`` (Srivastava et al., 2014).

    Which elements, is a function of ``key`` and of their place in memory alone: the gradient at the
    input is ``dropout(grad, p, key)`` where ``grad`` lies as ``x`` does. The random words are those
    of Philox4x32-10 (Salmon et al., 2011).

    Args:
        x: float32 or float64 array of any shape.
        p: in [0, 1).
        key: 0 <= key < 2**64.
        memory_format: how ``x`` is read and the result lies, "contiguous" or "channels_last"; None:
            as ``x`` does.

    Returns:
        An array of the shape and dtype of ``x``.

    Raises:
        ValueError: ``p`` is out of range.
        TypeError: not an array, another dtype, or a key that is no such integer.
    """
    return _core.dropout(x, p, key, memory_format)
