"""Losses as functions of tensors.

``input`` and ``target`` are of one shape and dtype unless a loss says otherwise; reduction is
"mean", "sum" or "none". ValueError for shapes and values, TypeError for types.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv.autograd.autocast import raised
from fastconv.autograd.engine import recording
from fastconv.autograd.tensor import Tensor, record
from fastconv.autograd.variable import FLOATING
from fastconv.nn.curves import softplus
from fastconv.nn.fused import array_of

if TYPE_CHECKING:
    from fastconv.ops.types import Reduction


def operands(operation: str, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both tensors, of one shape, in float32 within ``autocast``."""
    input, target = raised(operation, input), raised(operation, target)
    x, t = array_of(operation, "input", input), array_of(operation, "target", target)
    if x.shape != t.shape:
        raise ValueError(f"{operation}: input has shape {x.shape} but target has shape {t.shape}")
    if x.dtype != t.dtype:
        raise TypeError(f"{operation}: input is {x.dtype} but target is {t.dtype}")
    return input, target


def check_reduction(operation: str, reduction: str) -> None:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{operation}: reduction must be mean, sum or none, got {reduction!r}")


def reduced(operation: str, losses: Tensor, reduction: Reduction) -> Tensor:
    """The mean or the sum of the losses, or the losses themselves."""
    check_reduction(operation, reduction)
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()


def weighted(operation: str, name: str, weight: Any, like: Tensor) -> Tensor:
    """A weight that broadcasts to the shape of ``like``, of its dtype."""
    w = array_of(operation, name, weight)
    try:
        fits = np.broadcast_shapes(w.shape, like.shape) == like.shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"{operation}: {name} has shape {w.shape}, which does not broadcast to {like.shape}"
        )
    if w.dtype != like.dtype:
        raise TypeError(f"{operation}: {name} is {w.dtype} but input is {like.dtype}")
    return weight


def mse_loss(input: Tensor, target: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """``(input - target)**2``."""
    input, target = operands("mse_loss", input, target)
    return reduced("mse_loss", (input - target) ** 2, reduction)


def l1_loss(input: Tensor, target: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """``|input - target|``; the gradient where they are equal is 0."""
    input, target = operands("l1_loss", input, target)
    return reduced("l1_loss", (input - target).abs(), reduction)


def huber_loss(
    input: Tensor, target: Tensor, *, reduction: Reduction = "mean", delta: float = 1.0
) -> Tensor:
    """``d**2 / 2`` where d = |input - target| is below ``delta``, else ``delta * (d - delta / 2)``
    (Huber, 1964)."""
    input, target = operands("huber_loss", input, target)
    if not _positive(delta, input):
        raise ValueError(
            f"huber_loss: delta must be above 0 and finite in {input.dtype}, got {delta}"
        )
    return reduced("huber_loss", _huber(input - target, delta), reduction)


def smooth_l1_loss(
    input: Tensor, target: Tensor, *, reduction: Reduction = "mean", beta: float = 1.0
) -> Tensor:
    """The Huber loss of delta ``beta`` divided by ``beta``; with 0 the L1 loss."""
    input, target = operands("smooth_l1_loss", input, target)
    if beta != 0 and not _positive(beta, input):
        raise ValueError(
            f"smooth_l1_loss: beta must be at least 0, got {beta}; it must be finite, and if not 0 "
            f"above 0, in {input.dtype} too"
        )
    difference = input - target
    losses = difference.abs() if beta == 0 else _huber(difference, beta) / beta
    return reduced("smooth_l1_loss", losses, reduction)


def _positive(value: float, like: Tensor) -> bool:
    """Whether a number is above 0 and finite, as it is and in the dtype of ``like``."""
    if not 0 < value < math.inf or like.dtype not in FLOATING:
        return bool(0 < value < math.inf)
    with np.errstate(all="ignore"):
        return bool(0 < like.dtype.type(value) < math.inf)


def _huber(difference: Tensor, delta: float) -> Tensor:
    size = difference.abs()
    near = size.clamp(max=delta)
    return near * near * 0.5 + (size - near) * delta


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: Reduction = "mean"
) -> Tensor:
    """``-(target * log(input) + (1 - target) * log(1 - input))`` for probabilities ``input``.

    As in PyTorch a logarithm is at least -100, and the gradient divides by at least 1e-12. weight:
    a factor that broadcasts. ValueError for an input outside [0, 1], whose loss on a CUDA device is
    NaN instead; :func:`binary_cross_entropy_with_logits` is the more exact.
    """
    operation = "binary_cross_entropy"
    input, target = operands(operation, input, target)
    x, t = input._data, target._data
    if isinstance(x, np.ndarray) and np.any((x < 0) | (x > 1)):
        raise ValueError(f"{operation}: input must be in [0, 1], got {x[(x < 0) | (x > 1)][0]}")
    one, lowest = x.dtype.type(1), x.dtype.type(-100)
    with np.errstate(all="ignore"):
        yes, no = np.maximum(np.log(x), lowest), np.maximum(np.log1p(-x), lowest)
        losses = -(t * yes + (one - t) * no)
    needs = recording(input, target)
    out = Tensor(losses)
    if needs is not None:

        def backward(grad: Any) -> Any:
            spread = np.maximum(x * (one - x), x.dtype.type(1e-12))
            return grad * (x - t) / spread, grad * (no - yes)

        kept = [("input", input), ("target", target)]
        out = record(operation, losses, (input, target), backward, kept)
    out = out if weight is None else out * weighted(operation, "weight", weight, out)
    return reduced(operation, out, reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    reduction: Reduction = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Binary cross-entropy of ``sigmoid(input)``, in a form where nothing overflows or cancels:
    ``target * softplus(-input) + (1 - target) * softplus(input)``.

    weight: a factor of the loss, pos_weight: one of its first term; both broadcast.
    """
    operation = "binary_cross_entropy_with_logits"
    input, target = operands(operation, input, target)
    whole = float("inf")  # softplus without its threshold
    yes, no = softplus(-input, threshold=whole), softplus(input, threshold=whole)
    if pos_weight is not None:
        yes = yes * weighted(operation, "pos_weight", pos_weight, input)
    losses = target * yes + (1 - target) * no
    losses = losses if weight is None else losses * weighted(operation, "weight", weight, input)
    return reduced(operation, losses, reduction)


def hinge_loss(input: Tensor, target: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """``max(0, 1 - target * input)`` for targets of -1 and 1 (Cortes and Vapnik, 1995)."""
    input, target = operands("hinge_loss", input, target)
    return reduced("hinge_loss", (1 - target * input).relu(), reduction)


def zero_one_loss(input: Any, target: Any, *, reduction: Reduction = "mean") -> Tensor:
    """1 where the prediction is wrong, else 0; it has no gradient.

    input: scores (N, C), of which the first largest is the prediction, or predictions (N,).
    target: classes (N,). float32, or float64 where ``input`` is.
    """
    x, t = array_of("zero_one_loss", "input", input), array_of("zero_one_loss", "target", target)
    predicted = x.argmax(1) if x.ndim == t.ndim + 1 == 2 else x
    if predicted.shape != t.shape:
        raise ValueError(
            f"zero_one_loss: input has shape {x.shape} but target has shape {t.shape}, expected "
            "(N, C) or (N,) and (N,)"
        )
    wrong = (predicted != t).astype(np.float64 if x.dtype == np.float64 else np.float32)
    return reduced("zero_one_loss", Tensor(wrong), reduction)
