"""Static checks of the CUDA kernels, for every architecture that the library is built for.

Compiles csrc/cuda without a warning and holds each kernel to its row of csrc/cuda/kernels.md: no
stack and no spills to local memory, at most so many registers, and the instructions that it is
built around are in its machine code. Run it with ``--report`` to see what the kernels take.

Needs nvcc (PATH or CUDACXX); for the instructions, cuobjdump and nvdisasm (PATH or this Python's
nvidia-cuda-cuobjdump and nvidia-cuda-nvdisasm). What cannot be checked is named, and not an error.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
CUDA = ROOT / "csrc" / "cuda"
TABLE = CUDA / "kernels.md"
ARCHITECTURES = ("sm_80", "sm_90a", "sm_100", "sm_120")
NAMESPACE = "fastconv::cuda::"
NVCC_FLAGS = ["-std=c++17", "-O3", "-cubin", "-Werror", "all-warnings", "-Xptxas", "-v"]
HOST_FLAGS = ["-Xcompiler", "-Wall,-Wextra", f"-I{ROOT / 'csrc'}"]


class Row(NamedTuple):
    kernels: str  # a pattern with *
    registers: int
    instructions: list[str]


class Kernel(NamedTuple):
    name: str
    architecture: str
    registers: int
    local: int  # bytes of stack and spills
    shared: int
    opcodes: set[str]


def read_table(path: Path = TABLE) -> list[Row]:
    rows = []
    for line in path.read_text().splitlines():
        cells = [cell.strip().replace("`", "") for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and len(cells) == 3 and cells[1].isdigit():
            rows.append(Row(cells[0], int(cells[1]), cells[2].split()))
    return rows


def demangle(symbol: str) -> str:
    """The kernel's name with its template arguments, without namespace and parameters."""
    function = ctypes.CDLL("libstdc++.so.6").__cxa_demangle
    function.restype = ctypes.c_void_p
    function.argtypes = [ctypes.c_char_p, *[ctypes.c_void_p] * 3]
    text = ctypes.string_at(function(symbol.encode(), None, None, None)).decode()
    text = text.replace(NAMESPACE, "").removeprefix("void ")
    depth = 0
    for i, letter in enumerate(text):
        depth += {"<": 1, ">": -1}.get(letter, 0)
        if letter == "(" and depth == 0:
            return text[:i]
    return text


def parse_ptxas(text: str) -> dict[str, tuple[int, int, int]]:
    """By symbol: registers, bytes of local memory, bytes of static shared memory."""
    found = {}
    for part in text.split("Compiling entry function '")[1:]:
        symbol = part.partition("'")[0]
        local = sum(int(n) for n in re.findall(r"(\d+) bytes (?:stack frame|spill \w+)", part))
        registers = re.search(r"Used (\d+) registers", part)
        shared = re.search(r"(\d+) bytes smem", part)
        found[symbol] = (int(registers[1]), local, int(shared[1]) if shared else 0)
    return found


def parse_sass(text: str) -> dict[str, set[str]]:
    """By symbol: the opcodes with their modifiers."""
    found = {}
    for part in re.split(r"Function : ", text)[1:]:
        symbol = part.split(None, 1)[0]
        code = re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?\w+\s+)?([A-Z][\w.]+)", part)
        found[symbol] = set(code)
    return found


def find_tool(name: str) -> str | None:
    beside = Path(sysconfig.get_path("purelib")) / "nvidia"
    packaged = sorted(beside.glob(f"cu*/bin/{name}"))
    return shutil.which(name) or (str(packaged[-1]) if packaged else None)


def disassemble(cubin: Path) -> str | None:
    cuobjdump, nvdisasm = find_tool("cuobjdump"), find_tool("nvdisasm")
    if cuobjdump is None or nvdisasm is None:
        return None
    path = os.pathsep.join([str(Path(nvdisasm).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        [cuobjdump, "-sass", str(cubin)],
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": path},
    )
    return done.stdout if done.returncode == 0 else None


def compile_kernels(nvcc: str, source: Path, architecture: str) -> list[Kernel]:
    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder) / "kernels.cubin"
        command = [nvcc, *NVCC_FLAGS, *HOST_FLAGS, "-arch", architecture]
        done = subprocess.run(
            [*command, str(source), "-o", str(cubin)], capture_output=True, text=True
        )
        if done.returncode != 0:
            raise SystemExit(
                f"check_sass: {source.relative_to(ROOT)} {architecture}\n{done.stderr}"
            )
        sass = disassemble(cubin)
    opcodes = {} if sass is None else parse_sass(sass)
    return [
        Kernel(demangle(symbol), architecture, *usage, opcodes.get(symbol, set()))
        for symbol, usage in parse_ptxas(done.stderr).items()
    ]


def check(kernel: Kernel, rows: Iterable[Row]) -> list[str]:
    row = next((row for row in rows if fnmatchcase(kernel.name, row.kernels)), None)
    if row is None:
        return [f"has no row in {TABLE.relative_to(ROOT)}"]
    wrong = []
    if kernel.local:
        wrong.append(f"keeps {kernel.local} bytes in local memory")
    if kernel.registers > row.registers:
        wrong.append(f"takes {kernel.registers} registers, {row.registers} at most")
    for wanted in row.instructions if kernel.opcodes else []:
        if not any(opcode.startswith(wanted) for opcode in kernel.opcodes):
            wrong.append(f"holds no {wanted}")
    return wrong


def findings(kernels: list[Kernel], rows: list[Row]) -> list[str]:
    wrong = [f"{k.name} ({k.architecture}) {text}" for k in kernels for text in check(k, rows)]
    for row in rows:
        if not any(fnmatchcase(kernel.name, row.kernels) for kernel in kernels):
            wrong.append(f"no kernel is {row.kernels}, a row of {TABLE.relative_to(ROOT)}")
    return wrong


def report(kernels: list[Kernel]) -> None:
    print("registers  local  shared  kernel")
    for k in sorted(kernels):
        print(f"{k.registers:9}  {k.local:5}  {k.shared:6}  {k.name} ({k.architecture})")


def compile_all(nvcc: str, sources: list[Path]) -> list[Kernel]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(compile_kernels, nvcc, s, a) for s in sources for a in ARCHITECTURES]
        return [kernel for job in jobs for kernel in job.result()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--report", action="store_true", help="print what every kernel takes")
    arguments = parser.parse_args()
    nvcc = os.environ.get("CUDACXX") or shutil.which("nvcc")
    if nvcc is None:
        print("check_sass: skipped, nvcc is not here")
        return 0
    if find_tool("cuobjdump") is None or find_tool("nvdisasm") is None:
        print("check_sass: instructions skipped, cuobjdump or nvdisasm is not here")
    sources = sorted(CUDA.rglob("*.cu"))
    kernels = compile_all(nvcc, sources)
    if arguments.report:
        report(kernels)
    wrong = findings(kernels, read_table())
    for text in wrong:
        print(f"check_sass: {text}")
    print(f"check_sass: {len(kernels)} kernels of {len(sources)} files, {len(wrong)} findings")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
