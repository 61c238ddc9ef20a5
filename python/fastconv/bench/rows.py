"""What is measured, as rows: a pass of a problem, or a step of a network, and its peers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fastconv.autograd.engine import no_grad
from fastconv.bench import footprint, networks, torch_peer
from fastconv.bench.cases import Case, cases, implementation, inputs, our_call
from fastconv.bench.ceilings import Ceilings
from fastconv.bench.measure import Call, in_turns
from fastconv.bench.neighbour import busy_core
from fastconv.config import get_num_threads, threads

Row = dict[str, Any]


class Options(NamedTuple):
    """How rows are measured."""

    dtype: str
    layouts: Sequence[str]
    pass_names: Sequence[str]
    peer: str | None
    seconds: float
    repeats: int | None


@dataclass
class Subject:
    """What one row measures. The calls are made where it is measured, within `within`."""

    key: dict[str, str]
    ours: Callable[[], Call]
    peers: Callable[[], dict[str, Call]]  # by how the images lie; empty: has no such thing
    work: tuple[float, float]  # operations, and bytes of all inputs and results
    steps: int = 1  # of one call
    within: Callable[[], AbstractContextManager[object]] = field(default=ExitStack)


def subjects(descriptors: Sequence[str], options: Options) -> Iterator[Subject]:
    """Every row of every descriptor, networks last."""
    problems = [name for name in descriptors if not networks.is_network(name)]
    for case in cases(problems, options.pass_names, options.layouts, options.dtype):
        yield _problem(case, options.peer)
    for name in descriptors:
        if networks.is_network(name):
            yield _network(name, options.peer)


def _without_tape(peer: str | None) -> AbstractContextManager[object]:
    stack = ExitStack()
    stack.enter_context(no_grad())
    if peer:
        stack.enter_context(torch_peer.without_tape())
    return stack


def _problem(case: Case, peer: str | None) -> Subject:
    arrays = inputs(case)
    key = {
        "descriptor": case.descriptor,
        "kind": case.kind,
        "pass": case.pass_name.replace("_", "-"),
        "layout": case.layout,
        "dtype": case.dtype,
        "implementation": implementation(case),
    }

    def peers() -> dict[str, Call]:
        call = torch_peer.peer_call(case, arrays) if peer else None
        return {case.layout: call} if call else {}

    return Subject(
        key, lambda: our_call(case, arrays), peers, case.work, within=lambda: _without_tape(peer)
    )


def _network(name: str, peer: str | None) -> Subject:
    kind = networks.kind_of(name)
    key = {
        "descriptor": name,
        "kind": kind,
        "pass": "forward" if kind == "infer" else "step",
        "layout": networks.layout(name),
        "dtype": "float32",
        "implementation": "network",
    }

    def peers() -> dict[str, Call]:
        layouts = {"nchw": False, "channels-last": True} if peer else {}
        return {lies: networks.torch_step(name, last) for lies, last in layouts.items()}

    within = {"infer": lambda: _without_tape(peer), "busy": busy_core}
    return Subject(
        key,
        lambda: networks.our_step(name),
        peers,
        (networks.operations(name), 0),
        steps=networks.steps_of(name),
        within=within.get(kind, ExitStack),
    )


def measured(subject: Subject, options: Options, ceilings: Ceilings) -> Row:
    """The row, with the fastest of the peers beside ours."""
    with subject.within():
        peers = subject.peers()
        calls = [subject.ours(), *peers.values()]
        ours, *theirs = in_turns(calls, options.seconds, options.repeats, subject.steps)
    peer_layout, peer = min(
        zip(peers, theirs, strict=True), key=lambda pair: pair[1].median, default=(None, None)
    )
    return {
        **subject.key,
        "median": ours.median,
        "minimum": ours.minimum,
        "calls": ours.calls,
        **_rates(subject, ours.median, ceilings),
        "peer": options.peer if peer else None,
        "peer_layout": peer_layout,
        "peer_median": peer.median if peer else None,
        "peer_minimum": peer.minimum if peer else None,
        "ratio": peer.median / ours.median if peer else None,
        **_memory(subject, peer_layout),
    }


def _rates(subject: Subject, seconds: float, ceilings: Ceilings) -> Row:
    flops, bytes = subject.work
    least, limit = ceilings.least_time(flops, bytes)
    return {
        "gflops": flops / seconds / 1e9 if flops else None,
        "gbytes": bytes / seconds / 1e9,
        "percent_of_limit": 100 * least / seconds,
        "limit": limit,
    }


def _memory(subject: Subject, peer_layout: str | None) -> Row:
    """Peak memory of a training row and of its peer, in processes of their own."""
    if subject.key["kind"] != "train" or peer_layout is None:
        return {}
    name = subject.key["descriptor"]
    sides = {"peak": "fastconv", "peer_peak": f"torch {peer_layout}"}
    found = {
        what: footprint.peak_memory(name, side, get_num_threads()) for what, side in sides.items()
    }
    row: Row = {what: memory["peak"] for what, memory in found.items()}
    row.update({f"{what}_imported": memory["imported"] for what, memory in found.items()})
    return {**row, "memory_ratio": row["peak"] / row["peer_peak"]}


def scaled(subject: Subject, options: Options, _: Ceilings) -> Row:
    """The row's time on 1, 2, 4 ... and all threads."""
    most = get_num_threads()
    counts = sorted({most, *(2**i for i in range(most.bit_length()))} - {0})
    row: Row = {**subject.key, "scaling": {}}
    with subject.within():
        call = subject.ours()
        for count in counts:
            with threads(count):
                times = in_turns([call], options.seconds, options.repeats, subject.steps)
            row["scaling"][str(count)] = times[0].median
    return row
