"""Writes to a tensor: unrecorded on plain tensors and under ``no_grad``, on the tape otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastconv.autograd import shaping
from fastconv.autograd.broadcast import operands, unbroadcast
from fastconv.autograd.engine import recording
from fastconv.autograd.tensor import Tensor, record


def _check_recordable(x: Tensor, operation: str) -> None:
    if x._requires_grad and x._node is None:
        raise RuntimeError(
            f"{operation}: a leaf tensor of shape {x.shape} that requires grad is changed in "
            "place; do it under no_grad(), or out of place"
        )
    if x._version.viewed:
        raise RuntimeError(
            f"{operation}: the tensor of shape {x.shape} shares its memory with a view, and a "
            "recorded change in place would leave the other's history wrong; do it out of place"
        )


def _adopt(x: Tensor, result: Tensor) -> None:
    x._version.count += 1
    x._node = result._node
    x._requires_grad = True


def _snapshot(x: Tensor) -> Tensor:
    """A copy at the same place of the graph."""
    copy = Tensor(x._data.copy())
    copy._node, copy._requires_grad = x._node, x._requires_grad
    return copy


def update(
    x: Tensor,
    operation: str,
    ufunc: Callable[..., Any],
    recorded: Callable[[Any, Any], Tensor],
    other: Any,
) -> Tensor:
    """``x = ufunc(x, other)`` in the memory of ``x``."""
    a, b = operands(operation, x, other)
    if np.broadcast_shapes(a.shape, b.shape) != a.shape:
        raise ValueError(f"{operation}: shape {b.shape} cannot be broadcast to {a.shape}")
    needs = recording(x, other)
    if needs is None:
        with np.errstate(all="ignore"):
            ufunc(a, b, out=a)
        x._version.count += 1
        return x
    _check_recordable(x, operation)
    # The gradient of the other operand may need the values that are overwritten here.
    result = recorded(_snapshot(x) if needs[1] else x, other)
    a[...] = result._data
    _adopt(x, result)
    return x


def assign(x: Tensor, operation: str, index: Any, value: Any) -> Tensor:
    """``x[index] = value``, broadcast."""
    data = x._data
    plain, tensors, _ = shaping.index_of(index)
    target, source = operands(operation, x, value)
    needs = recording(x, value)
    if needs is not None:
        _check_recordable(x, operation)
    try:
        data[plain] = source
    except ValueError as error:
        if not getattr(data.flags, "writeable", True):
            raise
        raise ValueError(
            f"{operation}: values of shape {source.shape} do not fit into the chosen part of "
            f"shape {target.shape}: {error}"
        ) from None
    if needs is None:
        x._version.count += 1
        return x
    shape = source.shape

    def backward(grad: Any) -> Any:
        dx = None
        if needs[0]:
            dx = grad.copy()
            dx[plain] = 0
        return dx, unbroadcast(grad[plain], shape) if needs[1] else None

    _adopt(x, record(operation, data, (x, value), backward, [("index", t) for t in tensors]))
    return x
