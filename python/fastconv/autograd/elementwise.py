"""Functions of one tensor, element by element; backward beside forward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastconv import ops
from fastconv.autograd.broadcast import NUMBERS, number
from fastconv.autograd.engine import recording
from fastconv.autograd.tensor import Tensor, record
from fastconv.autograd.variable import FLOATING


def _unary(
    operation: str, x: Tensor, out: Any, slope: Callable[[Any], Any], kept: str | None
) -> Tensor:
    """Record ``out``; ``slope(grad)`` is the gradient, ``kept`` says what it holds."""
    if recording(x) is None:
        return Tensor(out)
    held = [(kept, x if kept == "input" else None)] if kept else []
    return record(operation, out, (x,), lambda grad: (slope(grad),), held)


def neg(x: Tensor) -> Tensor:
    return _unary("neg", x, np.negative(x._data), np.negative, None)


def exp(x: Tensor) -> Tensor:
    y = _silent(np.exp, _floating("exp", x))
    return _unary("exp", x, y, lambda grad: grad * y, "output")


def log(x: Tensor) -> Tensor:
    data = _floating("log", x)
    return _unary("log", x, _silent(np.log, data), lambda grad: grad / data, "input")


def log1p(x: Tensor) -> Tensor:
    data = _floating("log1p", x)
    y = _silent(np.log1p, data)
    return _unary("log1p", x, y, lambda grad: grad / (data + data.dtype.type(1)), "input")


def absolute(x: Tensor) -> Tensor:
    """``|x|``; the gradient is ``grad * sign(x)``."""
    data = x._data
    return _unary("abs", x, np.absolute(data), lambda grad: grad * np.sign(data), "input")


def clamp(x: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """``x`` between two numbers, of which either may be missing; the ends let the gradient pass."""
    if min is None and max is None:
        raise ValueError("clamp: min or max must be given")
    data = x._data
    low, high = (_bound(name, value, data.dtype) for name, value in (("min", min), ("max", max)))
    y = data if low is None else np.maximum(data, low)
    y = y if high is None else np.minimum(y, high)

    def slope(grad: Any) -> Any:
        inside = True if low is None else data >= low
        inside = inside if high is None else inside & (data <= high)
        return np.where(inside, grad, np.zeros_like(grad))

    return _unary("clamp", x, y, slope, "input")


def _bound(name: str, value: Any, dtype: np.dtype) -> Any:
    if value is not None and not isinstance(value, NUMBERS):
        raise TypeError(f"clamp: {name} must be a number or None, got {type(value).__name__}")
    return None if value is None else number("clamp", value, dtype)


def sqrt(x: Tensor) -> Tensor:
    y = _silent(np.sqrt, _floating("sqrt", x))
    return _unary("sqrt", x, y, lambda grad: grad / (y + y), "output")


def relu(x: Tensor) -> Tensor:
    """``max(x, 0)``; the gradient at 0 is 0; NaN stays NaN."""
    y = ops.relu(x._data)
    return _unary("relu", x, y, lambda grad: ops.relu_backward(grad, y), "output")


def sigmoid(x: Tensor) -> Tensor:
    """``1 / (1 + exp(-x))``."""
    y = ops.sigmoid(x._data)
    return _unary("sigmoid", x, y, lambda grad: ops.sigmoid_backward(grad, y), "output")


def tanh(x: Tensor) -> Tensor:
    y = ops.tanh(x._data)
    return _unary("tanh", x, y, lambda grad: ops.tanh_backward(grad, y), "output")


def _silent(function: Callable[[Any], Any], data: Any) -> Any:
    """Infinities and NaN without NumPy's warnings, as in PyTorch."""
    with np.errstate(all="ignore"):
        return function(data)


def _floating(operation: str, x: Tensor) -> Any:
    if x._data.dtype not in FLOATING:
        raise TypeError(f"{operation}: expected a float32 or float64 tensor, got {x._data.dtype}")
    return x._data
