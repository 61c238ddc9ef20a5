"""What this machine can do at most, measured at start, and a row's share of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastconv import _core
from fastconv.bench.measure import in_turns

PROBE_BYTES = 1 << 28  # well beyond the caches


class Ceilings(NamedTuple):
    """Rates of all threads together: operations and bytes a second."""

    fma: float  # multiply-adds on registers alone
    read: float  # sum of an array
    copy: float  # bytes read and bytes written

    @property
    def bandwidth(self) -> float:
        return max(self.read, self.copy)

    def least_time(self, flops: float, bytes: float) -> tuple[float, str]:
        """Seconds that the nearer of the two limits allows, and its name."""
        computing, moving = flops / self.fma, bytes / self.bandwidth
        return (computing, "fma") if computing >= moving else (moving, "memory")


def measure_ceilings(dtype: str, repeats: int | None = None) -> Ceilings:
    """Runs the probe: about a second, or so many turns."""
    steps = 20_000
    flops = _core.probe_fma(dtype, steps)
    x = np.ones(PROBE_BYTES // np.dtype(dtype).itemsize, dtype)
    half = len(x) // 2
    source, target = x[:half], x[half:]
    calls = [
        lambda: _core.probe_fma(dtype, steps),
        lambda: _core.probe_read(x),
        lambda: _core.probe_copy(source, target),
    ]
    fma, read, copy = (times.minimum for times in in_turns(calls, seconds=0.3, repeats=repeats))
    return Ceilings(flops / fma, x.nbytes / read, x.nbytes / copy)
