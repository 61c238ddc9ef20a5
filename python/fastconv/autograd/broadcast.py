"""What two operands have in common: one dtype, and shapes that broadcast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastconv.autograd.variable import FLOATING, Variable
from fastconv.devices import check_same, is_array

NUMBERS = (bool, int, float, np.bool_, np.number)


def operands(operation: str, a: Any, b: Any) -> tuple[Any, Any]:
    """The arrays of two operands, of one dtype; one of them is a tensor."""
    x = a._data if isinstance(a, Variable) else a
    y = b._data if isinstance(b, Variable) else b
    if isinstance(y, NUMBERS):
        return x, number(operation, y, x.dtype)
    if isinstance(x, NUMBERS):
        return number(operation, x, y.dtype), y
    for z in (x, y):
        if not is_array(z):
            raise TypeError(
                f"{operation}: expected a Tensor, an array or a number, got {type(z).__name__}"
            )
    check_same(operation, "one operand", x, "the other", y)
    if x.dtype != y.dtype:
        raise TypeError(
            f"{operation}: {x.dtype} (shape {x.shape}) and {y.dtype} (shape {y.shape}) do not "
            "mix; convert one with .to(dtype)"
        )
    return x, y


def number(operation: str, value: Any, dtype: np.dtype) -> Any:
    if dtype not in FLOATING and isinstance(value, (float, np.floating)):
        raise TypeError(
            f"{operation}: the number {value} and a {dtype} tensor; convert it with .float()"
        )
    if dtype == np.bool_ and not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{operation}: the number {value} and a bool tensor; use .long()")
    return dtype.type(value)


def apply(operation: str, function: Callable[..., Any], x: Any, y: Any) -> Any:
    """An elementwise NumPy function of two arrays, with its errors in fastconv's words.

    Division by zero and the like give infinities and NaN silently, as in PyTorch.
    """
    try:
        with np.errstate(all="ignore"):
            return function(x, y)
    except ValueError as error:
        try:
            np.broadcast_shapes(x.shape, y.shape)
        except ValueError:
            text = f"shapes {x.shape} and {y.shape} do not fit together"
        else:
            text = str(error)
    raise ValueError(f"{operation}: {text}")


def unbroadcast(grad: Any, shape: tuple[int, ...]) -> Any:
    """Sum a gradient over what broadcasting repeated, back to ``shape``.

    ``shape`` may have more dimensions than ``grad``, all 1: an assignment drops leading ones.
    """
    if grad.shape == shape:
        return grad
    extra = max(0, grad.ndim - len(shape))
    inner = shape[max(0, len(shape) - grad.ndim) :]
    ones = [i + extra for i, n in enumerate(inner) if n == 1 and grad.shape[i + extra] != 1]
    return np.sum(grad, axis=(*range(extra), *ones)).reshape(shape)
