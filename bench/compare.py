"""Shows what moved between two files of `fastconv bench --json`.

    python bench/compare.py old.json new.json

A factor above 1 means that the new time is shorter. Rows are sorted by it, slowest first; where
both files have a peer's times, the peer's move on the same row says how far to trust the machine.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from statistics import geometric_mean

KEY = ("descriptor", "pass", "layout", "dtype")
SAME = ("cpu", "isa", "threads", "dtype")


def rows_of(content: dict) -> dict[tuple[str, ...], dict]:
    return {tuple(row[name] for name in KEY): row for row in content["rows"]}


def warn_of_unlike_machines(old: dict, new: dict) -> None:
    for name in SAME:
        before, after = old["header"].get(name), new["header"].get(name)
        if before != after:
            print(f"! {name} differs: {before} and {after}; times do not compare")


def moves(old: dict, new: dict, field: str) -> dict[tuple[str, ...], float]:
    """Old time over new time of every row that both have."""
    before, after = rows_of(old), rows_of(new)
    return {
        key: before[key][field] / after[key][field]
        for key in before
        if key in after and before[key][field] and after[key][field]
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--least", type=float, default=0.0, help="leave out moves below this share")
    args = parser.parse_args()
    old, new = (json.loads(file.read_text(encoding="utf-8")) for file in (args.old, args.new))
    warn_of_unlike_machines(old, new)
    ours, peers = moves(old, new, "median"), moves(old, new, "peer_median")
    if not ours:
        print("the files have no row in common", file=sys.stderr)
        return 1
    before, after = rows_of(old), rows_of(new)
    for key in sorted(ours, key=lambda key: ours[key]):
        if abs(ours[key] - 1) < args.least:
            continue
        peer = f"  peer {peers[key]:5.2f}" if key in peers else ""
        ran = before[key]["implementation"], after[key]["implementation"]
        changed = "" if ran[0] == ran[1] else f"  {ran[0]} -> {ran[1]}"
        times = f"{1e3 * before[key]['median']:9.4f} -> {1e3 * after[key]['median']:9.4f} ms"
        print(f"{ours[key]:5.2f}  {times}{peer}  {' '.join(key)}{changed}")
    print(f"{geometric_mean(list(ours.values())):5.2f}  geometric mean of {len(ours)} rows")
    if peers:
        print(f"{geometric_mean(list(peers.values())):5.2f}  the peer's, of {len(peers)} rows")
    missing = set(before) ^ set(after)
    if missing:
        print(f"{len(missing)} rows are in one file only")
    return 0


if __name__ == "__main__":
    sys.exit(main())
