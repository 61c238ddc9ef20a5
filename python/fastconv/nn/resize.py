"""Interpolation as a function of tensors, a dimension after the other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastconv.autograd.engine import recording
from fastconv.autograd.tensor import Tensor, record
from fastconv.nn.arguments import sizes
from fastconv.nn.fused import floating_of
from fastconv.nn.tables import Table, check_held, lies_channels_last, pair_of, remembered, summed

DIMENSIONS = {"nearest": 0, "nearest-exact": 0, "linear": 1, "bilinear": 2, "trilinear": 3}


def _nearest(size: int, count: int, step: Any, exact: bool) -> tuple[Any, Any]:
    """The cell that a result's left edge lies in, or its centre. Rounding decides at an edge: the
    steps are PyTorch's."""
    at = np.arange(count).astype(step.dtype)
    real = ((at + step.dtype.type(0.5 if exact else 0)) * step).astype(np.float32)
    cells = np.minimum(np.floor(real).astype(np.int64), size - 1)
    return cells[:, None], np.ones((count, 1))


def _linear(size: int, count: int, step: Any, align_corners: bool) -> tuple[Any, Any]:
    """The two cells around a result's place, or the nearest one beyond the outermost centres."""
    kind = step.dtype.type
    at = np.arange(count).astype(step.dtype)
    place = at * step if align_corners else np.maximum((at + kind(0.5)) * step - kind(0.5), 0)
    low = np.minimum(place.astype(np.int64), size - 1)
    high = np.minimum(low + 1, size - 1)
    share = np.clip(place - low.astype(step.dtype), 0, 1)
    return np.stack([low, high], 1), np.stack([1 - share, share], 1)


@remembered
def tables(
    size: int, count: int, scale: float | None, mode: str, align_corners: bool, dtype: str
) -> tuple[Table, Table]:
    """The table of the results and, for the gradient, that of the cells."""
    kind = np.dtype(dtype).type
    if align_corners:
        step = kind(size - 1) / kind(count - 1) if count > 1 else kind(0)
    else:
        step = kind(1 / scale) if scale else kind(size) / kind(count)
    if mode.startswith("nearest"):
        cells, weights = _nearest(size, count, step, mode.endswith("exact"))
    else:
        cells, weights = _linear(size, count, step, align_corners)
    results = np.broadcast_to(np.arange(count)[:, None], cells.shape)
    used = weights != 0
    return pair_of(count, size, results[used], cells[used], weights[used].astype(dtype))


def _scales(scale_factor: Any, dims: int) -> tuple[float, ...]:
    given = isinstance(scale_factor, (tuple, list))
    factors = tuple(scale_factor) if given else (scale_factor,) * dims
    if len(factors) != dims:
        raise ValueError(f"interpolate: scale_factor must be a number or {dims}, got {factors}")
    for factor in factors:
        if isinstance(factor, bool) or not isinstance(factor, (int, float)):
            raise TypeError(f"interpolate: scale_factor must be a number, got {factor!r}")
        if not 0 < factor < math.inf:
            raise ValueError(f"interpolate: scale_factor must be positive, got {factor}")
    return tuple(float(factor) for factor in factors)


def _extents(
    shape: tuple[int, ...], size: Any, scale_factor: Any, recompute: bool
) -> list[tuple[int, float | None]]:
    """Results of each spatial dimension, and the factor where it decides where they lie."""
    dims = len(shape) - 2
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate: expected either size or scale_factor")
    if size is not None:
        counts = list(sizes("interpolate", "size", size, dims))
        check_held("interpolate", "size", size, shape, counts)
        return [(count, None) for count in counts]
    scales = _scales(scale_factor, dims)
    # A product may be infinite, which no integer is.
    counts = [int(min(n * scale, 2.0**62)) for n, scale in zip(shape[2:], scales, strict=True)]
    if min(counts) < 1:
        raise ValueError(f"interpolate: scale_factor {scales} leaves nothing of shape {shape}")
    check_held("interpolate", "scale_factor", scale_factor, shape, counts)
    return list(zip(counts, [None] * dims if recompute else scales, strict=True))


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
) -> Tensor:
    """input (N, C, *spatial) at another size, or at ``scale_factor`` times its own, rounded down.

    mode: "nearest", "nearest-exact", or "linear", "bilinear", "trilinear" for one, two, three
    spatial dimensions. align_corners: the outermost cells' centres stay where they are, instead of
    the outermost edges. recompute_scale_factor: cells are as far apart as the rounded size says.
    """
    x = floating_of("interpolate", "input", input)
    dims = x.ndim - 2
    if mode not in DIMENSIONS:
        raise ValueError(f"interpolate: mode must be one of {', '.join(DIMENSIONS)}, got {mode!r}")
    if not 1 <= dims <= 3 or DIMENSIONS[mode] not in (0, dims):
        raise ValueError(f"interpolate: mode {mode!r} does not go with input of shape {x.shape}")
    if 0 in x.shape[1:]:
        raise ValueError(f"interpolate: input {x.shape} is empty; only the batch may be 0")
    if align_corners is not None and mode.startswith("nearest"):
        raise ValueError(f"interpolate: mode {mode!r} takes no align_corners")
    extents = _extents(x.shape, size, scale_factor, bool(recompute_scale_factor))
    found = [
        tables(extent, count, scale, mode, bool(align_corners), x.dtype.name)
        for extent, (count, scale) in zip(x.shape[2:], extents, strict=True)
    ]
    out, last = x, lies_channels_last(x)
    for axis in reversed(range(dims)):
        out = summed(out, axis + 2, found[axis][0], last)
    if recording(input) is None:
        return Tensor(out)

    def backward(grad: Any) -> Any:
        for axis in range(dims):
            grad = summed(grad, axis + 2, found[axis][1], last)
        return (grad,)

    return record("interpolate", out, (input,), backward)
