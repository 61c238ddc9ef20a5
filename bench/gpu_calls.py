"""The calls of one row on both sides, and their times on a GPU."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from typing import Any

from fastconv import ops
from fastconv.testing import normal

CACHE_BYTES = 128 << 20  # twice an H200's L2
SECONDS = 0.15  # for each side of a row


def copies(problem: Any, itemsize: int) -> int:
    """How many sets of arrays it takes to outgrow the cache."""
    return max(2, min(16, math.ceil(CACHE_BYTES / problem.bytes(itemsize))))


def shapes_of(problem: Any) -> tuple[tuple[int, ...], ...]:
    """Input, result, weight and bias."""
    if not hasattr(problem, "weight_shape"):
        if hasattr(problem, "rows"):
            rows, inside, outside = problem.rows, problem.in_features, problem.out_features
            return (rows, inside), (rows, outside), (outside, inside), (outside,)
        return problem.input_shape, problem.output_shape
    weight = problem.weight_shape
    return problem.input_shape, problem.output_shape, weight, (weight[0],)


class Arrays:
    """The same numbers for both sides: PyTorch's tensors, and CuPy's views of their memory."""

    def __init__(self, shapes: tuple[tuple[int, ...], ...], dtype: str, seed: int) -> None:
        import cupy
        import torch

        self.tensors = []
        for i, shape in enumerate(shapes):
            made = torch.from_numpy(normal(shape, seed + i)).cuda()
            made = made.to(getattr(torch, "float32" if dtype == "tf32" else dtype))
            if len(shape) == 4:
                made = made.contiguous(memory_format=torch.channels_last)
            self.tensors.append(made)
        self.arrays = [cupy.from_dlpack(tensor) for tensor in self.tensors]


def our_call(row: Any, problem: Any, arrays: list[Any]) -> Callable[[], object]:
    p, (x, grad, *weights) = problem, arrays
    if row.kind == "linear":
        weight, bias = weights
        return {
            "forward": lambda: ops.linear(x, weight, bias),
            "backward_input": lambda: ops.linear_backward_input(grad, weight),
            "backward_weight": lambda: ops.linear_backward_weight(grad, x),
        }[row.pass_name]
    if row.kind == "pool":
        window = (p.kernel, p.stride, p.padding, p.dilation, p.ceil_mode)
        _, indices = ops.max_pool2d(x, *window)
        return {
            "forward": lambda: ops.max_pool2d(x, *window),
            "backward_input": lambda: ops.max_pool2d_backward(grad, indices, x.shape, *window),
        }[row.pass_name]
    weight, bias = weights
    return {
        "forward": lambda: ops.conv_forward(p, x, weight, bias),
        "fused": lambda: ops.conv_forward(p, x, weight, bias, activation="relu"),
        "backward_input": lambda: ops.conv_backward_input(p, grad, weight),
        "backward_weight": lambda: ops.conv_backward_weight(p, grad, x),
    }[row.pass_name]


def peer_call(row: Any, problem: Any, tensors: list[Any]) -> Callable[[], object]:
    import torch
    from torch.nn import functional

    p, (x, grad, *weights) = problem, tensors
    aten = torch.ops.aten
    if row.kind == "linear":
        weight, bias = weights
        return {
            "forward": lambda: functional.linear(x, weight, bias),
            "backward_input": lambda: grad.mm(weight),
            "backward_weight": lambda: (grad.t().mm(x), grad.sum(0)),
        }[row.pass_name]
    if row.kind == "pool":
        window = (p.kernel, p.stride, p.padding, p.dilation, p.ceil_mode)
        _, indices = aten.max_pool2d_with_indices(x, *window)
        return {
            "forward": lambda: aten.max_pool2d_with_indices(x, *window),
            "backward_input": lambda: aten.max_pool2d_with_indices_backward(
                grad, x, *window, indices
            ),
        }[row.pass_name]
    weight, bias = weights
    padding = [before for before, _ in p.padding]
    rest = (p.stride, padding, p.dilation, False, [0, 0], p.groups)
    convolve = lambda: torch.conv2d(x, weight, bias, p.stride, padding, p.dilation, p.groups)  # noqa: E731
    return {
        "forward": convolve,
        "fused": lambda: convolve().relu_(),
        "backward_input": lambda: aten.convolution_backward(
            grad, x, weight, None, *rest, [True, False, False]
        ),
        "backward_weight": lambda: aten.convolution_backward(
            grad, x, weight, list(bias.shape), *rest, [False, True, True]
        ),
    }[row.pass_name]


def event_times(sides: list[list[Callable[[], object]]]) -> list[float]:
    """Median seconds of a call of each side, its calls taken in rotation, sides in turn."""
    import torch

    def batch(calls: list[Callable[[], object]], count: int) -> float:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for i in range(count):
            calls[i % len(calls)]()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / 1e3 / count

    counts = []
    for calls in sides:
        batch(calls, 2 * len(calls))  # algorithms chosen, pools filled
        counts.append(max(len(calls), min(200, int(5e-3 / batch(calls, len(calls))))))
    taken: list[list[float]] = [[] for _ in sides]
    stop = time.perf_counter() + SECONDS * len(sides)
    while len(taken[0]) < 5 or time.perf_counter() < stop:
        for calls, count, times in zip(sides, counts, taken, strict=True):
            times.append(batch(calls, count))
    return [statistics.median(times) for times in taken]
