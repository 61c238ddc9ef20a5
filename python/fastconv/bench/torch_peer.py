"""The same pass in PyTorch, in the best comparable form that it offers.

Images, gradients and weights lie channels-last for the channels-last rows. Backward passes go
through `aten::convolution_backward` with only the wanted gradients asked for: no tape is paid for.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from fastconv.bench import moving
from fastconv.bench.cases import MOVING, Case

Array = np.ndarray


def versions() -> dict[str, str]:
    import torch

    return {"torch": torch.__version__, "torch float32": torch.get_float32_matmul_precision()}


def set_num_threads(count: int) -> None:
    import torch

    torch.set_num_threads(count)


def peer_call(case: Case, arrays: tuple[Array, ...]) -> Callable[[], object] | None:
    """The call, or None where PyTorch has no such operation (asymmetric padding)."""
    import torch

    def tensor(array: Array) -> Any:
        made = torch.from_numpy(np.ascontiguousarray(array))
        if array.ndim == 3 and case.kind in ("pool", "average"):
            made = made.unsqueeze(2)  # a plane of one row
        formats = {4: torch.channels_last, 5: torch.channels_last_3d}
        if case.layout == "channels-last" and made.ndim in formats:
            made = made.contiguous(memory_format=formats[made.ndim])
        return made

    if case.kind in MOVING:
        return moving.peer_call(case.kind, case.pass_name, *(tensor(array) for array in arrays))
    calls: dict[str, Callable[..., Any]] = {
        "conv": _conv,
        "linear": _linear,
        "pool": _pool,
        "average": _average,
        "norm": _norm,
    }
    return calls[case.kind](case.problem, case.pass_name, *(tensor(array) for array in arrays))


def without_tape() -> AbstractContextManager[object]:
    """Measure within it: entered once, as each entry costs as much as a small call."""
    import torch

    return torch.inference_mode()


def _conv(
    p: Any, pass_name: str, x: Any, grad: Any, weight: Any, bias: Any
) -> Callable[[], object] | None:
    import torch

    if any(before != after for before, after in p.padding):
        return None
    padding = [before for before, _ in p.padding]
    if pass_name == "forward":
        convolve = torch.conv2d
        return lambda: convolve(x, weight, bias, p.stride, padding, p.dilation, p.groups)
    backward = torch.ops.aten.convolution_backward
    rest = (p.stride, padding, p.dilation, False, [0, 0], p.groups)
    if pass_name == "backward_input":
        return lambda: backward(grad, x, weight, None, *rest, [True, False, False])
    sizes = list(bias.shape)
    return lambda: backward(grad, x, weight, sizes, *rest, [False, True, True])


def _linear(
    p: Any, pass_name: str, x: Any, grad: Any, weight: Any, bias: Any
) -> Callable[[], object]:
    import torch

    if pass_name == "forward":
        linear = torch.nn.functional.linear
        return lambda: linear(x, weight, bias)
    if pass_name == "backward_input":
        return lambda: grad.mm(weight)
    return lambda: (grad.t().mm(x), grad.sum(0))


def _windows(p: Any) -> tuple[int, tuple[tuple[int, ...], ...]]:
    """In 2 or 3 dimensions: kernel, stride, padding and dilation; a row is a plane of one row."""
    sizes = (p.kernel, p.stride, p.padding, p.dilation)
    if len(p.kernel) > 1:
        return len(p.kernel), sizes
    return 2, tuple((start, *size) for start, size in zip((1, 1, 0, 1), sizes, strict=True))


def _pool(p: Any, pass_name: str, x: Any, grad: Any) -> Callable[[], object]:
    import torch

    dims, sizes = _windows(p)
    window = (*sizes, p.ceil_mode)
    forward = getattr(torch.ops.aten, f"max_pool{dims}d_with_indices")
    backward = getattr(torch.ops.aten, f"max_pool{dims}d_with_indices_backward")
    if pass_name == "forward":
        return lambda: forward(x, *window)
    _, indices = forward(x, *window)
    return lambda: backward(grad, x, *window, indices)


def _average(p: Any, pass_name: str, x: Any, grad: Any) -> Callable[[], object]:
    import torch

    dims, (kernel, stride, padding, _) = _windows(p)
    mean = (kernel, stride, padding, p.ceil_mode, True, None)
    forward = getattr(torch.ops.aten, f"avg_pool{dims}d")
    backward = getattr(torch.ops.aten, f"avg_pool{dims}d_backward")
    if pass_name == "forward":
        return lambda: forward(x, *mean)
    return lambda: backward(grad, x, *mean)


def _norm(
    p: Any, pass_name: str, x: Any, grad: Any, weight: Any, bias: Any
) -> Callable[[], object]:
    import torch

    forward, backward = torch.native_batch_norm, torch.ops.aten.native_batch_norm_backward
    if pass_name == "forward":
        return lambda: forward(x, weight, bias, None, None, True, 0.1, 1e-5)
    _, *kept = forward(x, weight, bias, None, None, True, 0.1, 1e-5)
    return lambda: backward(grad, x, weight, None, None, *kept, True, 1e-5, [True] * 3)
