"""Max pooling that keeps where each maximum was."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastconv.reference.conv import conv2d, conv2d_backward_input, conv2d_backward_weight
from fastconv.reference.layout import Array, deliver, per_dimension, under_tap


def pooled_size(
    size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool
) -> int:
    """Ceil mode lets a window hang over the end, but not start in the trailing padding."""
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    count = (-(-room // stride) if ceil_mode else room // stride) + 1
    return count - 1 if ceil_mode and (count - 1) * stride >= size + padding else count


def max_pool2d(
    x: Array,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    *,
    return_indices: bool = True,
) -> tuple[Array, Array] | Array:
    """The largest cell of each window and its flat position in the input plane; padding never wins.

    x (N, C, H, W) -> (N, C, P, Q), int64 indices of the same shape. The first maximum wins, also
    where all are -inf; a NaN wins over any number, the last NaN over earlier ones (as in PyTorch).
    A window of padding alone gives -inf and index -1.
    """
    dims = x.ndim - 2
    kernel = per_dimension(kernel_size, dims)
    stride = kernel if stride is None else per_dimension(stride, dims)
    padding, dilation = per_dimension(padding, dims), per_dimension(dilation, dims)
    windows = list(zip(x.shape[2:], kernel, stride, padding, dilation, strict=True))
    output = tuple(pooled_size(*window, ceil_mode) for window in windows)
    frame = [
        (p, max(0, (o - 1) * s + d * (k - 1) + 1 - size - p))
        for o, (size, k, s, p, d) in zip(output, windows, strict=True)
    ]
    places = np.arange(math.prod(x.shape[2:])).reshape(x.shape[2:])
    places = np.pad(places, frame, constant_values=-1)
    cells = np.pad(x, ((0, 0), (0, 0), *frame))
    y = np.full((*x.shape[:2], *output), -np.inf, x.dtype)
    indices = np.full(y.shape, -1, np.int64)
    for tap in np.ndindex(*kernel):
        here = under_tap(tap, output, stride, dilation)
        value, place = cells[here], places[here]
        wins = (place >= 0) & ((indices < 0) | (value > y) | np.isnan(value))
        y, indices = np.where(wins, value, y), np.where(wins, place, indices)
    y, indices = deliver(y, x), deliver(indices, x)
    return (y, indices) if return_indices else y


def conv2d_max_pool2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    convolution: tuple[Any, Any, Any, int] = (1, 0, 1, 1),
    pooling: tuple[Any, Any, Any, Any, bool] = (2, None, 0, 1, False),
    *,
    activation: str | None = None,
    algorithm: str | None = None,
    memory_format: str | None = None,
    return_indices: bool = False,
) -> Any:
    """The largest cell of each window over the convolution's result, and where it was."""
    y = conv2d(x, weight, bias, *convolution, activation=activation, memory_format=memory_format)
    pooled, indices = max_pool2d(y, *pooling)
    return (pooled, indices) if return_indices else pooled


def conv2d_max_pool2d_backward(
    grad: Array,
    indices: Array,
    x: Array,
    weight: Array,
    convolution: tuple[Any, Any, Any, int] = (1, 0, 1, 1),
    pooling: tuple[Any, Any, Any, Any, bool] = (2, None, 0, 1, False),
    *,
    bias: bool = True,
    algorithm: str | None = None,
) -> tuple[Array, Array, Array | None]:
    """The gradient goes to the cells that the windows chose, and on through the convolution."""
    shape = conv2d(x, weight, None, *convolution).shape
    spread = max_pool2d_backward(grad, indices, shape, *pooling)
    dx = conv2d_backward_input(spread, weight, x.shape, *convolution)
    return dx, *conv2d_backward_weight(spread, x, weight.shape, *convolution, bias=bias)


def max_pool2d_backward(
    grad: Array,
    indices: Array,
    input_shape: Sequence[int],
    kernel_size: Any = None,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Array:
    """Each gradient goes to the cell that won its window; one that won several gets their sum.

    What the windows were does not matter.
    """
    dx = np.zeros((*input_shape[:2], math.prod(input_shape[2:])), grad.dtype)
    won = np.nonzero(indices >= 0)
    np.add.at(dx, (won[0], won[1], indices[won]), grad[won])
    return deliver(dx.reshape(input_shape), grad)


def adaptive_max_pool2d(
    x: Array, output_size: Any, *, return_indices: bool = True
) -> tuple[Array, Array] | Array:
    """As ``max_pool2d`` over the windows from floor(o * size / count) to ceil((o + 1) * size /
    count)."""
    sizes = x.shape[2:]
    given = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * len(sizes)
    counts = [s if n is None else n for s, n in zip(sizes, given, strict=True)]
    places = np.arange(math.prod(sizes)).reshape(sizes)
    y = np.empty((*x.shape[:2], *counts), x.dtype)
    indices = np.empty(y.shape, np.int64)
    for o in np.ndindex(*counts):
        extents = zip(o, sizes, counts, strict=True)
        window = tuple(slice(i * s // n, -(-(i + 1) * s // n)) for i, s, n in extents)
        place: Any = (..., *o)
        under: Any = (..., *window)
        cells = x[under].reshape(*x.shape[:2], places[window].size)
        nan = np.isnan(cells)
        last = cells.shape[-1] - 1 - nan[..., ::-1].argmax(-1)
        won = np.where(nan.any(-1), last, cells.argmax(-1))
        y[place] = np.take_along_axis(cells, won[..., None], -1)[..., 0]
        indices[place] = places[window].ravel()[won]
    y, indices = deliver(y, x), deliver(indices, x)
    return (y, indices) if return_indices else y


def adaptive_max_pool2d_backward(grad: Array, indices: Array, input_shape: Sequence[int]) -> Array:
    """As ``max_pool2d_backward``."""
    return max_pool2d_backward(grad, indices, input_shape)


# Written for any number of spatial dimensions.
max_pool1d = max_pool3d = max_pool2d
max_pool1d_backward = max_pool3d_backward = max_pool2d_backward
adaptive_max_pool1d = adaptive_max_pool3d = adaptive_max_pool2d
adaptive_max_pool1d_backward = adaptive_max_pool3d_backward = adaptive_max_pool2d_backward
