"""Kernel benchmarks: what `fastconv bench` runs."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
from typing import Any

PASSES = ("forward", "backward-input", "backward-weight")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `fastconv bench`."""
    add = parser.add_argument
    add("descriptor", nargs="*", metavar="DESCRIPTOR", help="problems, such as n8c64h56k64r3p1")
    add("--set", nargs="+", metavar="NAME", help="named sets of problems (default: lenet)")
    add("--vs", choices=["torch"], help="measure the peer in turn, in this process")
    add("--scaling", action="store_true", help="times on 1, 2, 4 ... threads instead")
    add("--json", metavar="FILE", help="also write everything here")
    add("--pass", dest="passes", nargs="+", choices=PASSES, default=list(PASSES))
    add("--layout", choices=["nchw", "channels-last", "both"], default="both")
    add("--dtype", choices=["float32", "float64"], default="float32")
    add("--threads", type=int, metavar="N", help="of both sides (default: the cores there are)")
    add("--seconds", type=float, default=0.2, metavar="S", help="for each side of a row")
    add(
        "--repeats",
        type=int,
        metavar="N",
        help="turns of each side of a row, in place of --seconds",
    )


def run(args: argparse.Namespace) -> int:
    """Measures and prints one row after the other; returns the exit code.

    Raises ValueError where a set or a descriptor is not understood, and OSError where the JSON
    cannot be written, before anything is measured.
    """
    from fastconv.bench import ceilings, report, rows
    from fastconv.config import get_num_threads, threads
    from fastconv.files import writable_path

    descriptors = _descriptors(args)
    if args.json:
        writable_path(args.json)
    options = _options(args)
    with threads(args.threads or get_num_threads()):
        limits = ceilings.measure_ceilings(args.dtype, args.repeats)
        header = _header(args, limits)
        table = report.Scaling() if args.scaling else report.Table(options.peer)
        table.begin(header)
        done = []
        with contextlib.suppress(KeyboardInterrupt):  # what was measured is still reported
            for subject in rows.subjects(descriptors, options):
                measure = rows.scaled if args.scaling else rows.measured
                done.append(measure(subject, options, limits))
                table.row(done[-1])
        table.end(done)
        if args.json:
            report.write_json(args.json, header, done)
    return 0


def _descriptors(args: argparse.Namespace) -> list[str]:
    """What was named, each checked."""
    from fastconv.bench import cases, moving, networks
    from fastconv.testing import DESCRIPTOR_SETS

    if args.vs and importlib.util.find_spec("torch") is None:
        raise ModuleNotFoundError("--vs torch needs PyTorch: pip install torch==2.13.0")
    names = args.set or ([] if args.descriptor else ["lenet"])
    descriptors = list(args.descriptor)
    sets = {
        **DESCRIPTOR_SETS,
        **cases.AVERAGE_SETS,
        **moving.MOVING_SETS,
        **networks.NETWORK_SETS,
    }
    for name in names:
        if name not in sets:
            raise ValueError(f"no set is named {name!r}; there are {', '.join(sets)}")
        descriptors += sets[name]
    for descriptor in descriptors:
        check = networks.network if networks.is_network(descriptor) else cases.problem_of
        check(descriptor)
    return list(dict.fromkeys(descriptors))


def _options(args: argparse.Namespace) -> Any:
    from fastconv.bench.cases import LAYOUTS
    from fastconv.bench.rows import Options

    layouts = list(LAYOUTS) if args.layout == "both" else [args.layout]
    pass_names = [name.replace("-", "_") for name in args.passes]
    peer = None if args.scaling else args.vs
    return Options(args.dtype, layouts, pass_names, peer, args.seconds, args.repeats)


def _header(args: argparse.Namespace, limits: Any) -> dict[str, Any]:
    from fastconv.bench import report, torch_peer
    from fastconv.config import get_num_threads

    header = report.machine(args.dtype)
    if args.vs == "torch":
        torch_peer.set_num_threads(get_num_threads())
        header.update(torch_peer.versions())
    header["fma_gflops"] = round(limits.fma / 1e9, 1)
    header["read_gbytes"] = round(limits.read / 1e9, 1)
    header["copy_gbytes"] = round(limits.copy / 1e9, 1)
    header["call_us"] = round(1e6 * _call_cost(), 2)
    return header


def _call_cost() -> float:
    """Seconds of the smallest call: checks, dispatch, allocation."""
    import numpy as np

    from fastconv import ops
    from fastconv.bench.measure import in_turns

    x = np.ones(1, np.float32)
    return in_turns([lambda: ops.relu(x)], seconds=0.1)[0].median
