"""The fully connected layer: y = x @ weight.T + bias."""

from __future__ import annotations

from fastconv import _core
from fastconv.config import float32_precision
from fastconv.ops.types import Activation, Array, ArrayLike


def linear(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    activation: Activation | None = None,
) -> Array:
    """Matrix product with fused bias and activation.

    Args:
        x: (..., in_features), float32 or float64.
        weight: (out_features, in_features), dtype of ``x``.
        bias: (out_features,) or None.
        activation: applied to the result: None, "relu", "sigmoid" or "tanh".

    Returns:
        (..., out_features), contiguous.

    Raises:
        ValueError: shapes do not fit.
        TypeError: not arrays, or another or mixed dtypes.
        MemoryError: the result cannot be held.
    """
    return _core.linear(x, weight, bias, activation, float32_precision())


def linear_backward_input(grad: ArrayLike, weight: ArrayLike) -> Array:
    """Gradient of ``linear`` at its input: grad @ weight.

    Args:
        grad: gradient at the output before any activation, (..., out_features).
        weight: (out_features, in_features), dtype of ``grad``.

    Returns:
        (..., in_features).

    Raises:
        ValueError, TypeError, MemoryError: as ``linear``.
    """
    return _core.linear_backward_input(grad, weight, float32_precision())


def linear_backward_weight(
    grad: ArrayLike, x: ArrayLike, *, bias: bool = True
) -> tuple[Array, Array | None]:
    """Gradients of ``linear`` at its weight and bias: grad.T @ x and grad summed over its rows.

    Args:
        grad: gradient at the output before any activation, (..., out_features).
        x: the input, (..., in_features), with the leading dimensions and the dtype of ``grad``.
        bias: whether the gradient of the bias is wanted.

    Returns:
        dw (out_features, in_features), and db (out_features,) or None; zeros for no rows.

    Raises:
        ValueError, TypeError, MemoryError: as ``linear``.
    """
    return _core.linear_backward_weight(grad, x, bias, float32_precision())


def linear_backward(
    grad: ArrayLike, x: ArrayLike, weight: ArrayLike, *, bias: bool = True
) -> tuple[Array, Array, Array | None]:
    """All gradients of ``linear``: dx, dw, and db or None.

    Arguments and errors are those of ``linear_backward_input`` and ``linear_backward_weight``.
    """
    return _core.linear_backward(grad, x, weight, bias, float32_precision())
