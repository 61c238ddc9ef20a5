"""Local response normalisation."""

from __future__ import annotations

from fastconv import _core
from fastconv.ops.types import Array, ArrayLike


def local_response_norm(
    x: ArrayLike, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Array:
    """x / (k + alpha / size * sum of x^2 over ``size`` neighbouring channels)^beta.

    The window of channel c is [c - size // 2, c + (size - 1) // 2]; channels past the ends are 0.
    This is PyTorch's mean. The sum of Krizhevsky et al. (2012) with k = 2, n = 5, alpha = 1e-4,
    beta = 0.75 is ``local_response_norm(x, 5, alpha=5e-4, beta=0.75, k=2)``.

    Args:
        x: (N, C), (N, C, L), (N, C, H, W) or (N, C, D, H, W), float32 or float64; N may be 0.
        size: channels of a window, at least 1.
        alpha, k: at least 0.
        beta: any number; 0.75 is the fast one.

    Returns:
        An array of the shape and dtype of ``x`` that lies as ``x`` does.

    Raises:
        ValueError: the shape or a value does not fit.
        TypeError: not an array, another dtype, or a size that is no integer.
        MemoryError: the result cannot be held.
    """
    return _core.local_response_norm(x, size, alpha, beta, k)


def local_response_norm_backward(
    grad: ArrayLike,
    x: ArrayLike,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
) -> Array:
    """Gradient of ``local_response_norm`` at ``x``; what is divided by is computed again.

    Args:
        grad: gradient at the output; shape and dtype of ``x``.
        x, size, alpha, beta, k: what ``local_response_norm`` took.

    Returns:
        An array of the shape and dtype of ``x`` that lies as ``x`` does.

    Raises:
        ValueError: shapes differ or do not fit, or a value does not.
        TypeError: not arrays, another or mixed dtypes, or a size that is no integer.
    """
    return _core.local_response_norm_backward(grad, x, size, alpha, beta, k)
