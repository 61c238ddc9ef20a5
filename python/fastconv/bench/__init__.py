"""Kernel benchmarks: what `fastconv bench` runs."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

PASSES = ("forward", "backward-input", "backward-weight")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `fastconv bench`."""
    add = parser.add_argument
    add("descriptor", nargs="*", metavar="DESCRIPTOR", help="problems, such as n8c64h56k64r3p1")
    add("--set", nargs="+", metavar="NAME", help="named sets of problems (default: lenet)")
    add("--vs", choices=["torch"], help="measure the peer in turn, in this process")
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
    from fastconv.bench import report, torch_peer
    from fastconv.bench.cases import LAYOUTS, cases
    from fastconv.config import get_num_threads, threads
    from fastconv.files import writable_path
    from fastconv.testing import descriptor_set, parse_descriptor

    names = args.set or ([] if args.descriptor else ["lenet"])
    descriptors = [*args.descriptor, *descriptor_set(*names)]
    for descriptor in descriptors:
        parse_descriptor(descriptor)
    if args.json:
        writable_path(args.json)
    layouts = list(LAYOUTS) if args.layout == "both" else [args.layout]
    pass_names = [name.replace("-", "_") for name in args.passes]
    peer = torch_peer.without_tape() if args.vs else contextlib.nullcontext()
    with threads(args.threads or get_num_threads()), peer:
        header = _header(args)
        report.print_header(header)
        report.print_titles(args.vs)
        rows = []
        with contextlib.suppress(KeyboardInterrupt):  # what was measured is still reported
            for case in cases(descriptors, pass_names, layouts, args.dtype):
                rows.append(_row(case, args, header["gemm_gflops"]))
                report.print_row(rows[-1], args.vs is not None)
        if args.vs and rows:
            report.print_summaries(report.summaries(rows), args.vs)
        if args.json:
            report.write_json(args.json, header, rows)
    return 0


def _header(args: argparse.Namespace) -> dict[str, Any]:
    from fastconv.bench import report, torch_peer
    from fastconv.config import get_num_threads

    header = report.machine(args.dtype)
    if args.vs == "torch":
        torch_peer.set_num_threads(get_num_threads())
        header.update(torch_peer.versions())
    header["gemm_gflops"] = round(_gemm_rate(args.dtype), 1)
    header["yardstick"] = "% gemm is the share of gemm_gflops: our own 2048x2048x2048 ops.linear"
    header["call_us"] = round(1e6 * _call_cost(), 2)
    return header


def _gemm_rate(dtype: str) -> float:
    """GFLOP/s of a matrix product large enough to run at full speed."""
    from fastconv import ops
    from fastconv.bench.measure import in_turns

    a, b = np.ones((2048, 2048), dtype), np.ones((2048, 2048), dtype)
    best = in_turns([lambda: ops.linear(a, b)], seconds=0.3)[0].minimum
    return 2 * 2048**3 / best / 1e9


def _call_cost() -> float:
    """Seconds of the smallest call: checks, dispatch, allocation."""
    from fastconv import ops
    from fastconv.bench.measure import in_turns

    x = np.ones(1, np.float32)
    return in_turns([lambda: ops.relu(x)], seconds=0.1)[0].median


def _row(case: Any, args: argparse.Namespace, gemm: float) -> dict[str, Any]:
    from fastconv.bench.cases import implementation, inputs, our_call
    from fastconv.bench.measure import in_turns
    from fastconv.bench.torch_peer import peer_call

    arrays = inputs(case)
    peer: Callable[[], object] | None = peer_call(case, arrays) if args.vs else None
    calls = [our_call(case, arrays), *([peer] if peer else [])]
    times = in_turns(calls, args.seconds, args.repeats)
    ours, theirs = times[0], times[1] if peer else None
    gflops = case.problem.flops / ours.median / 1e9 if case.kind != "pool" else None
    return {
        "descriptor": case.descriptor,
        "kind": case.kind,
        "pass": case.pass_name.replace("_", "-"),
        "layout": case.layout,
        "dtype": case.dtype,
        "implementation": implementation(case),
        "median": ours.median,
        "minimum": ours.minimum,
        "calls": ours.calls,
        "gflops": gflops,
        "gbytes": case.problem.bytes(np.dtype(case.dtype).itemsize) / ours.median / 1e9,
        "percent_of_gemm": 100 * gflops / gemm if gflops else None,
        "peer": args.vs if peer else None,
        "peer_median": theirs.median if theirs else None,
        "peer_minimum": theirs.minimum if theirs else None,
        "ratio": theirs.median / ours.median if theirs else None,
    }
