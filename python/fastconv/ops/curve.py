"""Element-wise activations with parameters. Each backward function takes the kept input ``x``.

For all of them: ``x`` and ``grad`` are float32 or float64 arrays of one shape; a result has the
shape and dtype of the first argument and lies as it does. NaN stays NaN, infinities give the
limits (PyTorch gives NaN for gelu and silu at -inf). ValueError where the shapes differ or a
parameter has no such value, TypeError for what is no array or number, or for another or mixed
dtypes.
"""

from __future__ import annotations

import math
from numbers import Real

from fastconv import _core
from fastconv.ops.types import Approximation, Array, ArrayLike


def leaky_relu(x: ArrayLike, negative_slope: float = 0.01) -> Array:
    """x where x > 0, else ``negative_slope`` * x (Maas, Hannun and Ng, 2013)."""
    return _core.leaky_relu(x, negative_slope)


def leaky_relu_backward(grad: ArrayLike, x: ArrayLike, negative_slope: float = 0.01) -> Array:
    """Gradient of ``leaky_relu``: ``grad`` where x > 0, else ``negative_slope`` * grad."""
    return _core.leaky_relu_backward(grad, x, negative_slope)


def elu(x: ArrayLike, alpha: float = 1.0) -> Array:
    """x where x > 0, else ``alpha`` * (exp(x) - 1) (Clevert, Unterthiner and Hochreiter, 2016)."""
    return _core.elu(x, alpha)


def elu_backward(grad: ArrayLike, x: ArrayLike, alpha: float = 1.0) -> Array:
    """Gradient of ``elu``: ``grad`` where x > 0, else grad * ``alpha`` * exp(x)."""
    return _core.elu_backward(grad, x, alpha)


def hardtanh(x: ArrayLike, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    """x, at least ``min_val`` and at most ``max_val``."""
    _check_ends("hardtanh", min_val, max_val)
    return _core.hardtanh(x, min_val, max_val)


def hardtanh_backward(
    grad: ArrayLike, x: ArrayLike, min_val: float = -1.0, max_val: float = 1.0
) -> Array:
    """Gradient of ``hardtanh``: ``grad`` where min_val < x < max_val, else 0."""
    _check_ends("hardtanh_backward", min_val, max_val)
    return _core.hardtanh_backward(grad, x, min_val, max_val)


def _check_ends(operation: str, min_val: float, max_val: float) -> None:
    if min_val > max_val:
        raise ValueError(f"{operation}: min_val {min_val} is above max_val {max_val}")
    if min_val != min_val or max_val != max_val:
        raise ValueError(f"{operation}: min_val {min_val} and max_val {max_val} must be numbers")


def silu(x: ArrayLike) -> Array:
    """x / (1 + exp(-x)), also called swish."""
    return _core.silu(x)


def silu_backward(grad: ArrayLike, x: ArrayLike) -> Array:
    """Gradient of ``silu``: grad * s * (1 + x * (1 - s)) with s = sigmoid(x)."""
    return _core.silu_backward(grad, x)


def softplus(x: ArrayLike, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """log(1 + exp(beta * x)) / beta; x itself where beta * x > ``threshold``.

    No exponential overflows, whatever the threshold. beta: finite, and not 0.
    """
    _check_beta("softplus", beta)
    return _core.softplus(x, beta, threshold)


def softplus_backward(
    grad: ArrayLike, x: ArrayLike, beta: float = 1.0, threshold: float = 20.0
) -> Array:
    """Gradient of ``softplus``: grad * sigmoid(beta * x); grad where beta * x > ``threshold``."""
    _check_beta("softplus_backward", beta)
    return _core.softplus_backward(grad, x, beta, threshold)


def _check_beta(operation: str, beta: float) -> None:
    if isinstance(beta, Real) and (beta == 0 or not math.isfinite(beta)):
        raise ValueError(f"{operation}: beta must be finite and not 0, got {beta}")


def gelu(x: ArrayLike, approximate: Approximation = "none") -> Array:
    """x * Phi(x), Phi the standard normal distribution (Hendrycks and Gimpel, 2016).

    approximate="tanh": x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2 instead.
    """
    if _by_tanh("gelu", approximate):
        return _core.gelu_tanh(x)
    return _core.gelu(x)


def gelu_backward(grad: ArrayLike, x: ArrayLike, approximate: Approximation = "none") -> Array:
    """Gradient of ``gelu``: grad * (Phi(x) + x * exp(-x**2 / 2) / sqrt(2 * pi)), or that of its
    approximation."""
    if _by_tanh("gelu_backward", approximate):
        return _core.gelu_tanh_backward(grad, x)
    return _core.gelu_backward(grad, x)


def _by_tanh(operation: str, approximate: str) -> bool:
    if approximate not in ("none", "tanh"):
        raise ValueError(f'{operation}: approximate must be "none" or "tanh", got {approximate!r}')
    return approximate == "tanh"
