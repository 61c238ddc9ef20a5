"""Operations that move memory above all: activations, and normalisations of each example.

A row's descriptor is the operation and its array, which is written as `norm:` writes it:
`gelu:n64c64h56`, `lrn:n16c96h55` (local response norm over 5 channels), `group:n8c256h56` (group
norm of 32 groups), `layer:n8192c1024` (layer norm over the channels; such an array has no space).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastconv import ops

Call = Callable[[], object]

ACTIVATIONS = ("relu", "leaky_relu", "elu", "sigmoid", "tanh", "silu", "gelu")
FROM_RESULT = ("relu", "sigmoid", "tanh")  # the backward pass starts from y, of the others from x
NORMS = ("lrn", "group", "layer")
GROUPS, WINDOW = 32, 5

# From memory, and from the last cache.
MOVING_SETS = {
    "activation": tuple(
        f"{name}:{array}" for array in ("n64c64h56", "n16c64h28") for name in ACTIVATIONS
    ),
    "lrn": ("lrn:n32c96h55", "lrn:n16c256h27"),
    "group": ("group:n64c64h56", "group:n8c256h28", "layer:n8192c1024", "layer:n2048c768"),
}


def our_call(kind: str, pass_name: str, x: Any, grad: Any, weight: Any, bias: Any) -> Call:
    """The pass as a caller of `fastconv.ops` would write it."""
    forward = pass_name == "forward"
    if kind in ACTIVATIONS:
        function, backward = getattr(ops, kind), getattr(ops, f"{kind}_backward")
        kept = function(x) if kind in FROM_RESULT else x
        return (lambda: function(x)) if forward else (lambda: backward(grad, kept))
    if kind == "lrn":
        if forward:
            return lambda: ops.local_response_norm(x, WINDOW)
        return lambda: ops.local_response_norm_backward(grad, x, WINDOW)
    if kind == "group":
        if forward:
            return lambda: ops.group_norm(x, GROUPS, weight, bias)
        _, mean, invstd = ops.group_norm(x, GROUPS, weight, bias)
        return lambda: ops.group_norm_backward(grad, x, GROUPS, weight, mean, invstd)
    shape = weight.shape
    if forward:
        return lambda: ops.layer_norm(x, shape, weight, bias)
    _, mean, invstd = ops.layer_norm(x, shape, weight, bias)
    return lambda: ops.layer_norm_backward(grad, x, shape, weight, mean, invstd)


def peer_call(kind: str, pass_name: str, x: Any, grad: Any, weight: Any, bias: Any) -> Call:
    """The same pass in PyTorch, of tensors."""
    forward = pass_name == "forward"
    if kind in ACTIVATIONS:
        return _peer_activation(kind, forward, x, grad)
    if kind == "lrn":
        return _peer_lrn(forward, x, grad)
    return _peer_norm(kind, forward, x, grad, weight, bias)


def _peer_activation(kind: str, forward: bool, x: Any, grad: Any) -> Call:
    import torch

    aten = torch.ops.aten
    if forward:
        function = getattr(aten, kind)
        return lambda: function(x)
    kept = getattr(aten, kind)(x) if kind in FROM_RESULT else x
    if kind == "elu":
        return lambda: aten.elu_backward(grad, 1, 1, 1, False, kept)
    if kind == "leaky_relu":
        return lambda: aten.leaky_relu_backward(grad, kept, 0.01, False)
    if kind == "relu":
        return lambda: aten.threshold_backward(grad, kept, 0)
    backward = getattr(aten, f"{kind}_backward")
    return lambda: backward(grad, kept)


def _peer_lrn(forward: bool, x: Any, grad: Any) -> Call:
    """Backward by the tape that one forward pass has left: PyTorch has no such operation."""
    import torch

    function = torch.nn.functional.local_response_norm
    if forward:
        return lambda: function(x, WINDOW)
    with torch.inference_mode(False), torch.enable_grad():
        at, back = x.clone().requires_grad_(), grad.clone()
        y = function(at, WINDOW)
    return lambda: torch.autograd.grad(y, at, back, retain_graph=True)


def _peer_norm(kind: str, forward: bool, x: Any, grad: Any, weight: Any, bias: Any) -> Call:
    import torch

    if kind == "layer":
        shape = list(weight.shape)
        if forward:
            return lambda: torch.native_layer_norm(x, shape, weight, bias, 1e-5)
        back = torch.ops.aten.native_layer_norm_backward
        _, mean, rstd = torch.native_layer_norm(x, shape, weight, bias, 1e-5)
        return lambda: back(grad, x, shape, mean, rstd, weight, bias, [True] * 3)
    sizes = (*x.shape[:2], int(np.prod(x.shape[2:])), GROUPS)
    normalize: Any = torch.native_group_norm
    if forward:
        return lambda: normalize(x, weight, bias, *sizes, 1e-5)
    back = torch.ops.aten.native_group_norm_backward
    _, mean, rstd = normalize(x, weight, bias, *sizes, 1e-5)
    return lambda: back(grad, x, mean, rstd, weight, *sizes, [True] * 3)
