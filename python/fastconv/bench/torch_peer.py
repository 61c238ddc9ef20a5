"""The same pass in PyTorch, in the best comparable form that it offers.

Images, gradients and weights lie channels-last for the channels-last rows. Backward passes go
through `aten::convolution_backward` with only the wanted gradients asked for: no tape is paid for.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from fastconv.bench.cases import Case

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
        if case.layout == "channels-last" and array.ndim == 4:
            made = made.contiguous(memory_format=torch.channels_last)
        return made

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


def _pool(p: Any, pass_name: str, x: Any, grad: Any) -> Callable[[], object]:
    import torch

    window = (p.kernel, p.stride, p.padding, p.dilation, p.ceil_mode)
    aten = torch.ops.aten
    if pass_name == "forward":
        return lambda: aten.max_pool2d_with_indices(x, *window)
    _, indices = aten.max_pool2d_with_indices(x, *window)
    return lambda: aten.max_pool2d_with_indices_backward(grad, x, *window, indices)


def _average(p: Any, pass_name: str, x: Any, grad: Any) -> Callable[[], object]:
    import torch

    mean = (p.kernel, p.stride, p.padding, p.ceil_mode, True, None)
    aten = torch.ops.aten
    if pass_name == "forward":
        return lambda: aten.avg_pool2d(x, *mean)
    return lambda: aten.avg_pool2d_backward(grad, x, *mean)


def _norm(
    p: Any, pass_name: str, x: Any, grad: Any, weight: Any, bias: Any
) -> Callable[[], object]:
    import torch

    forward, backward = torch.native_batch_norm, torch.ops.aten.native_batch_norm_backward
    if pass_name == "forward":
        return lambda: forward(x, weight, bias, None, None, True, 0.1, 1e-5)
    _, *kept = forward(x, weight, bias, None, None, True, 0.1, 1e-5)
    return lambda: backward(grad, x, weight, None, None, *kept, True, 1e-5, [True] * 3)
