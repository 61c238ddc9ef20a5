"""Local response normalisation (Krizhevsky, Sutskever, Hinton, 2012), with PyTorch's mean."""

from __future__ import annotations

import numpy as np

from fastconv.reference.layout import Array, deliver


def _window_sums(values: Array, before: int, after: int) -> Array:
    """Sum over the channels [c - before, c + after] of (N, C, ...), those there are."""
    sums = np.zeros_like(values)
    for c in range(values.shape[1]):
        sums[:, c] = values[:, max(0, c - before) : c + after + 1].sum(1)
    return sums


def _scale(x: Array, size: int, alpha: float, k: float) -> Array:
    """s = k + alpha / size * sum of x^2 over the window."""
    return k + alpha / size * _window_sums(x * x, size // 2, (size - 1) // 2)


def local_response_norm(
    x: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Array:
    """y = x * s^-beta."""
    y = x * _scale(x, size, alpha, k) ** -beta
    return deliver(y.astype(x.dtype), x)


def local_response_norm_backward(
    grad: Array,
    x: Array,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
) -> Array:
    """dx_j = g_j s_j^-beta - 2 beta alpha / size x_j * sum of g_c x_c s_c^(-beta - 1) over the
    channels c whose windows hold j."""
    s = _scale(x, size, alpha, k)
    slopes = _window_sums(grad * x * s ** (-beta - 1), (size - 1) // 2, size // 2)
    dx = grad * s**-beta - 2 * beta * alpha / size * x * slopes
    return deliver(dx.astype(x.dtype), x)
