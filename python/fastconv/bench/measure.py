"""Times of calls, taken in turns so that neither side owns the quiet moments of a machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

Call = Callable[[], object]

TURN = 0.02  # seconds that one side runs before the other has its turn
REST = (
    0.004  # before each turn: the other runtime's idle threads spin for a moment before they sleep
)


class Times(NamedTuple):
    """Seconds that a call took."""

    median: float
    minimum: float
    calls: int


def _turn(call: Call, inner: int, steps: int) -> list[float]:
    """Seconds of a step in each of the calls that fit one turn, after one that is not counted."""
    time.sleep(REST)
    call()
    times: list[float] = []
    end = time.perf_counter() + TURN
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(inner):
            call()
        times.append((time.perf_counter() - start) / (inner * steps))
    return times


def _inner(call: Call) -> int:
    """How many calls it takes to outlast the clock's own cost."""
    start = time.perf_counter()
    call()
    return max(1, int(20e-6 / (time.perf_counter() - start)))


def in_turns(
    calls: Sequence[Call], seconds: float, repeats: int | None = None, steps: int = 1
) -> list[Times]:
    """Times of each of `calls`, run A B A B ... after a warm-up.

    Each gets about `seconds` and at least three turns, or exactly `repeats` turns. The results of
    the calls are dropped as soon as they return. A call makes `steps` steps; times are a step's.
    """
    inner = []
    for call in calls:
        call()
        call()
        inner.append(_inner(call))
    taken: list[list[float]] = [[] for _ in calls]
    turns = 0
    end = time.perf_counter() + seconds * len(calls)
    while turns < (repeats or 3) or (repeats is None and time.perf_counter() < end):
        for times, call, count in zip(taken, calls, inner, strict=True):
            times += _turn(call, count, steps)
        turns += 1
    return [Times(statistics.median(times), min(times), len(times)) for times in taken]
