"""How much an epoch of LeNet-5 suffers from another process that is busy on one of the cores.

    python bench/busy_neighbour.py --data-dir FOLDER [--epochs 5] [--vs torch]

Quiet and disturbed epochs alternate. The neighbour is an endless loop bound to one core.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from contextlib import contextmanager

from lenet_vs_torch import Side

SPIN = """
import os, sys
os.sched_setaffinity(0, [int(sys.argv[1])])
parent = os.getppid()
while os.getppid() == parent:  # not beyond the end of the bench, however that comes
    for _ in range(100_000): pass
"""


@contextmanager
def busy_core(core: int):
    neighbour = subprocess.Popen([sys.executable, "-c", SPIN, str(core)])
    try:
        yield
    finally:
        neighbour.kill()
        neighbour.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-dir", required=True, help="folder of the four MNIST files")
    parser.add_argument("--epochs", type=int, default=5, help="of each kind")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--vs", choices=["torch"])
    args = parser.parse_args()
    core = min(os.sched_getaffinity(0))
    for name in ["fastconv", *(["torch channels-last"] if args.vs else [])]:
        side = Side(name, args.data_dir, args.threads)
        side.epoch()  # warm-up
        side.seconds.clear()
        for _ in range(args.epochs):
            side.epoch()
            with busy_core(core):
                side.epoch()
        side.close()
        quiet, busy = (statistics.median(side.seconds[i::2]) for i in (0, 1))
        print(f"{name:<20} quiet {quiet:.3f} s  busy core {busy:.3f} s  ratio {busy / quiet:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
