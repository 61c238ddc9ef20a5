"""Peak memory of a training row, each side in a process of its own.

    python -m fastconv.bench.footprint train:lenet5-n64 fastconv 2

prints the bytes that were resident at most, the interpreter and the library included, and those
that were resident when all was imported.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

STEPS = 10


def peak_memory(descriptor: str, side: str, threads: int) -> dict[str, int]:
    """Bytes: `peak`, and `imported` before the first step.

    side: "fastconv", "torch nchw" or "torch channels-last".
    """
    command = [sys.executable, "-m", "fastconv.bench.footprint", descriptor, side, str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def resident_at_most() -> int:
    """Of this program alone: getrusage would begin with what the parent process held."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return 1024 * int(kilobytes)


def main(descriptor: str, side: str, threads: int) -> None:
    from fastconv.bench.networks import our_step, torch_step

    if side == "fastconv":
        import fastconv

        fastconv.set_num_threads(threads)
    else:
        import torch

        torch.set_num_threads(threads)
    imported = resident_at_most()
    step = (
        our_step(descriptor)
        if side == "fastconv"
        else torch_step(descriptor, side == "torch channels-last")
    )
    for _ in range(STEPS):
        step()
    print(json.dumps({"peak": resident_at_most(), "imported": imported}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
