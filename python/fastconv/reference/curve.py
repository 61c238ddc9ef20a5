"""Element-wise activations with parameters, and maxout; the backward functions start from x."""

from __future__ import annotations

import math

import numpy as np

from fastconv.reference.layout import Array

_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def leaky_relu(x: Array, negative_slope: float = 0.01) -> Array:
    """x where x > 0, else a x."""
    return np.where(x > 0, x, x * x.dtype.type(negative_slope))


def leaky_relu_backward(grad: Array, x: Array, negative_slope: float = 0.01) -> Array:
    """dL/dx = dL/dy where x > 0, else a dL/dy."""
    return np.where(x > 0, grad, grad * x.dtype.type(negative_slope))


def elu(x: Array, alpha: float = 1.0) -> Array:
    """x where x > 0, else alpha (exp(x) - 1)."""
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)) * x.dtype.type(alpha))


def elu_backward(grad: Array, x: Array, alpha: float = 1.0) -> Array:
    """dL/dx = dL/dy where x > 0, else dL/dy alpha exp(x)."""
    return np.where(x > 0, grad, grad * x.dtype.type(alpha) * np.exp(np.minimum(x, 0)))


def hardtanh(x: Array, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    """x between the ends, else the nearer end."""
    return np.clip(x, x.dtype.type(min_val), x.dtype.type(max_val))


def hardtanh_backward(grad: Array, x: Array, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    """dL/dx = dL/dy between the ends, else 0."""
    return np.where((x > min_val) & (x < max_val), grad, np.zeros_like(grad))


def _sigmoid(x: Array) -> Array:
    return np.exp(-np.logaddexp(np.zeros_like(x), -x))


def silu(x: Array) -> Array:
    """x sigmoid(x), in the limit 0 at -inf."""
    return np.where(np.isneginf(x), np.zeros_like(x), x * _sigmoid(x))


def silu_backward(grad: Array, x: Array) -> Array:
    """dL/dx = dL/dy s (1 + x (1 - s)), s = sigmoid(x)."""
    s = _sigmoid(x)
    return grad * (s + np.where(np.isinf(x), np.zeros_like(x), x * s * (1 - s)))


def softplus(x: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """log(1 + exp(b x)) / b, and x where b x > threshold."""
    v = x * x.dtype.type(beta)
    return np.where(v > threshold, x, np.logaddexp(np.zeros_like(v), v) / x.dtype.type(beta))


def softplus_backward(grad: Array, x: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """dL/dx = dL/dy sigmoid(b x), and dL/dy where b x > threshold."""
    v = x * x.dtype.type(beta)
    return np.where(v > threshold, grad, grad * _sigmoid(v))


def gelu(x: Array, approximate: str = "none") -> Array:
    """x Phi(x); "tanh": x (1 + tanh u) / 2 = x sigmoid(2 u), u = sqrt(2/pi) (x + 0.044715 x^3)."""
    part = _sigmoid(2 * _cubic(x)) if approximate == "tanh" else _phi(x)
    return np.where(np.isneginf(x), np.zeros_like(x), x * part)


def gelu_backward(grad: Array, x: Array, approximate: str = "none") -> Array:
    """dL/dx = dL/dy (Phi(x) + x phi(x)); "tanh": the derivative of the approximation."""
    x = np.clip(x, -1e3, 1e3)  # both are at their limits there
    if approximate == "tanh":
        s = _sigmoid(2 * _cubic(x))
        slope = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
        return grad * (s + 2 * x * s * (1 - s) * slope)
    return grad * (_phi(x) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi))


def _phi(x: Array) -> Array:
    """The standard normal distribution, at most in float64."""
    return _erfc(-np.asarray(x, np.float64) / math.sqrt(2)).reshape(x.shape).astype(x.dtype) / 2


def _cubic(x: Array) -> Array:
    return math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)


def maxout(x: Array, pieces: int, dim: int = 1) -> tuple[Array, Array]:
    """y_j = max over i < k of x_{jk + i} along a dimension, and the jk + i of the first maximum."""
    axis = dim % x.ndim
    shape = x.shape
    groups = x.reshape(*shape[:axis], shape[axis] // pieces, pieces, *shape[axis + 1 :])
    best = np.argmax(groups, axis + 1)
    first = np.arange(shape[axis] // pieces).reshape(-1, *[1] * (x.ndim - axis - 1)) * pieces
    return np.max(groups, axis + 1), best + first


def maxout_backward(
    grad: Array, indices: Array, input_shape: tuple[int, ...], dim: int = 1
) -> Array:
    """dL/dx at the position of each maximum = dL/dy, else 0."""
    dx = np.zeros(input_shape, grad.dtype)
    np.put_along_axis(dx, indices, grad, dim)
    return dx
