"""Tensors made of tensors, and taken apart again: made of ``cat``, ``reshape`` and slices."""

from __future__ import annotations

import operator
from collections.abc import Sequence

from fastconv.autograd.shaping import cat, getitem, reshape
from fastconv.autograd.tensor import Tensor


def _axis(operation: str, dim: int, count: int, shape: tuple[int, ...]) -> int:
    if not -count <= dim < count:
        raise ValueError(f"{operation}: dim {dim} is out of range for shape {shape}")
    return dim % count


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Join tensors of one shape along a new dimension, which becomes number ``dim``."""
    tensors = tuple(tensors)
    if not tensors:
        raise ValueError("stack: expected at least one tensor")
    for x in tensors:
        if not isinstance(x, Tensor):
            raise TypeError(f"stack: expected Tensors, got {type(x).__name__}")
        if x.shape != tensors[0].shape:
            raise ValueError(f"stack: shapes {tensors[0].shape} and {x.shape} differ")
    shape = tensors[0].shape
    axis = _axis("stack", dim, len(shape) + 1, shape)
    return cat([reshape(x, *shape[:axis], 1, *shape[axis:]) for x in tensors], axis)


def split(
    input: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0
) -> tuple[Tensor, ...]:
    """Views of neighbouring parts along ``dim``: of one size (the last may be smaller), or of the
    sizes in a list, which add up to the dimension."""
    if not isinstance(input, Tensor):
        raise TypeError(f"split: expected a Tensor, got {type(input).__name__}")
    shape = input.shape
    axis = _axis("split", dim, len(shape), shape)
    extent = shape[axis]
    if isinstance(split_size_or_sections, Sequence):
        sizes = [operator.index(size) for size in split_size_or_sections]
        if sum(sizes) != extent or min(sizes, default=0) < 0:
            raise ValueError(
                f"split: sizes {sizes} do not add up to dim {dim} of shape {shape}, {extent}"
            )
    else:
        size = operator.index(split_size_or_sections)
        if size < 1:
            raise ValueError(f"split: size must be at least 1, got {size}")
        sizes = [min(size, extent - at) for at in range(0, extent, size)] or [0]
    parts, at = [], 0
    for size in sizes:
        parts.append(getitem(input, (*(slice(None),) * axis, slice(at, at + size))))
        at += size
    return tuple(parts)


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of at most ``chunks`` equal parts along ``dim``; the last may be smaller."""
    if not isinstance(input, Tensor):
        raise TypeError(f"chunk: expected a Tensor, got {type(input).__name__}")
    if operator.index(chunks) < 1:
        raise ValueError(f"chunk: chunks must be at least 1, got {chunks}")
    axis = _axis("chunk", dim, len(input.shape), input.shape)
    return split(input, max(1, -(-input.shape[axis] // chunks)), axis)
