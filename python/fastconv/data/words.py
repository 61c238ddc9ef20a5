"""Random words for data: Philox4x64-10 read from the start of a stream that its numbers name.

They depend on nothing that was drawn before and, unlike the methods of NumPy's Generator, are
fixed for every version of NumPy by the definition of Philox.
"""

from __future__ import annotations

import numpy as np

# The counter's top word. 0 is `fastconv.random`'s: no use shares numbers with another.
ORDER, DRAWINGS, AUGMENT, SPLIT = 1, 2, 3, 4


def words(count: int, use: int, seed: int, index: int, start: int = 0) -> np.ndarray:
    """`count` uint64 words of the stream of (use, seed, index), from its word `start` on.

    seed and index are Philox's key.
    """
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed must be in [0, 2**64), got {seed}")
    key = np.array([seed, index], np.uint64)
    block, skip = divmod(start, 4)  # a step of the counter gives four words
    stream = np.random.Philox(key=key, counter=[block, 0, 0, use])
    return stream.random_raw(skip + count)[skip:]


def uniform(shape: tuple[int, int], use: int, seed: int, index: int, start: int = 0) -> np.ndarray:
    """float64 numbers in [0, 1) of `shape` from the same words, one each."""
    raw = words(shape[0] * shape[1], use, seed, index, start).reshape(shape)
    return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53
