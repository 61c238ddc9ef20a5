"""Layers that only change the shape."""

from __future__ import annotations

from fastconv.autograd.tensor import Tensor
from fastconv.nn import functional as F
from fastconv.nn.module import Module


class Flatten(Module):
    """Merge the dimensions from ``start_dim`` to ``end_dim``, in logical (NCHW) order."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        return F.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"
