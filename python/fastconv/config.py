"""What a process is set to: algorithm, threads, denormals, and what this build and machine are."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from fastconv import _core

_ALGORITHMS = ("auto", "direct", "winograd")
_algorithm: ContextVar[str] = ContextVar("fastconv.algorithm", default="auto")


def chosen_algorithm(asked: str | None) -> str:
    """The algorithm of a call: what it asked for, else what ``with algorithm(...)`` set."""
    return _algorithm.get() if asked is None or asked == "auto" else asked


@contextmanager
def algorithm(name: str) -> Iterator[None]:
    """Within this context convolutions that leave the algorithm open use ``name``.

    Args:
        name: "auto", "direct" or "winograd".

    Raises:
        ValueError: no such algorithm. Convolutions raise it too where ``name`` cannot compute them.
    """
    if name not in _ALGORITHMS:
        raise ValueError(f"algorithm: name must be one of {_ALGORITHMS}, got {name!r}")
    token = _algorithm.set(name)
    try:
        yield
    finally:
        _algorithm.reset(token)


def set_num_threads(count: int) -> None:
    """Number of threads that kernels use from now on, in the whole process.

    Results do not depend on it, to the last bit.

    Raises:
        ValueError: ``count`` is below 1 or absurd.
        TypeError: it is not an integer.
    """
    _core.set_num_threads(count)


def get_num_threads() -> int:
    """Number of threads that kernels use.

    At first the cores that the process may use, or OMP_NUM_THREADS. Always 1 in a forked child.
    """
    return _core.get_num_threads()


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Within this context kernels use ``count`` threads, in the whole process."""
    previous = _core.get_num_threads()
    _core.set_num_threads(count)
    try:
        yield
    finally:
        _core.set_num_threads(previous)


def set_flush_denormal(mode: bool) -> bool:
    """Treat denormal numbers as zero in kernels that this thread calls; off by default.

    Processors take up to 100 times as long over a denormal number as over others.

    Returns:
        Whether this processor can.
    """
    return _core.set_flush_denormal(mode)


def get_config() -> dict[str, Any]:
    """Version, instruction sets, threads and compiler; whether CUDA is built in."""
    return {**_core.config(), "cuda": importlib.util.find_spec("fastconv._cuda") is not None}


def show_config() -> None:
    """Print ``get_config()``, one line an entry."""
    for key, value in get_config().items():
        text = ", ".join(value) if isinstance(value, list) else value
        print(f"{key:16}{text}")
