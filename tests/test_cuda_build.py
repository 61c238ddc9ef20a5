"""What FASTCONV_CUDA makes of the nvcc that it finds. Only configured, nothing is compiled."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "cmake" / "cuda.cmake"
CMAKE, NVCC = shutil.which("cmake"), shutil.which("nvcc")

# The rest of the build, as far as cuda.cmake sees it.
PROJECT = f"""
cmake_minimum_required(VERSION 3.20)
project(test LANGUAGES CXX)
function(pybind11_add_module name)
  add_library(${{name}} MODULE probe.cpp)
  message(STATUS "module ${{name}}")
endfunction()
include({SCRIPT.as_posix()})
"""

pytestmark = pytest.mark.skipif(CMAKE is None, reason="needs cmake")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("project")
    (made / "CMakeLists.txt").write_text(PROJECT)
    (made / "probe.cpp").write_text("")
    return made


def configure(folder: Path, nvcc: str | None, build: str = "build", **settings: str):
    """The exit code and what CMake said."""
    environment = {k: v for k, v in os.environ.items() if k != "CUDACXX"}
    if nvcc is not None:
        environment["CUDACXX"] = nvcc
    options = [f"-D{name}={value}" for name, value in settings.items()]
    command = [str(CMAKE), "-S", str(folder), "-B", str(folder / build), *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def fake(folder: Path, name: str, script: str) -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


BROKEN = {
    "silent": ("exit 1", "does not run"),
    "absent": (None, "does not run"),
    "old": ("echo 'Cuda compilation tools, release 11.5, V11.5.119'", "is 11.5, needed is 12.8"),
    "no_headers": (
        "[ $1 = --version ] && echo release 13.0 && exit\n"
        "echo 'fatal error: cuda_runtime.h: No such file or directory' >&2; exit 1",
        "cannot build a program (fatal error: cuda_runtime.h: No such file or directory)",
    ),
}
# A machine with a driver, as far as cuda.cmake sees it.
DRIVER = {"FASTCONV_DRIVER_TRACES": str(SCRIPT)}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_nvcc_fails_where_cuda_is_asked_for_and_only_there(folder, name):
    script, reason = BROKEN[name]
    nvcc = str(folder / "absent") if script is None else fake(folder, name, script)
    code, text = configure(folder, nvcc, FASTCONV_CUDA="ON")
    assert code == 1 and f"FASTCONV_CUDA=ON, but {nvcc} {reason}" in text
    assert 'pip install "cuda-toolkit[nvcc,cudart,cccl,crt,nvvm]==13.0.*"' in text
    code, text = configure(folder, nvcc, FASTCONV_CUDA="AUTO", **DRIVER)
    assert code == 0 and f"-- CUDA: not built ({nvcc} {reason}" in text and "module" not in text


def test_without_a_driver_auto_does_not_even_look_for_nvcc(folder):
    nvcc = fake(folder, "touched", f"touch {folder}/trace; exit 1")
    code, text = configure(folder, nvcc, FASTCONV_CUDA="AUTO", FASTCONV_DRIVER_TRACES="/nowhere")
    assert code == 0 and "-- CUDA: not built (no NVIDIA driver here; FASTCONV_CUDA=ON" in text
    assert not (folder / "trace").exists()


def test_off_and_nonsense(folder):
    code, text = configure(folder, None, FASTCONV_CUDA="OFF", **DRIVER)
    assert code == 0 and "-- CUDA: not built (FASTCONV_CUDA=OFF)" in text
    code, text = configure(folder, None, FASTCONV_CUDA="MAYBE")
    assert code == 1 and "FASTCONV_CUDA must be AUTO, ON or OFF, not MAYBE" in text


@pytest.mark.skipif(NVCC is None, reason="needs nvcc")
@pytest.mark.parametrize("setting", ["ON", "AUTO"])
def test_an_nvcc_that_works_builds_the_module(folder, setting):
    code, text = configure(folder, NVCC, f"build {setting}", FASTCONV_CUDA=setting, **DRIVER)
    assert code == 0 and "-- module _cuda" in text, text
    assert f"-- CUDA: {NVCC} " in text and " for 80-real;90a-real;100-real;120 " in text
