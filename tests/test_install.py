"""What an installed package is: its files, its dependencies, the cost of importing it."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from deadlines import HANG

import fastconv

PROJECT = Path(__file__).parent.parent
FOLDERS = [PROJECT / "dist", Path(os.environ.get("FASTCONV_WHEEL_DIR", PROJECT / "dist"))]
WHEELS = [wheel for folder in FOLDERS for wheel in sorted(folder.glob("fastconv-*.whl"))]


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=HANG, check=True
    )


def test_typing_files_are_installed():
    package = importlib.resources.files("fastconv")
    assert package.joinpath("py.typed").is_file()
    assert "def conv2d" in package.joinpath("_core.pyi").read_text(encoding="utf-8")


def test_version_is_stated_once():
    assert fastconv.__version__ == importlib.metadata.version("fastconv")


def test_runtime_dependencies():
    required = importlib.metadata.requires("fastconv") or []
    plain = {re.split(r"[ <>=!~\[;]", text)[0] for text in required if "extra ==" not in text}
    assert plain == {"numpy", "safetensors", "tqdm"}


# Loaded by the first use of what needs them, and never with the package.
LATE = [
    "tqdm",
    "safetensors",
    "matplotlib",
    "PIL",
    "pooch",
    "torch",
    "scipy",
    "hypothesis",
    "pytest",
    "argparse",
    "asyncio",
    "multiprocessing",
    "concurrent.futures",
    "unittest",
    "pdb",
]


def test_import_loads_nothing_that_can_wait():
    code = (
        "import sys, numpy; before = set(sys.modules); import fastconv; "
        "print(*sorted(set(sys.modules) - before))"
    )
    loaded = set(python("-c", code).stdout.split())
    assert "fastconv._core" in loaded
    assert not loaded & set(LATE)


def test_import_is_quick():
    """At most three times NumPy's processor time, which grows as ours on a busy machine."""
    code = (
        "from time import process_time as now; start = now(); import numpy; middle = now(); "
        "import fastconv; print((now() - middle) / (middle - start))"
    )
    assert min(float(python("-c", code).stdout) for _ in range(5)) <= 3


def test_no_cuda_is_touched_by_the_import():
    code = (
        "import fastconv; maps = open('/proc/self/maps').read(); "
        "print('/libcuda' in maps or '/_cuda' in maps)"
    )
    assert python("-c", code).stdout.strip() == "False"


@pytest.mark.skipif(not WHEELS, reason="no wheel in FASTCONV_WHEEL_DIR or dist/")
def test_wheel():
    wheel = WHEELS[-1]
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    with_cuda = any(name.startswith("fastconv/_cuda.") for name in names)
    assert wheel.stat().st_size <= (20 if with_cuda else 5) << 20
    package = PROJECT / "python" / "fastconv"
    ours = {f"fastconv/{path.relative_to(package)}" for path in package.rglob("*.py")}
    ours |= {f"fastconv/examples/{path.name}" for path in (PROJECT / "examples").glob("*.py")}
    assert ours and ours <= set(names)
    assert {"fastconv/py.typed", "fastconv/_core.pyi"} <= set(names)
    assert any(re.fullmatch(r"fastconv/_core\..*\.so", name) for name in names)
    assert any("licenses/LICENSE" in name for name in names)
    assert not [
        name for name in names if name.startswith(("tests/", "bench/", "csrc/", "examples/"))
    ]
