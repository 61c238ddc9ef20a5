"""Layers that change the shape alone, or nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

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


class Unflatten(Module):
    """Dimension ``dim`` becomes the dimensions ``unflattened_size``, one of which may be -1."""

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        shape = input.shape
        if not -len(shape) <= self.dim < len(shape):
            raise ValueError(f"Unflatten: dim {self.dim} is out of range for shape {shape}")
        axis = self.dim % len(shape)
        parts = self.unflattened_size
        known = math.prod(size for size in parts if size != -1)
        whole = known == shape[axis] if -1 not in parts else known and shape[axis] % known == 0
        if not whole:
            raise ValueError(f"Unflatten: dim {self.dim} of shape {shape} does not become {parts}")
        return input.reshape(*shape[:axis], *parts, *shape[axis + 1 :])

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class Identity(Module):
    """The input itself, whatever it was made with."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        return input
