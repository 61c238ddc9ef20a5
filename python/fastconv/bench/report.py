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


def _header(header: dict[str, Any]) -> None:
    for name, value in header.items():
        print(f"# {name}: {value}")


def _line(columns: Sequence[str], widths: Sequence[int]) -> None:
    pairs = enumerate(zip(columns, widths, strict=False))
    print("  ".join(f"{c:<{w}}" if i < 4 else f"{c:>{w}}" for i, (c, w) in pairs))
    sys.stdout.flush()


def _names(row: Row) -> list[str]:
    return [row["descriptor"], row["pass"], row["layout"], row["implementation"]]


NAMES = ["descriptor", "pass", "layout", "ran"]
NAME_WIDTHS = [26, 15, 13, 24]


class Table:
    """One row below the other; `% limit` is marked m where the memory is what limits."""

    TITLES = ("median ms", "min ms", "GFLOP/s", "% limit")
    WIDTHS = (*NAME_WIDTHS, 10, 10, 8, 7, 10, 6)

    def __init__(self, peer: str | None) -> None:
        self.peer = peer

    def begin(self, header: dict[str, Any]) -> None:
        _header(header)
        peer = [f"{self.peer} ms", "ratio"] if self.peer else []
        _line([*NAMES, *self.TITLES, *peer], self.WIDTHS)

    def row(self, row: Row) -> None:
        columns = [
            *_names(row),
            f"{1e3 * row['median']:.4f}",
            f"{1e3 * row['minimum']:.4f}",
            _rate(row),
            _share(row),
        ]
        if self.peer:
            known = row["peer_median"] is not None
            columns += (
                [f"{1e3 * row['peer_median']:.4f}", f"{row['ratio']:.2f}"] if known else ["-", "-"]
            )
        if "memory_ratio" in row:
            columns.append(f"{row['peak'] / 2**20:.0f} of {row['peer_peak'] / 2**20:.0f} MB")
        _line(columns, (*self.WIDTHS, 16))

    def end(self, rows: Sequence[Row]) -> None:
        if not (self.peer and rows):
            return
        print(f"\n{self.peer}'s time over ours, geometric mean (above 1: fastconv is faster)")
        for entry in summaries(rows):
            name = f"{entry['kind']} {entry['pass']} {entry['layout']}"
            mean, least = entry["geometric_mean"], entry["least"]
            print(f"  {name:<40} {mean:6.2f}   least {least:5.2f}   {entry['rows']} rows")


def _rate(row: Row) -> str:
    return f"{row['gflops']:.1f}" if row["gflops"] else f"{row['gbytes']:.1f}B"


def _share(row: Row) -> str:
    return f"{row['percent_of_limit']:.0f}" + ("m" if row["limit"] == "memory" else " ")


class Scaling:
    """Milliseconds on each number of threads, and how much faster that is than one."""

    def __init__(self) -> None:
        self.counts: list[str] = []

    def begin(self, header: dict[str, Any]) -> None:
        _header(header)

    def row(self, row: Row) -> None:
        times = row["scaling"]
        widths = [*NAME_WIDTHS, *(18 for _ in times)]
        if list(times) != self.counts:
            self.counts = list(times)
            _line([*NAMES, *(f"{count} threads, ms" for count in times)], widths)
        single = times["1"]
        _line(
            [*_names(row), *(f"{1e3 * t:.4f} ({single / t:5.2f})" for t in times.values())], widths
        )

    def end(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        for count in self.counts:
            gains = [row["scaling"]["1"] / row["scaling"][count] for row in rows]
            mean = statistics.geometric_mean(gains)
            print(f"{count} threads: {mean:.2f} times as fast as 1, least {min(gains):.2f}")


def summaries(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Geometric mean, least and number of the ratios, for each kind, pass and layout."""
    groups: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        if row.get("ratio") is not None:
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


def write_json(file: str, header: dict[str, Any], rows: Sequence[Row]) -> None:
    content = {"header": header, "rows": rows, "summary": summaries(rows)}
    save_json(file, content)
