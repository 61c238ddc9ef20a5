"""Activations and softmax; the backward functions start from the kept output y."""

from __future__ import annotations

import numpy as np

from fastconv.reference.layout import Array


def relu(x: Array) -> Array:
    """max(x, 0); NaN stays NaN."""
    return np.maximum(x, 0)


def relu_backward(grad: Array, y: Array) -> Array:
    """dL/dx = dL/dy where y > 0, else 0 (and dL/dy where y is NaN, as in PyTorch)."""
    return np.where(y <= 0, np.zeros_like(grad), grad)


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), written so that neither end overflows."""
    return np.exp(-np.logaddexp(np.zeros_like(x), -x))


def sigmoid_backward(grad: Array, y: Array) -> Array:
    """dL/dx = dL/dy y (1 - y)."""
    return grad * y * (1 - y)


def tanh(x: Array) -> Array:
    """(exp(x) - exp(-x)) / (exp(x) + exp(-x))."""
    return np.tanh(x)


def tanh_backward(grad: Array, y: Array) -> Array:
    """dL/dx = dL/dy (1 - y^2)."""
    return grad * (1 - y * y)


def activate(y: Array, activation: str | None) -> Array:
    """The activation that a convolution or a linear layer ends with, by name."""
    functions = {"relu": relu, "sigmoid": sigmoid, "tanh": tanh}
    return y if activation is None else functions[activation](y)


def log_softmax(x: Array, dim: int = -1) -> Array:
    """x_i - log(sum over j of exp(x_j)), the maximum taken out first: no exponential overflows."""
    shifted = x - x.max(axis=dim, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=dim, keepdims=True))


def log_softmax_backward(grad: Array, y: Array, dim: int = -1) -> Array:
    """dL/dx_i = dL/dy_i - exp(y_i) times the sum over j of dL/dy_j."""
    return grad - np.exp(y) * grad.sum(axis=dim, keepdims=True)


def softmax(x: Array, dim: int = -1) -> Array:
    """exp(x_i) / sum over j of exp(x_j)."""
    e = np.exp(x - x.max(axis=dim, keepdims=True))
    return e / e.sum(axis=dim, keepdims=True)


def softmax_backward(grad: Array, y: Array, dim: int = -1) -> Array:
    """dL/dx_i = y_i (dL/dy_i - sum over j of y_j dL/dy_j): the Jacobian is never formed."""
    return y * (grad - (grad * y).sum(axis=dim, keepdims=True))
