"""Windows of arrays as columns, and layers whose filters differ from place to place."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv import ops
from fastconv.autograd.autocast import lowered
from fastconv.autograd.engine import Backward, recording
from fastconv.autograd.tensor import Tensor, record
from fastconv.nn.fused import ACTIVATION_BACKWARD, arrays_of, kept_for, sum_over

if TYPE_CHECKING:
    from fastconv.ops.types import Activation


def _padded(problem: Any, x: Any) -> tuple[Any, tuple[Any, ...]]:
    """Zeros around a copy of ``x``, and where the copy lies."""
    edges = list(zip(problem.padding, problem.input, strict=True))
    inside = (..., *(slice(before, before + size) for (before, _), size in edges))
    shape = (*x.shape[:2], *(size + before + after for (before, after), size in edges))
    around: Any = np.zeros_like(x, shape=shape, order="C")
    around[inside] = x
    return around, inside


def _under_taps(problem: Any) -> Any:
    """For each tap its place in the kernel and the cells of the padded input that it meets."""
    steps = list(zip(problem.output, problem.stride, problem.dilation, strict=True))
    for tap in np.ndindex(*problem.kernel):
        yield (
            tap,
            (
                ...,
                *(
                    slice(t * d, t * d + (o - 1) * s + 1, s)
                    for t, (o, s, d) in zip(tap, steps, strict=True)
                ),
            ),
        )


def columns(problem: Any, x: Any) -> Any:
    """Of x (N, C, *spatial) the window of each position: (*output, C, *kernel, N)."""
    around, _ = _padded(problem, x)
    shape = (*problem.output, x.shape[1], *problem.kernel, x.shape[0])
    result = np.empty_like(x, shape=shape, order="C")
    for tap, cells in _under_taps(problem):
        place = (..., *tap, slice(None))
        result[place] = around[cells].transpose(*range(2, x.ndim), 1, 0)
    return result


def add_columns(problem: Any, cells_of: Any) -> Any:
    """The sum of columns (*output, C, *kernel, N) where they came from: (N, C, *spatial)."""
    dims = len(problem.output)
    zeros = np.zeros_like(cells_of, shape=problem.input_shape, order="C")
    around, inside = _padded(problem, zeros)
    for tap, cells in _under_taps(problem):
        place = (..., *tap, slice(None))
        around[cells] += cells_of[place].transpose(dims + 1, dims, *range(dims))
    return np.ascontiguousarray(around[inside])


def locally_connected(
    dims: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    window: tuple[Any, Any, Any],
    activation: Activation | None,
) -> Tensor:
    """A filter for each position: each is a group of one convolution whose pixels are images."""
    operation = f"locally_connected{dims}d"
    input, weight, bias = lowered(operation, input, weight, bias)
    x, w, b = arrays_of(operation, input, weight, bias)
    problem = _problem(operation, dims, x, w, b, window)
    if x.shape[0] == 0:
        return _of_no_images(operation, problem, activation, (input, weight, bias))
    products = _products(problem, w, x.shape[0])
    read = columns(problem, x).reshape(products.input_shape)
    biases = None if b is None else b.transpose(*range(1, dims + 1), 0).reshape(-1)
    matrices = w.reshape(products.weight_shape)
    y = ops.conv_forward(products, read, matrices, biases, activation)
    places = y.reshape(*problem.output, w.shape[dims], x.shape[0])
    y = np.ascontiguousarray(places.transpose(dims + 1, dims, *range(dims)))
    needs = recording(input, weight, bias)
    if needs is None:
        return Tensor(y)
    kept_w, kept_x, kept_y, kept = kept_for(needs, activation, input, weight, y)
    gradients = _gradients(problem, products, needs, kept_w, kept_x)

    def backward(grad: Any) -> Any:
        if activation is not None:
            grad = ACTIVATION_BACKWARD[activation](grad, kept_y)
        return gradients(grad)

    return record(operation, y, (input, weight, bias), backward, kept)


def _products(problem: Any, w: Any, count: int) -> Any:
    """The convolution that multiplies the columns of ``count`` images with their filters."""
    dims = len(problem.output)
    groups, outputs, field = (
        math.prod(problem.output),
        w.shape[dims],
        math.prod(w.shape[dims + 1 :]),
    )
    return ops.conv_problem(
        (1, groups * field, count), (groups * outputs, field, 1), groups=groups, operation="conv1d"
    )


def _gradients(
    problem: Any, products: Any, needs: tuple[bool, ...], kept_w: Any, kept_x: Any
) -> Backward:
    """From the gradient before the activation to those of input, weight and bias."""
    dims = len(problem.output)
    window = (problem.input_shape[1], *problem.kernel)

    def gradients(grad: Any) -> Any:
        dx = dw = db = None
        moved = np.ascontiguousarray(grad.transpose(*range(2, dims + 2), 1, 0))
        moved = moved.reshape(products.output_shape)
        if needs[0]:
            back = ops.conv_backward_input(products, moved, kept_w.reshape(products.weight_shape))
            dx = add_columns(problem, back.reshape(*problem.output, *window, len(grad)))
        if needs[1]:
            read = columns(problem, kept_x).reshape(products.input_shape)
            dw, _ = ops.conv_backward_weight(products, moved, read, bias=False)
            dw = dw.reshape(*problem.output, grad.shape[1], *window)
        if needs[2]:
            db = sum_over(grad, (0,))
        return dx, dw, db

    return gradients


def _of_no_images(
    operation: str,
    problem: Any,
    activation: Activation | None,
    tensors: tuple[Tensor, Tensor, Tensor | None],
) -> Tensor:
    """What an empty batch gives, and its gradients: that of the filters of one position."""
    arrays: list[Any] = [None if t is None else t._data for t in tensors]
    x, w, b = arrays
    first = (0,) * len(problem.output)
    alone = (slice(None), *first)
    one = None if b is None else np.ascontiguousarray(b[alone])
    y = ops.conv_forward(problem, x, w[first], one, activation)
    needs = recording(*tensors)
    if needs is None:
        return Tensor(y)

    def backward(_: Any) -> Any:
        pairs = zip(arrays, needs, strict=True)
        return tuple(np.zeros_like(a) if need else None for a, need in pairs)

    return record(operation, y, tensors, backward)


def _problem(
    operation: str, dims: int, x: Any, w: Any, b: Any, window: tuple[Any, Any, Any]
) -> Any:
    """Where the windows lie: a convolution with one filter of the same kernel."""
    if w.ndim != 2 * dims + 2:
        raise ValueError(
            f"{operation}: weight has shape {w.shape}, expected {2 * dims + 2} dimensions "
            f"(*output, out_channels, in_channels, *kernel)"
        )
    problem = ops.conv_problem(x.shape, w.shape[dims:], *window, operation=operation)
    if problem.output != w.shape[:dims]:
        raise ValueError(
            f"{operation}: input {x.shape} has windows at {problem.output} places but weight "
            f"{w.shape} has filters for {w.shape[:dims]}"
        )
    expected = (w.shape[dims], *problem.output)
    if b is not None and b.shape != expected:
        raise ValueError(f"{operation}: bias has shape {b.shape}, expected {expected}")
    return problem


def locally_connected1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    *,
    activation: Activation | None = None,
) -> Tensor:
    """:func:`locally_connected2d` of input (N, C, W), weight (W', K, C, S), bias (K, W')."""
    window = (stride, padding, dilation)
    return locally_connected(1, input, weight, bias, window, activation)


def locally_connected2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    *,
    activation: Activation | None = None,
) -> Tensor:
    """A convolution whose filters are not shared: each place of the result has its own.

    input (N, C, H, W), weight (H', W', K, C, R, S), bias (K, H', W'), result (N, K, H', W').
    """
    window = (stride, padding, dilation)
    return locally_connected(2, input, weight, bias, window, activation)
