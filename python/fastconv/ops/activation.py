"""Element-wise activations. Each backward function takes the kept output ``y``, not the input."""

from __future__ import annotations

from fastconv import _core
from fastconv.ops.types import Array, ArrayLike


def relu(x: ArrayLike) -> Array:
    """max(x, 0), element by element; NaN stays NaN.

    Args:
        x: float32 or float64 array of any shape.

    Returns:
        An array of the shape and dtype of ``x`` that lies as ``x`` does.

    Raises:
        TypeError: ``x`` is not an array, or its dtype is another.
    """
    return _core.relu(x)


def relu_backward(grad: ArrayLike, y: ArrayLike) -> Array:
    """Gradient of ``relu``: ``grad`` where y > 0, else 0.

    Args:
        grad: gradient at the output, float32 or float64.
        y: what ``relu`` returned; shape and dtype of ``grad``.

    Returns:
        The gradient at the input; it lies as ``grad`` does.

    Raises:
        ValueError: the shapes differ.
        TypeError: not arrays, or another or mixed dtypes.
    """
    return _core.relu_backward(grad, y)


def sigmoid(x: ArrayLike) -> Array:
    """1 / (1 + exp(-x)), element by element.

    Args:
        x: float32 or float64 array of any shape.

    Returns:
        An array of the shape and dtype of ``x`` that lies as ``x`` does.

    Raises:
        TypeError: ``x`` is not an array, or its dtype is another.
    """
    return _core.sigmoid(x)


def sigmoid_backward(grad: ArrayLike, y: ArrayLike) -> Array:
    """Gradient of ``sigmoid``: grad * y * (1 - y).

    Args:
        grad: gradient at the output, float32 or float64.
        y: what ``sigmoid`` returned; shape and dtype of ``grad``.

    Returns:
        The gradient at the input; it lies as ``grad`` does.

    Raises:
        ValueError: the shapes differ.
        TypeError: not arrays, or another or mixed dtypes.
    """
    return _core.sigmoid_backward(grad, y)


def tanh(x: ArrayLike) -> Array:
    """The hyperbolic tangent, element by element.

    Args:
        x: float32 or float64 array of any shape.

    Returns:
        An array of the shape and dtype of ``x`` that lies as ``x`` does.

    Raises:
        TypeError: ``x`` is not an array, or its dtype is another.
    """
    return _core.tanh(x)


def tanh_backward(grad: ArrayLike, y: ArrayLike) -> Array:
    """Gradient of ``tanh``: grad * (1 - y^2).

    Args:
        grad: gradient at the output, float32 or float64.
        y: what ``tanh`` returned; shape and dtype of ``grad``.

    Returns:
        The gradient at the input; it lies as ``grad`` does.

    Raises:
        ValueError: the shapes differ.
        TypeError: not arrays, or another or mixed dtypes.
    """
    return _core.tanh_backward(grad, y)
