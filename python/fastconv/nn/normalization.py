"""Normalisation of one example at a time."""

from __future__ import annotations

from fastconv.autograd.tensor import Tensor
from fastconv.nn import functional as F
from fastconv.nn.arguments import integer
from fastconv.nn.module import Module


class LocalResponseNorm(Module):
    """``input / (k + alpha * mean)**beta`` with the mean of input**2 over ``size`` channels, past
    the ends of which are zeros.

    AlexNet's (Krizhevsky et al., 2012: a sum with k = 2, n = 5, alpha = 1e-4, beta = 0.75) is
    ``LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2)``.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        self.size = integer(type(self).__name__, "size", size)
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
