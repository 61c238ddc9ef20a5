"""The bench as text and as JSON."""

from __future__ import annotations

import os
import platform
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import fastconv
from fastconv import _core
from fastconv.files import save_json

Row = dict[str, Any]


def cpu_name() -> str:
    """The processor as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def machine(dtype: str) -> dict[str, Any]:
    """What a result depends on besides the code."""
    config = _core.config()
    return {
        "cpu": cpu_name(),
        "load": round(os.getloadavg()[0], 2),
        "isa": config["isa"],
        "threads": config["threads"],
        "dtype": dtype,
        "fastconv": fastconv.__version__,
        "compiler": config["compiler"],
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def print_header(header: dict[str, Any]) -> None:
    for name, value in header.items():
        print(f"# {name}: {value}")


def _columns(row: Row, peer: bool) -> list[str]:
    rate = f"{row['gflops']:.1f}" if row["gflops"] else f"{row['gbytes']:.1f}B"
    columns = [
        row["descriptor"],
        row["pass"],
        row["layout"],
        row["implementation"],
        f"{1e3 * row['median']:.4f}",
        f"{1e3 * row['minimum']:.4f}",
        rate,
        f"{row['percent_of_gemm']:.0f}" if row["percent_of_gemm"] else "-",
    ]
    if peer:
        ours = row["peer_median"] is not None
        columns += (
            [f"{1e3 * row['peer_median']:.4f}", f"{row['ratio']:.2f}"] if ours else ["-", "-"]
        )
    return columns


TITLES = ["descriptor", "pass", "layout", "ran", "median ms", "min ms", "GFLOP/s", "% gemm"]
WIDTHS = [26, 15, 13, 24, 10, 10, 8, 6, 10, 6]


def _line(columns: Sequence[str]) -> str:
    pairs = enumerate(zip(columns, WIDTHS, strict=False))
    return "  ".join(f"{c:<{w}}" if i < 4 else f"{c:>{w}}" for i, (c, w) in pairs)


def print_titles(peer: str | None) -> None:
    print(_line(TITLES + ([f"{peer} ms", "ratio"] if peer else [])))


def print_row(row: Row, peer: bool) -> None:
    print(_line(_columns(row, peer)))
    sys.stdout.flush()


def summaries(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Geometric mean, least and number of the ratios, for each kind, pass and layout."""
    groups: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        if row["ratio"] is not None:
            key = (row["kind"], row["pass"], row["layout"])
            groups.setdefault(key, []).append(row["ratio"])
    return [
        {
            "kind": kind,
            "pass": pass_name,
            "layout": layout,
            "geometric_mean": statistics.geometric_mean(ratios),
            "least": min(ratios),
            "rows": len(ratios),
        }
        for (kind, pass_name, layout), ratios in groups.items()
    ]


def print_summaries(found: Sequence[dict[str, Any]], peer: str) -> None:
    print(f"\n{peer}'s time over ours, geometric mean (above 1: fastconv is faster)")
    for entry in found:
        name = f"{entry['kind']} {entry['pass']} {entry['layout']}"
        mean, least = entry["geometric_mean"], entry["least"]
        print(f"  {name:<40} {mean:6.2f}   least {least:5.2f}   {entry['rows']} rows")


def write_json(file: str, header: dict[str, Any], rows: Sequence[Row]) -> None:
    content = {"header": header, "rows": rows, "summary": summaries(rows)}
    save_json(file, content)
