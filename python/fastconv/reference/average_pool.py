"""Average pooling over windows of one size and over windows that cover the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastconv.reference.layout import Array, deliver, per_dimension
from fastconv.reference.pool import pooled_size

# Of each window of a dimension: the cells in it, and what the divisor is multiplied by.
Windows = list[tuple[slice, int]]


def _windows(
    size: int, kernel: int, stride: int, padding: int, ceil_mode: bool, include_pad: bool
) -> Windows:
    """A window ends where the padding does, however far ceil mode lets it hang over."""
    found = []
    for o in range(pooled_size(size, kernel, stride, padding, 1, ceil_mode)):
        begin = o * stride - padding
        end = min(begin + kernel, size + padding)
        inside = slice(max(begin, 0), min(end, size))
        found.append((inside, end - begin if include_pad else inside.stop - inside.start))
    return found


def _adaptive(size: int, count: int) -> Windows:
    edges = [(o * size // count, -(-(o + 1) * size // count)) for o in range(count)]
    return [(slice(begin, end), end - begin) for begin, end in edges]


def _divisor(dims: Sequence[Windows], divisor: int | None) -> Any:
    """What each sum is divided by: the product of its windows' counts."""
    by: Any = divisor or 1
    for axis, windows in enumerate(dims):
        counts = np.array([count for _, count in windows], np.float64)
        if divisor is None:
            by = by * counts.reshape(-1, *(1,) * (len(dims) - 1 - axis))
    return by


def _means(x: Array, dims: Sequence[Windows], divisor: int | None) -> Array:
    """Sums over one dimension's windows after the other's, divided."""
    sums = x
    for axis, windows in enumerate(dims, 2):
        here = np.moveaxis(sums, axis, 0)
        sums = np.stack([here[cells].sum(axis=0) for cells, _ in windows], axis)
    return deliver((sums / _divisor(dims, divisor)).astype(x.dtype), x)


def _shares(
    grad: Array,
    input_shape: Sequence[int],
    dims: Sequence[Windows],
    divisor: int | None,
    memory_format: str | None,
) -> Array:
    """The gradient over its divisor, added to the cells of one dimension's windows after the
    other's."""
    dx = (grad / _divisor(dims, divisor)).astype(grad.dtype)
    for axis, windows in enumerate(dims, 2):
        shares = np.moveaxis(dx, axis, 0)
        cells_of = np.zeros((input_shape[axis], *shares.shape[1:]), grad.dtype)
        for (cells, _), share in zip(windows, shares, strict=True):
            cells_of[cells] += share
        dx = np.moveaxis(cells_of, 0, axis)
    return deliver(dx, grad, memory_format)


def _along(
    shape: Sequence[int],
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
) -> list[Windows]:
    count = len(shape) - 2
    kernel = per_dimension(kernel_size, count)
    steps = kernel if stride is None else per_dimension(stride, count)
    extents = zip(shape[2:], kernel, steps, per_dimension(padding, count), strict=True)
    return [_windows(*each, ceil_mode, count_include_pad) for each in extents]


def avg_pool2d(
    x: Array,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """The sum of each window's cells over their number, or over ``divisor_override``.

    x (N, C, H, W) -> (N, C, P, Q). Cells of the padding are 0 and count unless
    ``count_include_pad`` is false; those beyond it, in ceil mode, never do.
    """
    window = (kernel_size, stride, padding, ceil_mode, count_include_pad)
    return _means(x, _along(x.shape, *window), divisor_override)


def avg_pool2d_backward(
    grad: Array,
    input_shape: Sequence[int],
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    memory_format: str | None = None,
) -> Array:
    """Every cell of a window gets the window's gradient over its divisor."""
    window = (kernel_size, stride, padding, ceil_mode, count_include_pad)
    dims = _along(input_shape, *window)
    return _shares(grad, input_shape, dims, divisor_override, memory_format)


def adaptive_avg_pool2d(x: Array, output_size: Any) -> Array:
    """Means of the windows from floor(o * size / count) to ceil((o + 1) * size / count)."""
    counts = (
        output_size if isinstance(output_size, (tuple, list)) else (output_size,) * (x.ndim - 2)
    )
    pairs = zip(x.shape[2:], counts, strict=True)
    return _means(x, [_adaptive(size, size if n is None else n) for size, n in pairs], None)


def adaptive_avg_pool2d_backward(
    grad: Array, input_shape: Sequence[int], *, memory_format: str | None = None
) -> Array:
    """Every cell of a window gets the window's gradient over the number of its cells."""
    pairs = zip(input_shape[2:], grad.shape[2:], strict=True)
    dims = [_adaptive(size, count) for size, count in pairs]
    return _shares(grad, input_shape, dims, None, memory_format)


# Written for any number of spatial dimensions.
avg_pool1d = avg_pool3d = avg_pool2d
avg_pool1d_backward = avg_pool3d_backward = avg_pool2d_backward
adaptive_avg_pool1d = adaptive_avg_pool3d = adaptive_avg_pool2d
adaptive_avg_pool1d_backward = adaptive_avg_pool3d_backward = adaptive_avg_pool2d_backward
