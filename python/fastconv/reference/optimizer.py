"""Updates of a parameter, in place."""

from __future__ import annotations

import numpy as np

from fastconv.reference.layout import Array


def sgd_update(
    parameter: Array,
    grad: Array,
    momentum_buffer: Array | None = None,
    *,
    lr: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    first_step: bool = False,
) -> None:
    """g = grad + weight_decay p; v = momentum v + (1 - dampening) g, on the first step v = g;
    p = p - lr v, or with Nesterov's momentum p = p - lr (g + momentum v).

    Sutskever, Martens, Dahl, Hinton (2013), in PyTorch's form: the learning rate stands outside v.
    """
    g = grad + weight_decay * parameter
    if momentum_buffer is not None and momentum != 0:
        v = g if first_step else momentum * momentum_buffer + (1 - dampening) * g
        momentum_buffer[...] = v
        g = g + momentum * v if nesterov else v
    parameter -= lr * g


def adam_update(
    parameter: Array,
    grad: Array,
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
    """m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2;
    p = p - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps).

    `step` is t, counted from 1. Weight decay is added to the gradient, or with `decoupled` taken
    off the parameter first, p = (1 - lr weight_decay) p.
    Kingma, Ba (2015), algorithm 1; Loshchilov, Hutter (2019), algorithm 2.
    """
    beta1, beta2 = betas
    if decoupled:
        parameter *= 1 - lr * weight_decay
    else:
        grad = grad + weight_decay * parameter
    exp_avg[...] = beta1 * exp_avg + (1 - beta1) * grad
    exp_avg_sq[...] = beta2 * exp_avg_sq + (1 - beta2) * grad * grad
    mean = exp_avg / (1 - beta1**step)
    deviation = np.sqrt(exp_avg_sq / (1 - beta2**step))
    parameter -= lr * mean / (deviation + eps)
