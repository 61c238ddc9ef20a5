"""Activations with parameters, and maxout, as functions of tensors. Kept is the input, of maxout
the positions of the maxima."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastconv import ops
from fastconv.autograd.engine import recording
from fastconv.autograd.tensor import Tensor, record
from fastconv.nn.fused import array_of

if TYPE_CHECKING:
    from fastconv.ops.types import Approximation


def _curve(
    operation: str,
    input: Tensor,
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    *parameters: Any,
) -> Tensor:
    x = array_of(operation, "input", input)
    y = forward(x, *parameters)
    if recording(input) is None:
        return Tensor(y)
    kept = [("input", input)]
    return record(operation, y, (input,), lambda grad: (backward(grad, x, *parameters),), kept)


def leaky_relu(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """``input`` where it is positive, else ``negative_slope * input``."""
    return _curve("leaky_relu", input, ops.leaky_relu, ops.leaky_relu_backward, negative_slope)


def elu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """``input`` where it is positive, else ``alpha * (exp(input) - 1)``."""
    return _curve("elu", input, ops.elu, ops.elu_backward, alpha)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """``input``, at least ``min_val`` and at most ``max_val``; the gradient at both ends is 0."""
    return _curve("hardtanh", input, ops.hardtanh, ops.hardtanh_backward, min_val, max_val)


def relu6(input: Tensor) -> Tensor:
    """``hardtanh(input, 0, 6)``."""
    array_of("relu6", "input", input)
    return hardtanh(input, 0.0, 6.0)


def silu(input: Tensor) -> Tensor:
    """``input * sigmoid(input)``."""
    return _curve("silu", input, ops.silu, ops.silu_backward)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """``log(1 + exp(beta * input)) / beta``; the input where beta * input > ``threshold``."""
    return _curve("softplus", input, ops.softplus, ops.softplus_backward, beta, threshold)


def gelu(input: Tensor, approximate: Approximation = "none") -> Tensor:
    """``input * Phi(input)``, Phi the standard normal distribution, or its form with "tanh"."""
    return _curve("gelu", input, ops.gelu, ops.gelu_backward, approximate)


def maxout(input: Tensor, pieces: int, dim: int = 1) -> Tensor:
    """The largest of every ``pieces`` neighbours along ``dim``: (N, C, ...) to (N, C/pieces, ...).

    The gradient goes to the first maximum, whose position the forward pass stores.
    """
    x = array_of("maxout", "input", input)
    y, indices = ops.maxout(x, pieces, dim)
    if recording(input) is None:
        return Tensor(y)
    shape = x.shape

    def backward(grad: Any) -> Any:
        return (ops.maxout_backward(grad, indices, shape, dim),)

    return record("maxout", y, (input,), backward)
