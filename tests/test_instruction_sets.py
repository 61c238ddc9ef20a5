"""Runs the kernel tests again for every other instruction set that this machine has.

The set is chosen once, when the module loads, so each gets a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastconv import _core

TESTS = Path(__file__).parent
KERNEL_TESTS = [
    "conv",
    "conv1d",
    "conv_layout",
    "winograd",
    "pool",
    "pool_nd",
    "average_pool",
    "linear",
    "activation",
    "loss",
    "batch_norm",
    "conv_pool",
    "conv_pool_backward",
    "dropout",
    "group_norm",
    "local_response_norm",
    "update",
    "determinism",
]
AVAILABLE = _core.config()["available_isas"]
OTHERS = [isa for isa in AVAILABLE if isa != _core.config()["isa"]]


def run_python(isa: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "FASTCONV_ISA": isa}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize("isa", OTHERS)
def test_kernels(isa):
    files = [str(TESTS / f"test_{name}.py") for name in KERNEL_TESTS]
    quiet = ["-q", "--no-header", "--tb=short", "-p", "no:cacheprovider"]
    result = run_python(isa, "-m", "pytest", *quiet, "-k", f"cpu:{isa}", *files)
    if result.returncode != 0:
        report = result.stdout[-8000:] + result.stderr[-2000:]
        pytest.fail(f"kernel tests with FASTCONV_ISA={isa}:\n{report}", pytrace=False)
    assert " passed" in result.stdout


@pytest.mark.parametrize("isa", AVAILABLE)
def test_forced_set_is_the_one_that_runs(isa):
    result = run_python(isa, "-c", "from fastconv import _core; print(_core.config()['isa'])")
    assert result.stdout.strip() == isa, result.stderr


def test_unknown_set_is_refused_in_one_sentence():
    use = "import numpy, fastconv; fastconv.ops.relu(numpy.ones(3))"
    result = run_python("sse9", "-c", use)
    assert result.returncode == 1
    message = result.stderr.strip().splitlines()[-1]
    assert "FASTCONV_ISA" in message and "sse9" in message
