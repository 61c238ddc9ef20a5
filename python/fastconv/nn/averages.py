"""Means over windows as functions of tensors: sums along one dimension after the other, divided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastconv import _core
from fastconv.autograd.engine import recording
from fastconv.autograd.tensor import Tensor, record
from fastconv.nn.arguments import integer
from fastconv.nn.fused import floating_of
from fastconv.nn.tables import (
    Table,
    check_held,
    lies_channels_last,
    remembered,
    spans_table,
    summed,
)


class Windows(NamedTuple):
    """Of one dimension: the sums, their transpose, and the cells that count in each."""

    forward: Table
    transpose: Table
    counts: Any


@remembered
def _windows(
    size: int, count: int, kernel: int, stride: int, padding: int, include: bool, dtype: str
) -> Windows:
    """A window ends where the padding does, however far ceil mode lets it hang over."""
    begins = np.arange(count) * stride - padding
    ends = np.minimum(begins + kernel, size + padding)
    inside = np.maximum(begins, 0), np.minimum(ends, size)
    counts = ends - begins if include else inside[1] - inside[0]
    return Windows(*spans_table(size, *inside, dtype), counts.astype(dtype))


@remembered
def _adaptive(size: int, count: int, dtype: str) -> Windows:
    """Window o begins at floor(o * size / count) and ends at ceil((o + 1) * size / count)."""
    edges = np.arange(count + 1) * size
    begins, ends = edges[:-1] // count, -(-edges[1:] // count)
    return Windows(*spans_table(size, begins, ends, dtype), (ends - begins).astype(dtype))


def _mean(name: str, input: Tensor, windows: Sequence[Windows], divisor: int | None) -> Tensor:
    """The sums of every dimension's windows over what they are divided by."""
    x, dims = input._data, len(windows)
    last = lies_channels_last(x)
    by: Any = x.dtype.type(divisor or 1)
    if divisor is None:
        for axis, each in enumerate(windows):
            by = by * each.counts.reshape(-1, *(1,) * (dims - axis - 1))
        by = by if isinstance(x, np.ndarray) else np.asarray(by, like=x)
    out = x
    for axis in reversed(range(dims)):
        out = summed(out, axis + 2, windows[axis].forward, last)
    out = out / by
    if recording(input) is None:
        return Tensor(out)

    def backward(grad: Any) -> Any:
        grad = grad / by
        for axis in range(dims):
            grad = summed(grad, axis + 2, windows[axis].transpose, last)
        return (grad,)

    return record(name, out, (input,), backward)


def _avg_pool(
    name: str, input: Tensor, window: tuple[Any, ...], include: bool, divisor: Any
) -> Tensor:
    x = floating_of(name, "input", input)
    kernel_size, stride, padding, ceil_mode = window
    p = _core.pool_problem(x.shape, kernel_size, stride, padding, 1, ceil_mode, name)
    if divisor is not None and integer(name, "divisor_override", divisor, -(2**62)) == 0:
        raise ValueError(f"{name}: divisor_override must not be 0")
    extents = zip(p.input, p.output, p.kernel, p.stride, p.padding, strict=True)
    found = [_windows(*each, bool(include), x.dtype.name) for each in extents]
    return _mean(name, input, found, divisor)


def avg_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """:func:`avg_pool2d` for input (N, C, L)."""
    window = (kernel_size, stride, padding, ceil_mode)
    return _avg_pool("avg_pool1d", input, window, count_include_pad, None)


def avg_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of input (N, C, H, W); ``stride`` defaults to ``kernel_size``.

    Cells of the padding are 0 and count unless ``count_include_pad`` is false; those beyond it, in
    ceil mode, never do. ``divisor_override`` divides every sum instead.
    """
    window = (kernel_size, stride, padding, ceil_mode)
    return _avg_pool("avg_pool2d", input, window, count_include_pad, divisor_override)


def avg_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """:func:`avg_pool2d` for input (N, C, D, H, W)."""
    window = (kernel_size, stride, padding, ceil_mode)
    return _avg_pool("avg_pool3d", input, window, count_include_pad, divisor_override)


def _adaptive_avg_pool(name: str, input: Tensor, output_size: Any, dims: int) -> Tensor:
    x = floating_of(name, "input", input)
    if x.ndim != dims + 2 or 0 in x.shape[1:]:
        raise ValueError(
            f"{name}: input has shape {x.shape}, expected {dims + 2} dimensions, of which only the "
            "batch may be 0"
        )
    given = isinstance(output_size, (tuple, list))
    wanted = tuple(output_size) if given else (output_size,) * dims
    if len(wanted) != dims:
        raise ValueError(f"{name}: output_size has {len(wanted)} values, expected {dims}")
    counts = [
        size if count is None else integer(name, "output_size", count)
        for size, count in zip(x.shape[2:], wanted, strict=True)
    ]
    check_held(name, "output_size", output_size, x.shape, counts)
    found = [_adaptive(*each, x.dtype.name) for each in zip(x.shape[2:], counts, strict=True)]
    return _mean(name, input, found, None)


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """:func:`adaptive_avg_pool2d` for input (N, C, L)."""
    return _adaptive_avg_pool("adaptive_avg_pool1d", input, output_size, 1)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Means of windows that cover input (N, C, H, W), as many as ``output_size`` says.

    output_size: an integer or a pair; None keeps the input's extent; 1 is the mean of each plane.
    """
    return _adaptive_avg_pool("adaptive_avg_pool2d", input, output_size, 2)


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """:func:`adaptive_avg_pool2d` for input (N, C, D, H, W)."""
    return _adaptive_avg_pool("adaptive_avg_pool3d", input, output_size, 3)
