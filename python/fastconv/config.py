"""What a process is set to: algorithm, threads, denormals, and what this build and machine are."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from fastconv import _core

_ALGORITHMS = ("auto", "direct", "winograd")
_PRECISIONS = ("highest", "tf32")
_precision = "highest"
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


def float32_precision() -> str:
    """What ``set_float32_precision`` set."""
    return _precision


def set_float32_precision(precision: str) -> None:
    """How convolutions and linear layers multiply float32 numbers on CUDA devices from now on.

    In the whole process; sums are float32 in any case, and the CPU computes in float32 always.

    Args:
        precision: "highest", which it is at first: float32; or "tf32": both factors are rounded to
            TF32, 10 bits after the point (relative error 2**-11), which tensor cores multiply.

    Raises:
        ValueError: another name.
    """
    global _precision
    if precision not in _PRECISIONS:
        raise ValueError(
            f"set_float32_precision: precision must be one of {_PRECISIONS}, got {precision!r}"
        )
    _precision = precision


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
