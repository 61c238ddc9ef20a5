"""Batch normalisation: every channel to mean 0 and variance 1, then scaled and shifted."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv.reference.layout import Array, deliver


def _per_channel(values: Array, like: Array) -> Array:
    """(C,) as (1, C, 1, ...)."""
    return values.reshape(1, -1, *(1,) * (like.ndim - 2))


def batch_norm(
    x: Array,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Array | None = None,
    bias: Array | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    activation: str | None = None,
) -> tuple[Array, Array, Array]:
    """y = (x - mean) * invstd * weight + bias; mean and invstd = 1 / sqrt(var + eps) of (C,).

    Training: statistics of the batch; the running ones move towards them, the variance with its
    unbiased value, M / (M - 1) times the biased one for M values a channel.
    """
    axes = (0, *range(2, x.ndim))
    count = x.size // x.shape[1]
    if training and count > 0:
        mean, var = x.mean(axes), x.var(axes)
        if running_mean is not None and running_var is not None:
            running_mean += momentum * (mean - running_mean)
            running_var += momentum * (var * (count / (count - 1)) - running_var)
    else:
        zeros = np.zeros(x.shape[1], x.dtype)
        mean = zeros.copy() if running_mean is None else running_mean.copy()
        var = zeros + (1 - eps) if running_var is None else running_var
    invstd = (1 / np.sqrt(var + eps)).astype(x.dtype)
    y = (x - _per_channel(mean, x)) * _per_channel(invstd, x)
    if weight is not None:
        y = y * _per_channel(weight, x)
    if bias is not None:
        y = y + _per_channel(bias, x)
    if activation == "relu":
        y = np.where(y < 0, 0, y).astype(x.dtype)
    return deliver(y, x), mean, invstd


def batch_norm_backward(
    grad: Array,
    x: Array,
    weight: Array | None,
    bias: Array | None,
    mean: Array,
    invstd: Array,
    training: bool,
    *,
    activation: str | None = None,
    output_mask: tuple[bool, bool, bool] = (True, True, True),
) -> tuple[Any, Any, Any]:
    """With z = (x - mean) * invstd and M values a channel: db = sum(grad), dw = sum(grad * z),
    dx = weight * invstd * (grad - db / M - z * dw / M); in evaluation weight * invstd * grad."""
    axes = (0, *range(2, x.ndim))
    count = x.size // x.shape[1]
    z = (x - _per_channel(mean, x)) * _per_channel(invstd, x)
    scale = invstd if weight is None else weight * invstd
    if activation == "relu":
        y = (x - _per_channel(mean, x)) * _per_channel(scale, x)
        y = y if bias is None else y + _per_channel(bias, x)
        grad = np.where(y <= 0, 0, grad).astype(x.dtype)
    dw, db = (grad * z).sum(axes), grad.sum(axes)
    dx = grad
    if training and count > 0:
        dx = grad - _per_channel(db / count, x) - z * _per_channel(dw / count, x)
    dx = deliver(dx * _per_channel(scale, x), x)
    wants_dx, wants_dw, wants_db = output_mask
    return dx if wants_dx else None, dw if wants_dw else None, db if wants_db else None
