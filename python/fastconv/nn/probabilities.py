"""Softmax and its logarithm as functions of tensors. Kept is the output."""

from __future__ import annotations

from typing import Any

from fastconv import ops
from fastconv.autograd.autocast import raised
from fastconv.autograd.engine import recording
from fastconv.autograd.tensor import Tensor, record
from fastconv.nn.fused import array_of


def softmax(input: Tensor, dim: int = -1) -> Tensor:
    """``exp(x) / sum(exp(x))`` along ``dim``, which PyTorch by default takes as 0 or 1 instead."""
    input = raised("softmax", input)
    y = ops.softmax(array_of("softmax", "input", input), dim)
    if recording(input) is None:
        return Tensor(y)

    def backward(grad: Any) -> Any:
        return (ops.softmax_backward(grad, y, dim),)

    return record("softmax", y, (input,), backward, [("output", None)])


def log_softmax(input: Tensor, dim: int = -1) -> Tensor:
    """``x - log(sum(exp(x)))`` along ``dim``, whose default is that of :func:`softmax`."""
    input = raised("log_softmax", input)
    y = ops.log_softmax(array_of("log_softmax", "input", input), dim)
    if recording(input) is None:
        return Tensor(y)

    def backward(grad: Any) -> Any:
        return (ops.log_softmax_backward(grad, y, dim),)

    return record("log_softmax", y, (input,), backward, [("output", None)])
