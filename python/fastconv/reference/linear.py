"""The fully connected layer.

Formulas: Goodfellow, Bengio, Courville, Deep Learning (2016), section 6.5.
"""

from __future__ import annotations

from fastconv.reference.activation import activate
from fastconv.reference.layout import Array


def linear(
    x: Array, weight: Array, bias: Array | None = None, *, activation: str | None = None
) -> Array:
    """y = x W^T + b: x (..., in), weight (out, in), bias (out,) -> (..., out)."""
    y = x @ weight.T
    return activate(y if bias is None else y + bias, activation)


def linear_backward_input(grad: Array, weight: Array) -> Array:
    """dL/dx = dL/dy W: grad (..., out) -> (..., in)."""
    return grad @ weight


def linear_backward_weight(
    grad: Array, x: Array, *, bias: bool = True
) -> tuple[Array, Array | None]:
    """dL/dW = (dL/dy)^T x and dL/db = sum of dL/dy, over all rows -> (out, in), (out,) or None."""
    rows = grad.reshape(-1, grad.shape[-1])
    return rows.T @ x.reshape(-1, x.shape[-1]), rows.sum(axis=0) if bias else None


def linear_backward(
    grad: Array, x: Array, weight: Array, *, bias: bool = True
) -> tuple[Array, Array, Array | None]:
    """All three gradients: dx, dw, db (None without bias)."""
    return (linear_backward_input(grad, weight), *linear_backward_weight(grad, x, bias=bias))
