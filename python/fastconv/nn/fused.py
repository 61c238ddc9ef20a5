"""Convolution and linear layers as functions of tensors, with what follows them in one operation:
an activation in the same kernel, and pooling before anything is kept for the backward pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv import ops
from fastconv.autograd.autocast import lowered
from fastconv.autograd.engine import recording
from fastconv.autograd.tensor import Tensor, record
from fastconv.autograd.variable import FLOATING
from fastconv.config import algorithm, chosen_algorithm

if TYPE_CHECKING:
    from fastconv.ops.types import Activation, MemoryFormat

ACTIVATION_BACKWARD = {
    "relu": ops.relu_backward,
    "sigmoid": ops.sigmoid_backward,
    "tanh": ops.tanh_backward,
}


def array_of(operation: str, name: str, x: Any) -> Any:
    if isinstance(x, Tensor):
        return x._data
    raise TypeError(
        f"{operation}: {name} must be a Tensor, got {type(x).__name__} "
        f"(fastconv.ops.{operation} takes arrays)"
    )


def floating_of(operation: str, name: str, x: Any) -> Any:
    array = array_of(operation, name, x)
    if array.dtype not in FLOATING:
        raise TypeError(
            f"{operation}: {name} must be float32 or float64, got {array.dtype} "
            f"(shape {array.shape})"
        )
    return array


def arrays_of(operation: str, input: Any, weight: Any, bias: Any) -> tuple[Any, Any, Any]:
    if not (isinstance(input, Tensor) and isinstance(weight, Tensor)):
        array_of(operation, "input", input)
        array_of(operation, "weight", weight)
    b = None if bias is None else array_of(operation, "bias", bias)
    return input._data, weight._data, b


def kept_for(
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


def sum_over(grad: Any, axes: tuple[int, ...]) -> Any:
    """A bias's gradient where the weight has none: float32 is too short for a running sum."""
    return np.sum(grad, axis=axes, dtype=np.float64).astype(grad.dtype)


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
    window = (stride, padding, dilation, groups)
    return convolution("conv2d", input, weight, bias, window, activation, memory_format)


def convolution(
    operation: str,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    window: tuple[Any, Any, Any, int],
    activation: Activation | None,
    memory_format: MemoryFormat | None,
) -> Tensor:
    """:func:`conv2d` of as many dimensions as ``operation`` says."""
    input, weight, bias = lowered(operation, input, weight, bias)
    x, w, b = arrays_of(operation, input, weight, bias)
    problem = ops.conv_problem(x.shape, w.shape, *window, operation=operation)
    y = ops.conv_forward(problem, x, w, b, activation=activation, memory_format=memory_format)
    needs = recording(input, weight, bias)
    if needs is None:
        return Tensor(y)
    kept_w, kept_x, kept_y, kept = kept_for(needs, activation, input, weight, y)
    chosen = chosen_algorithm(None)

    def backward(grad: Any) -> Any:
        dx = dw = db = None
        if activation is not None:
            grad = ACTIVATION_BACKWARD[activation](grad, kept_y)
        with algorithm(chosen):
            if needs[0]:
                dx = ops.conv_backward_input(problem, grad, kept_w)
            if needs[1]:
                dw, db = ops.conv_backward_weight(problem, grad, kept_x, bias=needs[2])
            elif needs[2]:
                db = sum_over(grad, (0, *range(2, grad.ndim)))
        return dx, dw, db

    return record(operation, y, (input, weight, bias), backward, kept)


def conv2d_relu_max_pool2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    convolution: tuple[Any, Any, Any, int],
    pooling: tuple[Any, Any, Any, Any, bool],
    memory_format: MemoryFormat | None = None,
) -> Tensor:
    """``max_pool2d(relu(conv2d(...)))``: to the last bit where the weight is finite, its gradients
    but for rounding.

    convolution: stride, padding, dilation, groups. pooling: kernel_size, stride, padding,
    dilation, ceil_mode. Kept is a copy of the pooled map alone: where its value is 0, ReLU stops
    the gradient of all windows that chose it, and so it may do before they are added up.
    """
    input, weight, bias = lowered("conv2d", input, weight, bias)
    x, w, b = arrays_of("conv2d", input, weight, bias)
    needs = recording(input, weight, bias)
    if needs is None:
        return Tensor(
            ops.conv2d_max_pool2d(
                x, w, b, convolution, pooling, activation="relu", memory_format=memory_format
            )
        )
    problem = ops.conv_problem(x.shape, w.shape, *convolution)
    pooled, indices = ops.conv2d_max_pool2d(
        x, w, b, convolution, pooling,
        activation="relu", memory_format=memory_format, return_indices=True,
    )  # fmt: skip
    kept_w, kept_x, _, kept = kept_for(needs, None, input, weight, None)
    mask = ops.relu(pooled)  # a copy: the result is the caller's, who may change it
    chosen = chosen_algorithm(None)

    def backward(grad: Any) -> Any:
        grad = ops.relu_backward(grad, mask)
        dx, dw, db = ops.conv_max_pool_backward(
            problem, grad, indices, kept_x, kept_w, pooling, bias=needs[2], algorithm=chosen
        )
        if needs[2] and not needs[1]:
            db = sum_over(grad, (0, 2, 3))
        return dx, dw, db

    return record("conv2d_relu_max_pool2d", pooled, (input, weight, bias), backward, kept)


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
    input, weight, bias = lowered("linear", input, weight, bias)
    x, w, b = arrays_of("linear", input, weight, bias)
    y = ops.linear(x, w, b, activation=activation)
    needs = recording(input, weight, bias)
    if needs is None:
        return Tensor(y)
    kept_w, kept_x, kept_y, kept = kept_for(needs, activation, input, weight, y)

    def backward(grad: Any) -> Any:
        dx = dw = db = None
        if activation is not None:
            grad = ACTIVATION_BACKWARD[activation](grad, kept_y)
        if needs[0]:
            dx = ops.linear_backward_input(grad, kept_w)
        if needs[1]:
            dw, db = ops.linear_backward_weight(grad, kept_x, bias=needs[2])
        elif needs[2]:
            db = sum_over(grad, tuple(range(grad.ndim - 1)))
        return dx, dw, db

    return record("linear", y, (input, weight, bias), backward, kept)
