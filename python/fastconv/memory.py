"""The pool that results come from: 64-byte aligned blocks that are used again.

A fresh page costs more than most kernels do, so a block is kept when its last array goes, up to a
limit of a quarter of the memory that the process may use. A training loop soon needs no fresh
memory.
"""

from __future__ import annotations

from fastconv import _core


def stats() -> dict[str, int]:
    """What the pool holds.

    Returns:
        Bytes ``in_use`` by arrays and workspaces, ``cached`` for use again, most ever in use
        (``peak``) and the ``cache_limit``; how many blocks were asked for (``allocations``) and how
        many of those needed no fresh memory (``reused``).
    """
    return _core.memory_stats()


def reset_peak() -> None:
    """Let ``peak`` begin again at what is in use now."""
    _core.memory_reset_peak()


def release_cached() -> None:
    """Give the cached blocks back to the system."""
    _core.memory_release_cached()


def set_cache_limit(bytes: int) -> None:
    """Keep at most this many bytes for use again; 0 keeps nothing.

    Raises:
        ValueError: the limit is negative.
        TypeError: it is not an integer.
    """
    _core.memory_set_cache_limit(bytes)


def set_poison(on: bool) -> None:
    """For tests: hand every block out full of 0xff bytes, NaN in floats and -1 in integers.

    What a kernel forgot to write then shows.
    """
    _core.memory_set_poison(on)
