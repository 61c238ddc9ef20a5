"""Dropout by a counter-based generator."""

from __future__ import annotations

import numpy as np

from fastconv.reference.layout import Array, deliver


def philox(counters: Array, key: int) -> Array:
    """Philox4x32-10 (Salmon, Moraes, Dror, Shaw, 2011): counters (n,) to words (4, n)."""
    low = np.uint64(0xFFFFFFFF)
    a, b = counters.astype(np.uint64) & low, counters.astype(np.uint64) >> np.uint64(32)
    c = d = np.zeros_like(a)
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        p, q = np.uint64(0xD2511F53) * a, np.uint64(0xCD9E8D57) * c
        a, c = (q >> np.uint64(32)) ^ b ^ np.uint64(k0), (p >> np.uint64(32)) ^ d ^ np.uint64(k1)
        b, d = q & low, p & low
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([a, b, c, d]).astype(np.uint32)


def dropout(x: Array, p: float, key: int, *, memory_format: str | None = None) -> Array:
    """x / (1 - p), and 0 where the element's word is below p 2^32.

    Word w of counter 64 b + j is that of element 256 b + 64 w + j, counted as memory lies.
    """
    last = x.ndim == 4 and not x.flags.c_contiguous and x.transpose(0, 2, 3, 1).flags.c_contiguous
    if memory_format is not None:
        last = memory_format == "channels_last" and x.ndim == 4
    laid = x.transpose(0, 2, 3, 1) if last else x
    blocks = -(-x.size // 256)
    words = philox(np.arange(64 * blocks), key).reshape(4, blocks, 64).transpose(1, 0, 2)
    kept = words.ravel()[: x.size].reshape(laid.shape) >= min(int(p * 2**32), 2**32 - 1)
    y = np.where(kept, laid * x.dtype.type(1 / (1 - p)), x.dtype.type(0))
    return deliver(y.transpose(0, 3, 1, 2), x) if last else y
