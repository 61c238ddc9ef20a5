"""What is measured: one pass of one problem in one layout, and the call that computes it here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastconv import _core, ops
from fastconv.bench import moving
from fastconv.testing import arrays_of, lay_out, normal, parse_descriptor, passes

Array = np.ndarray

LAYOUTS = {"nchw": "contiguous", "channels-last": "channels_last"}

# Average pooling, whose windows are written as those of max pooling; global pooling last.
AVERAGE_SETS = {
    "average": (
        "avg:n64c64h56r2",
        "avg:n64c64h56r3sh2p1",
        "avg:n64c64h56r3sh1p1",
        "avg:n64c256h14r2",
        "avg:n64c512h7r7",
        "avg:n64c64h56r56",
    )
}


MOVING = (*moving.ACTIVATIONS, *moving.NORMS)


def problem_of(descriptor: str) -> Any:
    """The problem that a row's descriptor stands for. Raises ValueError where it is malformed."""
    kind = prefix(descriptor)
    if kind in MOVING:
        return _moved(descriptor, kind)
    if kind != "avg":
        return parse_descriptor(descriptor)
    problem: Any = parse_descriptor("pool:" + descriptor[4:])
    if any(step != 1 for step in problem.dilation):
        raise ValueError(f"{descriptor}: average pooling has no dilation, got {problem.dilation}")
    return problem


def prefix(descriptor: str) -> str:
    return descriptor.partition(":")[0]


def _moved(descriptor: str, kind: str) -> Any:
    problem: Any = parse_descriptor("norm" + descriptor[len(kind) :])
    shape = problem.input_shape
    if kind == "group" and shape[1] % moving.GROUPS:
        raise ValueError(f"{descriptor}: {moving.GROUPS} groups do not divide {shape[1]} channels")
    if kind == "layer" and len(shape) > 2:
        raise ValueError(f"{descriptor}: a layer norm's array has rows of channels, got {shape}")
    return problem


class Case(NamedTuple):
    """A row of the bench."""

    descriptor: str
    pass_name: str  # forward, backward_input, backward_weight
    layout: str  # nchw, channels-last; rows for a linear layer
    dtype: str

    @property
    def problem(self) -> Any:
        return problem_of(self.descriptor)

    @property
    def kind(self) -> str:
        name = prefix(self.descriptor)
        if name in MOVING:
            return name
        if name == "avg":
            return "average"
        kinds = {_core.ConvProblem: "conv", _core.PoolProblem: "pool", _core.NormProblem: "norm"}
        return kinds.get(type(self.problem), "linear")

    @property
    def work(self) -> tuple[float, float]:
        """Operations, and bytes of all inputs and results, or of the fewest passes over them.

        A batch norm reads its inputs once for the sums and again for the elements: 3 arrays forward
        and 5 backward (above 100 % where a channel of all images stays in a core's cache). Groups
        of one example, responses and activations need one pass: 2 arrays forward, 3 backward.
        """
        problem = self.problem
        bytes = problem.bytes(np.dtype(self.dtype).itemsize)
        if self.kind == "norm":
            return 0, bytes * (3 if self.pass_name == "forward" else 5) / 2
        if self.kind in MOVING:
            return 0, bytes * (2 if self.pass_name == "forward" else 3) / 2
        return problem.flops if self.kind not in ("pool", "average") else 0, bytes


def cases(
    descriptors: Sequence[str], pass_names: Sequence[str], layouts: Sequence[str], dtype: str
) -> Iterator[Case]:
    """Every pass that a problem has in every layout that it can have."""
    for descriptor in descriptors:
        problem = problem_of(descriptor)
        images = len(problem.input_shape) > 2 and prefix(descriptor) not in moving.ACTIVATIONS
        rows = layouts if images else ["rows"]
        for pass_name in passes(str(problem)):
            if pass_name in pass_names:
                for layout in rows:
                    yield Case(descriptor, pass_name, layout, dtype)


def inputs(case: Case) -> tuple[Array, ...]:
    """x, the output's gradient and, where there are any, weight and bias."""
    shapes = [array.shape for array in arrays_of(case.problem, 0)]
    x, grad, *weights = (normal(shape, seed, case.dtype) for seed, shape in enumerate(shapes))
    if case.layout in LAYOUTS:
        x, grad = (lay_out(array, LAYOUTS[case.layout]) for array in (x, grad))
    return (x, grad, *weights)


def implementation(case: Case) -> str:
    """Which of the implementations runs."""
    if case.kind != "conv":
        return case.kind
    lies = LAYOUTS[case.layout]
    name = _core.conv_implementation(case.problem, case.pass_name, case.dtype, lies, lies)
    return name or "none"


def our_call(case: Case, arrays: tuple[Array, ...]) -> Callable[[], object]:
    """The pass as a caller of `fastconv.ops` would write it; weight gradients with the bias's."""
    p = case.problem
    x, grad, *weights = arrays
    if case.kind == "conv":
        weight, bias = weights
        return {
            "forward": lambda: ops.conv_forward(p, x, weight, bias),
            "backward_input": lambda: ops.conv_backward_input(p, grad, weight),
            "backward_weight": lambda: ops.conv_backward_weight(p, grad, x),
        }[case.pass_name]
    if case.kind == "linear":
        weight, bias = weights
        return {
            "forward": lambda: ops.linear(x, weight, bias),
            "backward_input": lambda: ops.linear_backward_input(grad, weight),
            "backward_weight": lambda: ops.linear_backward_weight(grad, x),
        }[case.pass_name]
    if case.kind == "norm":
        weight, bias = weights
        _, mean, invstd = ops.batch_norm(x, None, None, weight, bias, True)
        kept = (weight, bias, mean, invstd)
        return {
            "forward": lambda: ops.batch_norm(x, None, None, weight, bias, True),
            "backward_input": lambda: ops.batch_norm_backward(grad, x, *kept, True),
        }[case.pass_name]
    if case.kind in MOVING:
        return moving.our_call(case.kind, case.pass_name, *arrays)
    if case.kind == "average":
        given = (p.kernel, p.stride, p.padding, p.ceil_mode)
        average, average_back = _both(f"avg_pool{len(p.kernel)}d")
        return {
            "forward": lambda: average(x, *given),
            "backward_input": lambda: average_back(grad, p.input_shape, *given),
        }[case.pass_name]
    window = (p.kernel, p.stride, p.padding, p.dilation, p.ceil_mode)
    pool, pool_back = _both(f"max_pool{len(p.kernel)}d")
    _, indices = pool(x, *window)
    return {
        "forward": lambda: pool(x, *window),
        "backward_input": lambda: pool_back(grad, indices, p.input_shape, *window),
    }[case.pass_name]


def _both(name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    return getattr(ops, name), getattr(ops, f"{name}_backward")
