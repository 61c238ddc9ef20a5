"""Functions of one tensor, element by element; backward beside forward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastconv import ops
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
