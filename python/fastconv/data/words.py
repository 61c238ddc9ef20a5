"""Random words for data: Philox4x64-10 read from the start of a stream that its numbers name.

They depend on nothing that was drawn before and, unlike the methods of NumPy's Generator, are
fixed for every version of NumPy by the definition of Philox.
"""

from __future__ import annotations

import numpy as np

# The counter's top word. 0 is `fastconv.random`'s: no use shares numbers with another.
ORDER, DRAWINGS = 1, 2


def words(count: int, use: int, seed: int, index: int) -> np.ndarray:
    """`count` uint64 words of the stream of (use, seed, index); seed and index are the key."""
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed must be in [0, 2**64), got {seed}")
    key = np.array([seed, index], np.uint64)
    return np.random.Philox(key=key, counter=[0, 0, 0, use]).random_raw(count)
