"""Cross-entropy of a softmax, from logits and class numbers."""

from __future__ import annotations

import numpy as np

from fastconv.reference.activation import log_softmax, softmax
from fastconv.reference.layout import Array


def cross_entropy(logits: Array, target: Array, *, reduction: str = "mean") -> Array:
    """L_n = -log(softmax(logits_n)[target_n]): logits (N, C), target (N,) -> (), for "none" (N,).

    The mean over an empty batch is NaN.
    """
    losses = -log_softmax(logits)[np.arange(len(target)), target]
    if reduction == "none":
        return losses
    total = losses.sum()
    if reduction == "mean":
        with np.errstate(invalid="ignore"):
            total = total / total.dtype.type(len(target))
    return np.asarray(total)


def cross_entropy_backward(
    grad: Array, logits: Array, target: Array, *, reduction: str = "mean"
) -> Array:
    """dL/dlogits_n = g_n (softmax(logits_n) - onehot(target_n)), g_n = grad/N for the mean.

    Bishop, Pattern Recognition and Machine Learning (2006), equation 4.109.
    """
    difference = softmax(logits)
    difference[np.arange(len(target)), target] -= 1
    share = np.asarray(grad, logits.dtype).reshape(-1, 1)
    return difference * share / (len(target) if reduction == "mean" and len(target) else 1)
