"""Draws files of `fastconv bench --vs torch --json`: ratios of each set, and the roofline.

    python bench/plot.py results.json [more.json ...] out.png

A row that stands in several files is taken from the last. Needs matplotlib (the extra "plot").
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import geometric_mean
from typing import Any

try:
    import matplotlib
except ImportError:
    sys.exit("plot.py: drawing needs matplotlib (pip install 'fastconv[plot]')")
matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, NullFormatter
from table import read

from fastconv.bench.networks import NETWORK_SETS
from fastconv.testing import DESCRIPTOR_SETS

COLOURS = {"nchw": "#1f6f8b", "channels-last": "#e07a2f", "rows": "#6b7280"}
MARKERS = {"forward": "o", "backward-input": "^", "backward-weight": "s"}
PASSES = tuple(MARKERS)
FASTER, SLOWER, LIMIT = "#eef6ee", "#fbeeee", "#333333"
TICKS = (0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32)


def sets_of(rows: list[dict]) -> list[str]:
    """The sets of which anything was measured, in the order that the bench knows them."""
    known = {row["descriptor"] for row in rows}
    every = {**DESCRIPTOR_SETS, **NETWORK_SETS}
    return [name for name, members in every.items() if name != "corner" and known & set(members)]


def ratios(rows: list[dict], name: str, pass_name: str, layout: str) -> list[float]:
    members = {**DESCRIPTOR_SETS, **NETWORK_SETS}[name]
    return [
        row["ratio"]
        for row in rows
        if row["descriptor"] in members
        and row["pass"] == pass_name
        and row["layout"] in (layout, "rows" if layout == "nchw" else layout)
        and row["ratio"]
    ]


def draw_bars(axes: Any, rows: list[dict], names: list[str], pass_name: str, layout: str) -> None:
    """A bar for each set's mean ratio, from 1, and a dot for each of its rows."""
    for place, name in enumerate(names):
        found = ratios(rows, name, pass_name, layout)
        if not found:
            continue
        mean = geometric_mean(found)
        axes.barh(place, mean - 1, left=1, height=0.62, color=COLOURS[layout], alpha=0.85)
        axes.plot(found, [place] * len(found), "o", color="black", markersize=2.5, alpha=0.45)
        axes.annotate(
            f"{mean:.2f}",
            (max(mean, 1, *found), place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.axvline(1, color=LIMIT, linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_title(f"{pass_name}, {layout}", fontsize=10)


def share_scale(panels: list[Any], rows: list[dict]) -> None:
    """One scale for all panels, shaded where the peer is the faster one."""
    every = [row["ratio"] for row in rows if row["ratio"]]
    low, high = min(0.8, 0.85 * min(every)), max(2.0, 2.2 * max(every))
    ticks = [tick for tick in TICKS if low <= tick <= high]
    for axes in panels:
        axes.set_xlim(low, high)
        axes.axvspan(low, 1, color=SLOWER, zorder=0)
        axes.axvspan(1, high, color=FASTER, zorder=0)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], fontsize=8)
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.minorticks_off()


def draw_layers(axes: Any, points: list[dict]) -> None:
    """A point for every layer, at its operations a byte and its rate."""
    for layout, colour in COLOURS.items():
        for pass_name, marker in MARKERS.items():
            found = [r for r in points if r["layout"] == layout and r["pass"] == pass_name]
            if found:
                x = [row["gflops"] / row["gbytes"] for row in found]
                y = [row["gflops"] for row in found]
                look = {"color": colour, "marker": marker, "alpha": 0.65, "linewidths": 0}
                axes.scatter(x, y, 20, label=f"{pass_name}, {layout}", **look)


def draw_roofline(axes: Any, rows: list[dict], header: dict) -> None:
    """Every layer below what the machine allows."""
    peak, bandwidth = header["fma_gflops"], max(header["read_gbytes"], header["copy_gbytes"])
    points = [row for row in rows if row["gflops"]]
    draw_layers(axes, points)
    intensities = [row["gflops"] / row["gbytes"] for row in points] or [1]
    low, high, ridge = 0.7 * min(intensities), 1.5 * max(intensities), peak / bandwidth
    axes.plot([low, ridge, high], [low * bandwidth, peak, peak], color=LIMIT, linewidth=1.5)
    label = {"textcoords": "offset points", "fontsize": 8}
    axes.annotate(f"{peak:.0f} GFLOP/s, multiply-adds", (ridge, peak), xytext=(6, 5), **label)
    middle = (low * ridge) ** 0.5
    place = (middle, middle * bandwidth)
    axes.annotate(f"{bandwidth:.0f} GB/s, memory", place, xytext=(-8, 6), ha="right", **label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlim(low, high)
    axes.set_xlabel("operations a byte of inputs and results")
    axes.set_ylabel("GFLOP/s (of the definition: Winograd needs fewer)")
    axes.set_title("roofline: layers below what the machine allows", fontsize=10)
    axes.legend(fontsize=7, loc="lower right", ncols=2)
    axes.grid(alpha=0.2)


def draw_networks(axes: Any, rows: list[dict]) -> None:
    """A bar for each network's ratio."""
    for place, row in enumerate(rows):
        axes.barh(place, row["ratio"] - 1, left=1, height=0.62, color=COLOURS[row["layout"]])
        text = f"{row['ratio']:.2f}"
        if "memory_ratio" in row:
            text += f"  (memory {row['memory_ratio']:.2f})"
        axes.annotate(text, (max(1, row["ratio"]), place), xytext=(5, 0),
                      textcoords="offset points", va="center", fontsize=8)  # fmt: skip
    axes.axvline(1, color=LIMIT, linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(rows)), [row["descriptor"] for row in rows], fontsize=9)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_title("whole networks", fontsize=10)


def draw(header: dict, rows: list[dict]) -> Any:
    """All panels as one figure."""
    networks = [row for row in rows if row["kind"] in NETWORK_SETS]
    layers = [row for row in rows if row["kind"] not in NETWORK_SETS]
    figure = plt.figure(figsize=(15, 13), layout="constrained")
    grid = figure.add_gridspec(3, 3, height_ratios=(1, 1, 1.15))
    names, panels = sets_of(layers), []
    for line, layout in enumerate(("nchw", "channels-last")):
        for column, pass_name in enumerate(PASSES):
            panels.append(figure.add_subplot(grid[line, column]))
            draw_bars(panels[-1], layers, names, pass_name, layout)
    if networks:
        panels.append(figure.add_subplot(grid[2, 0]))
        draw_networks(panels[-1], networks)
    share_scale(panels, rows)
    draw_roofline(figure.add_subplot(grid[2, 1:] if networks else grid[2, :]), layers, header)
    figure.suptitle(
        f"PyTorch {header['torch']} time / fastconv time (above 1: fastconv is faster); bars are "
        f"geometric means, dots rows\n{header['cpu']}, {header['isa']}, {header['threads']} "
        f"threads, {header['dtype']}",
        fontsize=12,
    )
    return figure


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("picture", type=Path)
    args = parser.parse_args()
    header, rows = read(args.results)
    draw(header, rows).savefig(args.picture, dpi=110)
    return 0


if __name__ == "__main__":
    sys.exit(main())
