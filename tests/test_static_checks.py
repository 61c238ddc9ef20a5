"""tools/check_sass.py: what it reads from the compiler's reports, and what it objects to."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).resolve().parents[1] / "tools" / "check_sass.py"
spec = importlib.util.spec_from_file_location("check_sass", PATH)
check_sass = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_sass)

SYMBOL = "_ZN8fastconv4cuda14product_kernelINS0_8bfloat16EEEvPKT_S5_Pfiii"
PTXAS = f"""ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '{SYMBOL}' for 'sm_80'
ptxas info    : Function properties for {SYMBOL}
    8 bytes stack frame, 4 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 95 registers, used 1 barriers, 512 bytes smem, 388 bytes cmem[0]
"""
SASS = f"""
\t\tFunction : {SYMBOL}
\t.headerflags\t@"EF_CUDA_SM80 EF_CUDA_VIRTUAL_SM(EF_CUDA_SM80)"
        /*0000*/                   MOV R1, c[0x0][0x28] ;      /* 0x00000a0000017a02 */
        /*1230*/              @!P0 LDGSTS.E.BYPASS.128 [R21], [R18.64], P0 ;   /* 0x0 */
        /*1240*/                   HMMA.16816.F32.BF16 R4, R8, R12, R4 ;       /* 0x0 */
"""


def test_reports_are_read():
    assert check_sass.parse_ptxas(PTXAS) == {SYMBOL: (95, 24, 512)}
    assert check_sass.parse_sass(SASS) == {
        SYMBOL: {"MOV", "LDGSTS.E.BYPASS.128", "HMMA.16816.F32.BF16"}
    }
    assert check_sass.demangle(SYMBOL) == "product_kernel<bfloat16>"


def kernel(registers=64, local=0, opcodes=("HMMA.16816.F32", "LDSM.16.M88.4")):
    name = "product_kernel<half>"
    return check_sass.Kernel(name, "sm_80", registers, local, 0, set(opcodes))


ROW = check_sass.Row("product_kernel<*>", 64, ["HMMA", "LDSM"])


@pytest.mark.parametrize(
    "kernels, rows, expected",
    [
        ([kernel()], [ROW], []),
        ([kernel(65)], [ROW], ["takes 65 registers, 64 at most"]),
        ([kernel(local=8)], [ROW], ["keeps 8 bytes in local memory"]),
        ([kernel(opcodes=["LDSM"])], [ROW], ["holds no HMMA"]),
        ([kernel(opcodes=[])], [ROW], []),
        ([kernel()], [], ["has no row in csrc/cuda/kernels.md"]),
        ([kernel()], [ROW, ROW._replace(kernels="gone_kernel")], ["no kernel is gone_kernel"]),
    ],
)
def test_objections(kernels, rows, expected):
    found = check_sass.findings(kernels, rows)
    assert len(found) == len(expected)
    assert all(text in line for text, line in zip(expected, found, strict=True))


def test_the_table_is_read():
    rows = check_sass.read_table()
    assert rows and all(row.registers <= 255 for row in rows)
    assert ["LDG.E.128", "STG.E.128"] in [row.instructions for row in rows]
