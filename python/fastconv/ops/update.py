"""Optimizer steps: one pass over all parameters of a call and their state, changed in place.

``parameters`` is a list of float32 or float64 arrays, writable, all of one dtype; ``grads`` and
every list of state hold an array of the same shape and dtype for each of them. Nothing that is
changed may overlap another array.

Raises, every function here:
    ValueError: lists of different lengths, shapes that differ, a value out of range, or an array
        that is read-only or overlaps another.
    TypeError: not lists of arrays, or another or mixed dtypes.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastconv import _core
from fastconv.ops.types import Array, ArrayLike

Arrays = Sequence[Array]


def sgd_update(
    parameters: Arrays,
    grads: Sequence[ArrayLike],
    momentum_buffers: Arrays | None = None,
    *,
    lr: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    first_step: bool = False,
) -> None:
    """Stochastic gradient descent, in PyTorch's order.

    g = grad + weight_decay * parameter
    momentum_buffer = momentum * momentum_buffer + (1 - dampening) * g, or g on the first step
    g = g + momentum * momentum_buffer with nesterov, else momentum_buffer
    parameter -= lr * g

    Args:
        momentum_buffers: needed where ``momentum`` is not 0, else left alone.
        lr, momentum, weight_decay: at least 0.
        dampening: share of the gradient that the buffer leaves out.
        nesterov: needs ``momentum`` above 0 and ``dampening`` 0.
        first_step: the buffers' old content is ignored.
    """
    _core.sgd_update(
        parameters, grads, momentum_buffers,
        lr, momentum, dampening, weight_decay, nesterov, first_step,
    )  # fmt: skip


def adam_update(
    parameters: Arrays,
    grads: Sequence[ArrayLike],
    exp_avgs: Arrays,
    exp_avg_sqs: Arrays,
    max_exp_avg_sqs: Arrays | None = None,
    *,
    step: int,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
) -> None:
    """Adam (Kingma and Ba, 2015, algorithm 1) or AdamW (Loshchilov and Hutter, 2019).

    Args:
        exp_avgs, exp_avg_sqs: running means of the gradient and its square. Zeros before the first
            step.
        max_exp_avg_sqs: the largest running squares so far, which then stand in the denominator
            (AMSGrad; Reddi, Kale, Kumar, 2018).
        step: number of this step, from 1.
        lr, eps, weight_decay: at least 0.
        betas: decay of the two means, in [0, 1).
        decoupled: weight decay acts on the parameter (AdamW), not on the gradient.
    """
    _core.adam_update(
        parameters, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs,
        step, lr, betas, eps, weight_decay, decoupled,
    )  # fmt: skip


def adagrad_update(
    parameters: Arrays,
    grads: Sequence[ArrayLike],
    state_sums: Arrays,
    *,
    step: int,
    lr: float,
    lr_decay: float = 0.0,
    eps: float = 1e-10,
    weight_decay: float = 0.0,
) -> None:
    """Adagrad (Duchi, Hazan, Singer, 2011).

    state_sum += g**2; parameter -= lr / (1 + (step - 1) * lr_decay) * g / (sqrt(state_sum) + eps),
    with g = grad + weight_decay * parameter.
    """
    _core.adagrad_update(parameters, grads, state_sums, step, lr, lr_decay, eps, weight_decay)


def adadelta_update(
    parameters: Arrays,
    grads: Sequence[ArrayLike],
    square_avgs: Arrays,
    acc_deltas: Arrays,
    *,
    lr: float = 1.0,
    rho: float = 0.9,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
) -> None:
    """Adadelta (Zeiler, 2012, algorithm 1), its step times ``lr``.

    v = rho * v + (1 - rho) * g**2; d = sqrt(u + eps) / sqrt(v + eps) * g;
    u = rho * u + (1 - rho) * d**2; parameter -= lr * d, with v of ``square_avgs``, u of
    ``acc_deltas`` and g = grad + weight_decay * parameter.
    """
    _core.adadelta_update(parameters, grads, square_avgs, acc_deltas, lr, rho, eps, weight_decay)


def rmsprop_update(
    parameters: Arrays,
    grads: Sequence[ArrayLike],
    square_avgs: Arrays,
    grad_avgs: Arrays | None = None,
    momentum_buffers: Arrays | None = None,
    *,
    lr: float,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
) -> None:
    """RMSprop (Tieleman and Hinton, 2012, lecture 6.5), in PyTorch's order.

    v = alpha * v + (1 - alpha) * g**2; d = g / (sqrt(v) + eps); parameter -= lr * d, or with
    momentum the buffer = momentum * buffer + d in place of d. With ``grad_avgs`` (centred; Graves,
    2013) the square of the gradient's running mean is taken off v under the root.
    """
    _core.rmsprop_update(
        parameters, grads, square_avgs, grad_avgs, momentum_buffers, lr, alpha, eps, weight_decay,
        momentum,
    )  # fmt: skip


def lamb_update(
    parameters: Arrays,
    grads: Sequence[ArrayLike],
    exp_avgs: Arrays,
    exp_avg_sqs: Arrays,
    *,
    step: int,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-6,
    weight_decay: float = 0.0,
) -> None:
    """LAMB (You et al., 2020, algorithm 2).

    With Adam's corrected means m and v, d = m / (sqrt(v) + eps) + weight_decay * parameter and
    parameter -= lr * |parameter| / |d| * d, Euclidean norms of each parameter on its own; where
    either is 0 their quotient is taken as 1.
    """
    _core.lamb_update(parameters, grads, exp_avgs, exp_avg_sqs, step, lr, betas, eps, weight_decay)


def total_norm(arrays: Sequence[ArrayLike]) -> Array:
    """The Euclidean norm of all elements of all arrays together, an array of no dimensions.

    Squares are added up in float64 (of float32, in blocks), in an order of the shapes alone.
    """
    return _core.total_norm(arrays)
