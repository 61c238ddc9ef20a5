"""A process that keeps one core busy."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SPIN = """
import os, sys
os.sched_setaffinity(0, [int(sys.argv[1])])
parent = os.getppid()
while os.getppid() == parent:  # not beyond the end of the bench, however that comes
    for _ in range(100_000): pass
"""


@contextmanager
def busy_core() -> Iterator[int]:
    """An endless loop bound to the first core that this process may use, which stays unbound."""
    core = min(os.sched_getaffinity(0))
    neighbour = subprocess.Popen([sys.executable, "-c", SPIN, str(core)])
    try:
        yield core
    finally:
        neighbour.kill()
        neighbour.wait()
