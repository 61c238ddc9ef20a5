"""Everything that only a GPU can answer, in one run of under nine minutes:

    python bench/gpu.py [--out FOLDER] [--steps build tests sanitizer golden rows networks]

Builds fastconv with CUDA for the device that is there, runs the tests on it, compute-sanitizer's
memcheck and racecheck on small cases, records what the primitives answer (for the emulator's
tests), and measures kernels and networks beside PyTorch (gpu_rows.py). Needs nvcc, CMake, pybind11,
CuPy, pytest, hypothesis, and for the last two steps PyTorch. What a step prints is kept in
FOLDER/<step>.log; FOLDER/summary.json says how each ended, on which device, with which versions.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "build" / "gpu" / "site"
# A share of the nine minutes each; a step that takes longer is stopped and said to have been.
SECONDS = {"build": 240, "tests": 90, "sanitizer": 60, "golden": 20, "rows": 90, "networks": 60}
SMALL = ["tests", "-k", "cuda and not emulated and (corner or sgd or total_norm or softmax)"]


def environment() -> dict[str, str]:
    found = [str(SITE), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, found)), "CI": "1"}


class Step:
    """Runs commands one after the other until one fails or the time is over."""

    def __init__(self, name: str, log: Path) -> None:
        self.log, self.end = log, time.monotonic() + SECONDS[name]
        log.write_text("")

    def run(self, *command: object) -> None:
        """Raises CalledProcessError or TimeoutExpired."""
        words = [str(word) for word in command]
        with self.log.open("a") as log:
            print("$", *words, file=log, flush=True)
            left = max(1.0, self.end - time.monotonic())
            subprocess.run(
                words, cwd=ROOT, env=environment(), stdout=log, stderr=log, timeout=left, check=True
            )


def architecture() -> str:
    """Of the first device, as CMake names it: 90a-real."""
    asked = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    capability = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    number = capability.split()[0].replace(".", "")
    return f"{number}a-real" if number == "90" else f"{number}-real"


def build(step: Step, out: Path) -> None:
    folder = ROOT / "build" / "gpu"
    step.run(
        *("cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"),
        *("-DFASTCONV_CUDA=ON", f"-DCMAKE_CUDA_ARCHITECTURES={architecture()}"),
        *("-DSKBUILD_PROJECT_VERSION=0", f"-DPython_EXECUTABLE={sys.executable}"),
        f"-Dpybind11_DIR={pybind11_folder()}",
    )
    step.run("cmake", "--build", folder)
    step.run("cmake", "--install", folder, "--prefix", SITE)
    shutil.copytree(ROOT / "python" / "fastconv", SITE / "fastconv", dirs_exist_ok=True)
    step.run(sys.executable, "-m", "fastconv", "info")


def pybind11_folder() -> str:
    asked = [sys.executable, "-m", "pybind11", "--cmakedir"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


def tests(step: Step, out: Path) -> None:
    step.run(
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:xdist"),
        *("-k", "cuda and not emulated", "tests"),
        f"--junitxml={out / 'tests.xml'}",
    )


def sanitizer(step: Step, out: Path) -> None:
    for tool in ("memcheck", "racecheck"):
        step.run(
            *("compute-sanitizer", "--tool", tool, "--error-exitcode", "9"),
            *("--target-processes", "all", sys.executable, "-m", "pytest", "-q", "-x"),
            *("-p", "no:xdist", *SMALL),
        )


def golden(step: Step, out: Path) -> None:
    library = ROOT / "build" / "gpu" / "primitives.so"
    emulator = ROOT / "tests" / "emulator"
    step.run(
        *("nvcc", "-std=c++17", "-O2", "-shared", "-Xcompiler", "-fPIC", f"-I{ROOT / 'csrc'}"),
        *(f"-arch=sm_{architecture().removesuffix('-real')}", "-o", library),
        emulator / "kernels" / "primitives.cu",
        ROOT / "csrc" / "cuda" / "launch.cpp",
    )
    step.run(sys.executable, "-m", "emulator.record", library, out / "golden.npz")


def rows(step: Step, out: Path) -> None:
    step.run(sys.executable, ROOT / "bench" / "gpu_rows.py", "kernels", "--json", out / "rows.json")


def networks(step: Step, out: Path) -> None:
    script = ROOT / "bench" / "gpu_rows.py"
    step.run(sys.executable, script, "networks", "--json", out / "networks.json")


STEPS: dict[str, Callable[[Step, Path], None]] = {
    "build": build,
    "tests": tests,
    "sanitizer": sanitizer,
    "golden": golden,
    "rows": rows,
    "networks": networks,
}


def versions() -> dict[str, str]:
    """Device, driver, compiler, libraries."""
    commands = {
        "device": "nvidia-smi --query-gpu=name,driver_version --format=csv,noheader",
        "nvcc": "nvcc --version",
        "cupy": f"{sys.executable} -c 'import cupy; print(cupy.__version__)'",
        "torch": f"{sys.executable} -c 'import torch; print(torch.__version__)'",
        "revision": "git rev-parse HEAD",
    }
    found = {"date": datetime.date.today().isoformat()}
    for name, command in commands.items():
        done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=ROOT)
        lines = done.stdout.split("\n")
        found[name] = next((line for line in reversed(lines) if line), "not found")
    return found


def attempt(name: str, out: Path) -> dict[str, object]:
    """How a step ended."""
    step, start = Step(name, out / f"{name}.log"), time.monotonic()
    try:
        STEPS[name](step, out)
        ended = "passed"
    except subprocess.TimeoutExpired:
        ended = f"stopped after {SECONDS[name]} s"
    except (subprocess.CalledProcessError, OSError) as error:
        ended = f"failed: {error}"
    return {"step": name, "ended": ended, "seconds": round(time.monotonic() - start, 1)}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "gpu" / "results")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    args = parser.parse_args()
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    summary: dict[str, object] = {**versions(), "steps": []}
    done: list[dict[str, object]] = []
    for name in args.steps:
        done.append(attempt(name, out))
        print(f"{name:<10} {done[-1]['seconds']:>6} s  {done[-1]['ended']}", flush=True)
        summary["steps"] = done
        (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
        if name == "build" and done[-1]["ended"] != "passed":
            break
    return int(any(step["ended"] != "passed" for step in done))


if __name__ == "__main__":
    sys.exit(main())
