"""Prints the README's tables from files of `fastconv bench --vs torch --json`.

    python bench/table.py results.json [more.json ...]

A row that stands in several files is taken from the last. Every cell is the geometric mean of the
peer's time over ours, the least of them, and the row that it belongs to.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import geometric_mean

from fastconv.testing import parse_descriptor

Row = dict
LAYOUTS = ("nchw", "channels-last")


def is_conv(row: Row) -> bool:
    return row["kind"] == "conv"


def is_3x3(row: Row, fits: Callable[[int], bool]) -> bool:
    """Stride 1, no groups, 64 channels and more on both sides, maps of a size that fits."""
    if not is_conv(row):
        return False
    p = parse_descriptor(row["descriptor"])
    plain = p.kernel == (3, 3) and p.stride == (1, 1) and p.dilation == (1, 1) and p.groups == 1
    return plain and min(p.in_channels, p.out_channels) >= 64 and fits(min(p.input))


def is_linear(row: Row, fits: Callable[[int], bool]) -> bool:
    return row["kind"] == "linear" and fits(parse_descriptor(row["descriptor"]).rows)


FORWARD, BACKWARD_INPUT, BACKWARD_WEIGHT = "forward", "backward-input", "backward-weight"
PASSES = (FORWARD, BACKWARD_INPUT, BACKWARD_WEIGHT)

CONVOLUTIONS: list[tuple[str, tuple[str, ...], Callable[[Row], bool]]] = [
    *((f"all, {name}", (name,), is_conv) for name in PASSES),
    *(
        (f"3x3, 64 channels and more, maps from 14x14, {name}", (name,), large)
        for name in PASSES
        for large in [lambda row: is_3x3(row, lambda size: size >= 14)]
    ),
    *(
        (f"the same at 7x7, {name}", (name,), small)
        for name in PASSES
        for small in [lambda row: is_3x3(row, lambda size: size == 7)]
    ),
    ("max pooling with indices, forward", (FORWARD,), lambda row: row["kind"] == "pool"),
    ("max pooling, backward", (BACKWARD_INPUT,), lambda row: row["kind"] == "pool"),
]
LINEAR: list[tuple[str, tuple[str, ...], Callable[[Row], bool]]] = [
    (f"{name}, {title}", passes, chosen)
    for name, chosen in (
        ("64 rows and more", lambda row: is_linear(row, lambda count: count >= 64)),
        ("1 to 8 rows", lambda row: is_linear(row, lambda count: count <= 8)),
    )
    for title, passes in (("forward", (FORWARD,)), ("backward", (BACKWARD_INPUT, BACKWARD_WEIGHT)))
]


def cell(rows: list[Row]) -> str:
    if not rows:
        return "-"
    mean, least = (
        geometric_mean([row["ratio"] for row in rows]),
        min(rows, key=lambda r: r["ratio"]),
    )
    return f"{mean:.2f}, {least['ratio']:.2f} (`{least['descriptor']}`), {len(rows)} rows"


def print_layers(rows: list[Row]) -> None:
    print("| layers | NCHW: mean, least | channels last: mean, least |\n|---|---|---|")
    for title, passes, chosen in CONVOLUTIONS:
        found = [row for row in rows if row["pass"] in passes and chosen(row)]
        cells = [cell([row for row in found if row["layout"] == layout]) for layout in LAYOUTS]
        print(f"| {title} | {cells[0]} | {cells[1]} |")
    print("\n| linear | mean, least |\n|---|---|")
    for title, passes, chosen in LINEAR:
        found = [row for row in rows if row["pass"] in passes and chosen(row)]
        print(f"| {title} | {cell(found)} |")


def print_networks(rows: list[Row]) -> None:
    print("\n| network | fastconv | PyTorch | ratio | peak memory |\n|---|---|---|---|---|")
    times = {row["descriptor"]: row for row in rows}
    for row in rows:
        memory = "-"
        if "memory_ratio" in row:
            ours, theirs = (row[name] / 2**20 for name in ("peak", "peer_peak"))
            memory = f"{ours:.0f} of {theirs:.0f} MB, {row['memory_ratio']:.2f}"
        own, peer = (f"{1e3 * row[name]:.3g} ms" for name in ("median", "peer_median"))
        quiet = times.get(row["descriptor"].replace("busy:", "train:"))
        if row["kind"] == "busy" and quiet:
            own += f" ({row['median'] / quiet['median']:.1f} times the quiet one)"
            peer += f" ({row['peer_median'] / quiet['peer_median']:.1f})"
        print(f"| `{row['descriptor']}` | {own} | {peer} | {row['ratio']:.2f} | {memory} |")


def print_machine(header: dict) -> None:
    print(
        f"\n{header['cpu']}, {header['isa']}, {header['threads']} threads, {header['dtype']}; "
        f"multiply-adds at {header['fma_gflops']:.0f} GFLOP/s, memory at "
        f"{max(header['read_gbytes'], header['copy_gbytes']):.0f} GB/s; fastconv "
        f"{header['fastconv']} ({header['compiler']}), PyTorch {header['torch']}, "
        f"NumPy {header['numpy']}, Python {header['python']}; load {header['load']}."
    )


def read(files: list[Path]) -> tuple[dict, list[Row]]:
    """The last file's header, and the rows of all that have a peer's time."""
    contents = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    key = ("descriptor", "pass", "layout")
    rows = {
        tuple(row[name] for name in key): row
        for content in contents
        for row in content["rows"]
        if row.get("ratio") is not None
    }
    if not rows:
        raise SystemExit("no row has a peer's time: measure with --vs torch")
    return contents[-1]["header"], list(rows.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", nargs="+", type=Path)
    header, rows = read(parser.parse_args().results)
    print_layers([row for row in rows if row["kind"] in ("conv", "pool", "linear")])
    networks = [row for row in rows if row["kind"] in ("train", "infer", "busy")]
    if networks:
        print_networks(networks)
    print_machine(header)
    return 0


if __name__ == "__main__":
    sys.exit(main())
