"""Layer and group normalisation: rows of an example to mean 0 and variance 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastconv.reference.layout import Array, deliver


def _statistics(rows: Array, eps: float) -> tuple[Array, Array]:
    """mean and invstd = 1 / sqrt(var + eps) over the last axis, which may be empty."""
    if rows.shape[-1] == 0:
        mean = np.zeros(rows.shape[:-1], rows.dtype)
        return mean, np.full_like(mean, 1 / np.sqrt(eps)) if eps > 0 else mean + np.inf
    return rows.mean(-1), (1 / np.sqrt(rows.var(-1) + eps)).astype(rows.dtype)


def _rows_backward(scaled: Array, z: Array, invstd: Array) -> Array:
    """With z = (x - mean) * invstd and scaled = grad * weight, over rows of M values:
    dx = invstd * (scaled - sum(scaled) / M - z * sum(scaled * z) / M)."""
    count = max(1, z.shape[-1])
    mean, slope = scaled.sum(-1) / count, (scaled * z).sum(-1) / count
    return (scaled - mean[..., None] - z * slope[..., None]) * invstd[..., None]


def layer_norm(
    x: Array,
    normalized_shape: Sequence[int],
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> tuple[Array, Array, Array]:
    """y = (x - mean) * invstd * weight + bias over the last dimensions."""
    leading = x.shape[: x.ndim - len(normalized_shape)]
    rows = x.reshape(*leading, int(np.prod(normalized_shape)))
    mean, invstd = _statistics(rows, eps)
    y = ((rows - mean[..., None]) * invstd[..., None]).reshape(x.shape)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias, mean, invstd


def layer_norm_backward(
    grad: Array,
    x: Array,
    normalized_shape: Sequence[int],
    weight: Array | None,
    mean: Array,
    invstd: Array,
    *,
    output_mask: tuple[bool, bool, bool] = (True, True, True),
) -> tuple[Any, Any, Any]:
    """db = sum(grad), dw = sum(grad * z) over everything before the normalized shape."""
    count = x.ndim - len(normalized_shape)
    flat = (*x.shape[:count], int(np.prod(normalized_shape)))
    z = (x.reshape(flat) - mean[..., None]) * invstd[..., None]
    scaled = grad if weight is None else grad * weight
    dx = _rows_backward(scaled.reshape(flat), z, invstd).reshape(x.shape)
    before = tuple(range(count))
    dw, db = (grad * z.reshape(x.shape)).sum(before), grad.sum(before)
    wants_dx, wants_dw, wants_db = output_mask
    return dx if wants_dx else None, dw if wants_dw else None, db if wants_db else None


def _grouped(x: Array, num_groups: int) -> Array:
    return x.reshape(x.shape[0], num_groups, x.shape[1] // num_groups * int(np.prod(x.shape[2:])))


def _per_channel(values: Array, like: Array) -> Array:
    return values.reshape(1, -1, *(1,) * (like.ndim - 2))


def group_norm(
    x: Array,
    num_groups: int,
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> tuple[Array, Array, Array]:
    """y = (x - mean) * invstd * weight + bias; mean and invstd (N, num_groups) over the channels
    of a group and all of space."""
    rows = _grouped(x, num_groups)
    mean, invstd = _statistics(rows, eps)
    y = ((rows - mean[..., None]) * invstd[..., None]).reshape(x.shape)
    y = y if weight is None else y * _per_channel(weight, x)
    return deliver(y if bias is None else y + _per_channel(bias, x), x), mean, invstd


def group_norm_backward(
    grad: Array,
    x: Array,
    num_groups: int,
    weight: Array | None,
    mean: Array,
    invstd: Array,
    *,
    output_mask: tuple[bool, bool, bool] = (True, True, True),
) -> tuple[Any, Any, Any]:
    """db = sum(grad), dw = sum(grad * z) of each channel."""
    z = (_grouped(x, num_groups) - mean[..., None]) * invstd[..., None]
    scaled = grad if weight is None else grad * _per_channel(weight, x)
    dx = deliver(_rows_backward(_grouped(scaled, num_groups), z, invstd).reshape(x.shape), x)
    axes = (0, *range(2, x.ndim))
    dw, db = (grad * z.reshape(x.shape)).sum(axes), grad.sum(axes)
    wants_dx, wants_dw, wants_db = output_mask
    return dx if wants_dx else None, dw if wants_dw else None, db if wants_db else None
