"""Updates of parameters, in place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastconv.reference.layout import Array

Arrays = Sequence[Array]


def sgd_update(
    parameters: Arrays,
    grads: Arrays,
    momentum_buffers: Arrays | None = None,
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
    for i, (parameter, grad) in enumerate(zip(parameters, grads, strict=True)):
        g = grad + weight_decay * parameter
        if momentum_buffers is not None and momentum != 0:
            buffer = momentum_buffers[i]
            v = g if first_step else momentum * buffer + (1 - dampening) * g
            buffer[...] = v
            g = g + momentum * v if nesterov else v
        parameter -= lr * g


def adam_update(
    parameters: Arrays,
    grads: Arrays,
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
    """m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2;
    p = p - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps).

    `step` is t, counted from 1. Weight decay is added to the gradient, or with `decoupled` taken
    off the parameter first, p = (1 - lr weight_decay) p. With `max_exp_avg_sqs` the largest v so
    far stands for v.
    Kingma, Ba (2015), algorithm 1; Loshchilov, Hutter (2019), algorithm 2; Reddi, Kale, Kumar
    (2018), algorithm 2.
    """
    beta1, beta2 = betas
    for i, (parameter, grad) in enumerate(zip(parameters, grads, strict=True)):
        m, v = exp_avgs[i], exp_avg_sqs[i]
        if decoupled:
            parameter *= 1 - lr * weight_decay
        else:
            grad = grad + weight_decay * parameter
        m[...] = beta1 * m + (1 - beta1) * grad
        v[...] = beta2 * v + (1 - beta2) * grad * grad
        if max_exp_avg_sqs is not None:
            largest = max_exp_avg_sqs[i]
            v = largest[...] = np.maximum(largest, v)
        deviation = np.sqrt(v / (1 - beta2**step))
        parameter -= lr * m / (1 - beta1**step) / (deviation + eps)


def adagrad_update(
    parameters: Arrays,
    grads: Arrays,
    state_sums: Arrays,
    *,
    step: int,
    lr: float,
    lr_decay: float = 0.0,
    eps: float = 1e-10,
    weight_decay: float = 0.0,
) -> None:
    """s = s + g^2; p = p - lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps).

    Duchi, Hazan, Singer (2011).
    """
    rate = lr / (1 + (step - 1) * lr_decay)
    for parameter, grad, s in zip(parameters, grads, state_sums, strict=True):
        g = grad + weight_decay * parameter
        s += g * g
        parameter -= rate * g / (np.sqrt(s) + eps)


def adadelta_update(
    parameters: Arrays,
    grads: Arrays,
    square_avgs: Arrays,
    acc_deltas: Arrays,
    *,
    lr: float = 1.0,
    rho: float = 0.9,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
) -> None:
    """v = rho v + (1 - rho) g^2; d = sqrt(u + eps) / sqrt(v + eps) g; u = rho u + (1 - rho) d^2;
    p = p - lr d. Zeiler (2012), algorithm 1.
    """
    for parameter, grad, v, u in zip(parameters, grads, square_avgs, acc_deltas, strict=True):
        g = grad + weight_decay * parameter
        v[...] = rho * v + (1 - rho) * g * g
        d = np.sqrt(u + eps) / np.sqrt(v + eps) * g
        u[...] = rho * u + (1 - rho) * d * d
        parameter -= lr * d


def rmsprop_update(
    parameters: Arrays,
    grads: Arrays,
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
    """v = alpha v + (1 - alpha) g^2; d = g / (sqrt(v) + eps); p = p - lr d, with momentum
    b = momentum b + d; p = p - lr b. Centred: v - m^2 under the root, m the running mean of g.

    Tieleman, Hinton (2012), lecture 6.5; centred: Graves (2013), equations 38 to 45.
    """
    for i, (parameter, grad) in enumerate(zip(parameters, grads, strict=True)):
        g = grad + weight_decay * parameter
        v = square_avgs[i]
        v[...] = alpha * v + (1 - alpha) * g * g
        if grad_avgs is not None:
            m = grad_avgs[i]
            m[...] = alpha * m + (1 - alpha) * g
            v = v - m * m
        d = g / (np.sqrt(v) + eps)
        if momentum_buffers is not None and momentum != 0:
            d = momentum_buffers[i][...] = momentum * momentum_buffers[i] + d
        parameter -= lr * d


def lamb_update(
    parameters: Arrays,
    grads: Arrays,
    exp_avgs: Arrays,
    exp_avg_sqs: Arrays,
    *,
    step: int,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-6,
    weight_decay: float = 0.0,
) -> None:
    """d = (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps) + weight_decay p;
    p = p - lr |p| / |d| d, with 1 for |p| / |d| where either is 0.

    You et al. (2020), algorithm 2, with the identity for its phi.
    """
    beta1, beta2 = betas
    for parameter, grad, m, v in zip(parameters, grads, exp_avgs, exp_avg_sqs, strict=True):
        m[...] = beta1 * m + (1 - beta1) * grad
        v[...] = beta2 * v + (1 - beta2) * grad * grad
        d = m / (1 - beta1**step) / (np.sqrt(v / (1 - beta2**step)) + eps)
        d = d + weight_decay * parameter
        lengths = np.sqrt(np.sum(np.square(parameter))), np.sqrt(np.sum(np.square(d)))
        parameter -= lr * (lengths[0] / lengths[1] if all(lengths) else 1.0) * d


def total_norm(arrays: Arrays) -> Array:
    """sqrt(sum of x^2 over all elements of all arrays)."""
    squares = [np.sum(np.square(array, dtype=np.float64)) for array in arrays]
    return np.asarray(np.sqrt(np.sum(squares)), dtype=arrays[0].dtype)
