"""The layers as functions of tensors: each operation with its backward closure beside it.

Shapes and errors are those of the same function in :mod:`fastconv.ops`; arguments are PyTorch's.
What a closure keeps is named where it is recorded; gradients nobody asked for are not computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastconv import ops
from fastconv.autograd import arithmetic, elementwise, shaping
from fastconv.autograd.engine import recording
from fastconv.autograd.tensor import Tensor, record
from fastconv.config import algorithm, chosen_algorithm

if TYPE_CHECKING:
    from fastconv.ops.types import Activation, MemoryFormat, Reduction

_ACTIVATION_BACKWARD = {
    "relu": ops.relu_backward,
    "sigmoid": ops.sigmoid_backward,
    "tanh": ops.tanh_backward,
}


class MaxPoolResult(NamedTuple):
    """What ``max_pool2d(..., return_indices=True)`` returns."""

    output: Tensor
    indices: Tensor


def _array(operation: str, name: str, x: Any) -> Any:
    if isinstance(x, Tensor):
        return x._data
    raise TypeError(
        f"{operation}: {name} must be a Tensor, got {type(x).__name__} "
        f"(fastconv.ops.{operation} takes arrays)"
    )


def _keep(
    needs: tuple[bool, ...], activation: Activation | None, input: Tensor, weight: Tensor, y: Any
) -> tuple[Any, Any, Any, list[tuple[str, Any]]]:
    """The weight for the gradient of the input, the input for that of the weight, the output for
    the activation's, each only if needed; and the labels of those."""
    kept: list[tuple[str, Any]] = []
    w = x = None
    if needs[0]:
        w = weight._data
        kept.append(("weight", weight))
    if needs[1]:
        x = input._data
        kept.append(("input", input))
    if activation is None:
        return w, x, None, kept
    kept.append(("output", None))
    return w, x, y, kept


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    activation: Activation | None = None,
    memory_format: MemoryFormat | None = None,
) -> Tensor:
    """2-D cross-correlation, input (N, C, H, W), weight (K, C/groups, R, S), bias (K,).

    activation: None, "relu", "sigmoid" or "tanh", applied to the result in the same kernel.
    memory_format: how the result lies, "contiguous" or "channels_last"; None: as the input.
    Its backward pass keeps to the algorithm set in this call (``with algorithm(...)``).
    """
    x, w = _array("conv2d", "input", input), _array("conv2d", "weight", weight)
    b = None if bias is None else _array("conv2d", "bias", bias)
    problem = ops.conv_problem(x.shape, w.shape, stride, padding, dilation, groups)
    chosen = chosen_algorithm(None)
    y = ops.conv_forward(problem, x, w, b, activation=activation, memory_format=memory_format)
    needs = recording(input, weight, bias)
    if needs is None:
        return Tensor(y)
    kept_w, kept_x, kept_y, kept = _keep(needs, activation, input, weight, y)

    def backward(grad: Any) -> Any:
        dx = dw = db = None
        if activation is not None:
            grad = _ACTIVATION_BACKWARD[activation](grad, kept_y)
        with algorithm(chosen):
            if needs[0]:
                dx = ops.conv_backward_input(problem, grad, kept_w)
            if needs[1]:
                dw, db = ops.conv_backward_weight(problem, grad, kept_x, bias=needs[2])
            elif needs[2]:
                db = np.sum(grad, axis=(0, 2, 3))
        return dx, dw, db

    return record("conv2d", y, (input, weight, bias), backward, kept)


def linear(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    activation: Activation | None = None,
) -> Tensor:
    """``input @ weight.T + bias``: input (..., in), weight (out, in), bias (out,).

    activation: None, "relu", "sigmoid" or "tanh", applied to the result in the same kernel.
    """
    x, w = _array("linear", "input", input), _array("linear", "weight", weight)
    b = None if bias is None else _array("linear", "bias", bias)
    y = ops.linear(x, w, b, activation=activation)
    needs = recording(input, weight, bias)
    if needs is None:
        return Tensor(y)
    kept_w, kept_x, kept_y, kept = _keep(needs, activation, input, weight, y)

    def backward(grad: Any) -> Any:
        dx = dw = db = None
        if activation is not None:
            grad = _ACTIVATION_BACKWARD[activation](grad, kept_y)
        if needs[0]:
            dx = ops.linear_backward_input(grad, kept_w)
        if needs[1]:
            dw, db = ops.linear_backward_weight(grad, kept_x, bias=needs[2])
        elif needs[2]:
            db = np.sum(grad, axis=tuple(range(grad.ndim - 1)))
        return dx, dw, db

    return record("linear", y, (input, weight, bias), backward, kept)


def max_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window of input (N, C, H, W); ``stride`` defaults to ``kernel_size``.

    The gradient goes to the window's first maximum, whose index the forward pass stores. With
    ``return_indices``: (output, indices), flat within the H*W plane of the input, int64.
    """
    x = _array("max_pool2d", "input", input)
    window = (kernel_size, stride, padding, dilation, ceil_mode)
    recorded = recording(input) is not None
    if not (recorded or return_indices):
        return Tensor(ops.max_pool2d(x, *window, return_indices=False))
    y, indices = ops.max_pool2d(x, *window, return_indices=True)
    places, shape = Tensor(indices), x.shape

    def backward(grad: Any) -> Any:
        return (ops.max_pool2d_backward(grad, indices, shape),)

    kept = [("indices", places)]
    out = record("max_pool2d", y, (input,), backward, kept) if recorded else Tensor(y)
    return MaxPoolResult(out, places) if return_indices else out


def relu(input: Tensor) -> Tensor:
    """``max(input, 0)``; the gradient at 0 is 0, NaN stays NaN."""
    _array("relu", "input", input)
    return elementwise.relu(input)


def sigmoid(input: Tensor) -> Tensor:
    """``1 / (1 + exp(-input))``."""
    _array("sigmoid", "input", input)
    return elementwise.sigmoid(input)


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    _array("tanh", "input", input)
    return elementwise.tanh(input)


def softmax(input: Tensor, dim: int = -1) -> Tensor:
    """``exp(x) / sum(exp(x))`` along ``dim``, which PyTorch by default takes as 0 or 1 instead."""
    y = ops.softmax(_array("softmax", "input", input), dim)
    if recording(input) is None:
        return Tensor(y)

    def backward(grad: Any) -> Any:
        return (ops.softmax_backward(grad, y, dim),)

    return record("softmax", y, (input,), backward, [("output", None)])


def log_softmax(input: Tensor, dim: int = -1) -> Tensor:
    """``x - log(sum(exp(x)))`` along ``dim``, whose default is that of :func:`softmax`."""
    y = ops.log_softmax(_array("log_softmax", "input", input), dim)
    if recording(input) is None:
        return Tensor(y)

    def backward(grad: Any) -> Any:
        return (ops.log_softmax_backward(grad, y, dim),)

    return record("log_softmax", y, (input,), backward, [("output", None)])


def cross_entropy(input: Tensor, target: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """``-log_softmax(input)[target]`` for input (N, C) and class numbers target (N,).

    reduction: "mean", "sum" or "none" (a loss per row). Softmax and logarithm are one kernel; the
    gradient at the input is ``(softmax(input) - onehot(target)) * grad``.
    """
    x = _array("cross_entropy", "input", input)
    classes = _array("cross_entropy", "target", target)
    loss = ops.cross_entropy(x, classes, reduction=reduction)
    if recording(input) is None:
        return Tensor(loss)

    def backward(grad: Any) -> Any:
        return (ops.cross_entropy_backward(grad, x, classes, reduction=reduction), None)

    kept = [("input", input), ("target", target)]
    return record("cross_entropy", loss, (input, target), backward, kept)


def mse_loss(input: Tensor, target: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """``(input - target)**2`` for two tensors of one shape; reduction "mean", "sum" or "none"."""
    x, t = _array("mse_loss", "input", input), _array("mse_loss", "target", target)
    if x.shape != t.shape:
        raise ValueError(f"mse_loss: input has shape {x.shape} but target has shape {t.shape}")
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"mse_loss: reduction must be mean, sum or none, got {reduction!r}")
    squares = arithmetic.pow(arithmetic.sub(input, target), 2)
    if reduction == "none":
        return squares
    return squares.mean() if reduction == "mean" else squares.sum()


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Merge the dimensions from ``start_dim`` to ``end_dim``, in logical (NCHW) order."""
    _array("flatten", "input", input)
    return shaping.flatten(input, start_dim, end_dim)
