"""Optimizer steps: one pass over a parameter and its state, both changed in place."""

from __future__ import annotations

from fastconv import _core
from fastconv.ops.types import Array, ArrayLike


def sgd_update(
    parameter: Array,
    grad: ArrayLike,
    momentum_buffer: Array | None = None,
    *,
    lr: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    first_step: bool = False,
) -> None:
    """One step of stochastic gradient descent, in PyTorch's order.

    g = grad + weight_decay * parameter
    momentum_buffer = momentum * momentum_buffer + (1 - dampening) * g, or g on the first step
    g = g + momentum * momentum_buffer with nesterov, else momentum_buffer
    parameter -= lr * g

    Args:
        parameter: float32 or float64, writable; changed.
        grad: shape and dtype of ``parameter``.
        momentum_buffer: the same, changed; needed where ``momentum`` is not 0, else left alone.
        lr, momentum, weight_decay: at least 0.
        dampening: share of the gradient that the buffer leaves out.
        nesterov: needs ``momentum`` above 0 and ``dampening`` 0.
        first_step: the buffer's old content is ignored.

    Raises:
        ValueError: shapes differ, a value is out of range, or an array is read-only or overlaps
            another.
        TypeError: not arrays, or another or mixed dtypes.
    """
    _core.sgd_update(
        parameter,
        grad,
        momentum_buffer,
        lr,
        momentum,
        dampening,
        weight_decay,
        nesterov,
        first_step,
    )


def adam_update(
    parameter: Array,
    grad: ArrayLike,
    exp_avg: Array,
    exp_avg_sq: Array,
    *,
    step: int,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
) -> None:
    """One step of Adam (Kingma and Ba, 2015, algorithm 1) or AdamW (Loshchilov and Hutter, 2019).

    Args:
        parameter: float32 or float64, writable; changed.
        grad: shape and dtype of ``parameter``.
        exp_avg, exp_avg_sq: running means of the gradient and its square, the same shape and dtype;
            changed. Zeros before the first step.
        step: number of this step, from 1.
        lr, eps, weight_decay: at least 0.
        betas: decay of the two means, in [0, 1).
        decoupled: weight decay acts on the parameter (AdamW), not on the gradient.

    Raises:
        ValueError: shapes differ, a value is out of range, or an array is read-only or overlaps
            another.
        TypeError: not arrays, or another or mixed dtypes.
    """
    _core.adam_update(
        parameter, grad, exp_avg, exp_avg_sq, step, lr, betas, eps, weight_decay, decoupled
    )
