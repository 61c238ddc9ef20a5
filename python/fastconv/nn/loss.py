"""Losses as layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastconv.autograd.tensor import Tensor
from fastconv.nn import functional as F
from fastconv.nn.module import Module

if TYPE_CHECKING:
    from fastconv.ops.types import Reduction


class _Loss(Module):
    def __init__(self, reduction: Reduction = "mean") -> None:
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(
                f"{type(self).__name__}: reduction must be mean, sum or none, got {reduction!r}"
            )
        self.reduction = reduction


class CrossEntropyLoss(_Loss):
    """Softmax and cross-entropy of logits (N, C) and class numbers (N,)."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(input, target, reduction=self.reduction)


class MSELoss(_Loss):
    """The squared difference of two tensors of one shape."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(input, target, reduction=self.reduction)
