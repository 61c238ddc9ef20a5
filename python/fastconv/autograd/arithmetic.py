"""Arithmetic on tensors with broadcasting, and the matrix product; backward beside forward.

Operands are tensors, arrays of the same dtype, or numbers. Errors: TypeError for mixed dtypes,
ValueError with both shapes where they cannot be broadcast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastconv.autograd.broadcast import NUMBERS, apply, operands, unbroadcast
from fastconv.autograd.engine import recording
from fastconv.autograd.product import product, product_backward_first, product_backward_second
from fastconv.autograd.tensor import Tensor, record
from fastconv.autograd.variable import FLOATING
from fastconv.devices import is_array


def add(a: Any, b: Any) -> Tensor:
    x, y = operands("add", a, b)
    out = apply("add", np.add, x, y)
    needs = recording(a, b)
    if needs is None:
        return Tensor(out)
    x_shape, y_shape = x.shape, y.shape

    def backward(grad: Any) -> Any:
        return (
            unbroadcast(grad, x_shape) if needs[0] else None,
            unbroadcast(grad, y_shape) if needs[1] else None,
        )

    return record("add", out, (a, b), backward)


def sub(a: Any, b: Any) -> Tensor:
    x, y = operands("sub", a, b)
    out = apply("sub", np.subtract, x, y)
    needs = recording(a, b)
    if needs is None:
        return Tensor(out)
    x_shape, y_shape = x.shape, y.shape

    def backward(grad: Any) -> Any:
        return (
            unbroadcast(grad, x_shape) if needs[0] else None,
            -unbroadcast(grad, y_shape) if needs[1] else None,
        )

    return record("sub", out, (a, b), backward)


def mul(a: Any, b: Any) -> Tensor:
    x, y = operands("mul", a, b)
    out = apply("mul", np.multiply, x, y)
    needs = recording(a, b)
    if needs is None:
        return Tensor(out)
    x_shape, y_shape = x.shape, y.shape
    kept_x, kept_y = (x if needs[1] else None), (y if needs[0] else None)

    def backward(grad: Any) -> Any:
        return (
            unbroadcast(grad * kept_y, x_shape) if needs[0] else None,
            unbroadcast(grad * kept_x, y_shape) if needs[1] else None,
        )

    return record(
        "mul",
        out,
        (a, b),
        backward,
        _keep(("first operand", a, needs[1]), ("second operand", b, needs[0])),
    )


def div(a: Any, b: Any) -> Tensor:
    """``a / b``; the gradients are ``grad / b`` and ``-grad * (a / b) / b``."""
    x, y = operands("div", a, b)
    if x.dtype not in FLOATING:
        raise TypeError(f"div: {x.dtype} tensors cannot be divided; convert them with .float()")
    out = apply("div", np.divide, x, y)
    needs = recording(a, b)
    if needs is None:
        return Tensor(out)
    x_shape, y_shape = x.shape, y.shape
    quotient = out if needs[1] else None

    def backward(grad: Any) -> Any:
        scaled = grad / y
        return (
            unbroadcast(scaled, x_shape) if needs[0] else None,
            unbroadcast(-scaled * quotient, y_shape) if needs[1] else None,
        )

    kept = [("second operand", b), *([("output", None)] if needs[1] else [])]
    return record("div", out, (a, b), backward, kept)


def pow(a: Any, b: Any) -> Tensor:
    """``a ** b``; the gradients are ``b * a**(b-1)`` and ``a**b * log(a)``, 0 where b is 0 and
    where a is 0 and b >= 0, as in PyTorch."""
    x, y = operands("pow", a, b)
    square = isinstance(b, NUMBERS) and b == 2
    out = apply("pow", _square if square else np.power, x, y)
    needs = recording(a, b)
    if needs is None:
        return Tensor(out)
    power = out if needs[1] else None

    def backward(grad: Any) -> Any:
        dx = dy = None
        if needs[0]:
            dx = unbroadcast(grad * (x + x if square else _power_slope(x, y)), x.shape)
        if needs[1]:
            slope = np.where((x == 0) & (y >= 0), x.dtype.type(0), power * np.log(x))
            dy = unbroadcast(grad * slope, y.shape)
        return dx, dy

    kept = [("first operand", a), ("second operand", b), *([("output", None)] if needs[1] else [])]
    return record("pow", out, (a, b), backward, kept)


def _square(x: Any, _: Any) -> Any:
    return np.square(x)


def _power_slope(x: Any, y: Any) -> Any:
    one = y.dtype.type(1)
    if isinstance(y, np.generic):
        return np.zeros_like(x) if y == 0 else y * np.power(x, y - one)
    return np.where(y == 0, y.dtype.type(0), y * np.power(x, y - one))


def maximum(a: Any, b: Any) -> Tensor:
    """The larger of two elements; NaN where either is."""
    return _extreme("maximum", np.maximum, np.less, a, b)


def minimum(a: Any, b: Any) -> Tensor:
    """The smaller of two elements; NaN where either is."""
    return _extreme("minimum", np.minimum, np.greater, a, b)


def _extreme(
    operation: str, function: Callable[..., Any], loses: Callable[..., Any], a: Any, b: Any
) -> Tensor:
    """The gradient goes to the element chosen, half to each of two equal ones."""
    x, y = operands(operation, a, b)
    out = apply(operation, function, x, y)
    needs = recording(a, b)
    if needs is None:
        return Tensor(out)

    def share(grad: Any, mine: Any, other: Any) -> Any:
        half = np.where(mine == other, grad / 2, grad)
        return unbroadcast(np.where(loses(mine, other), np.zeros_like(grad), half), mine.shape)

    def backward(grad: Any) -> Any:
        return (
            share(grad, x, y) if needs[0] else None,
            share(grad, y, x) if needs[1] else None,
        )

    return record(operation, out, (a, b), backward, [("first operand", a), ("second operand", b)])


def matmul(a: Any, b: Any) -> Tensor:
    """The matrix product of 1-D, 2-D or batched operands, as ``numpy.matmul``, with the same bits
    for any number of threads."""
    x, y = operands("matmul", a, b)
    if 0 in (x.ndim, y.ndim):
        raise ValueError(f"matmul: shapes {x.shape} and {y.shape}: numbers have no matrix product")
    rows = x[None, :] if x.ndim == 1 else x
    columns = y[:, None] if y.ndim == 1 else y
    if not _multipliable(rows, columns):
        raise ValueError(f"matmul: shapes {x.shape} and {y.shape} do not fit together")
    out = product(rows, columns)
    added = [axis for axis, z in ((-2, x), (-1, y)) if z.ndim == 1]
    out = np.squeeze(out, tuple(added)) if added else out
    needs = recording(a, b)
    if needs is None:
        return Tensor(out)

    def backward(grad: Any) -> Any:
        grad = np.expand_dims(grad, tuple(added)) if added else grad
        dx = dy = None
        if needs[0]:
            dx = product_backward_first(grad, rows, columns).reshape(x.shape)
        if needs[1]:
            dy = product_backward_second(grad, rows, columns).reshape(y.shape)
        return dx, dy

    return record(
        "matmul",
        out,
        (a, b),
        backward,
        _keep(("first operand", a, needs[1]), ("second operand", b, needs[0])),
    )


def _multipliable(x: Any, y: Any) -> bool:
    try:
        np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    except ValueError:
        return False
    return x.shape[-1] == y.shape[-2]


def _keep(*candidates: tuple[str, Any, bool]) -> list[tuple[str, Any]]:
    return [(label, x) for label, x, wanted in candidates if wanted]


def compare(operation: str, function: Callable[..., Any], a: Tensor, b: Any) -> Any:
    """An elementwise comparison: a bool tensor, never recorded."""
    if not isinstance(b, (Tensor, *NUMBERS)) and not is_array(b):
        return NotImplemented
    x, y = operands(operation, a, b)
    return Tensor(apply(operation, function, x, y))
