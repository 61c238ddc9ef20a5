"""Padding as a function of tensors: a border of one value, or of the cells inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastconv.autograd.engine import recording
from fastconv.autograd.tensor import Tensor, record
from fastconv.nn.arguments import integer
from fastconv.nn.fused import array_of

Sides = list[tuple[int, int]]  # cells before and after, for every dimension
Index = tuple[slice, ...]

MODES = ("constant", "reflect", "replicate", "circular")


def _sides(pad: Any, shape: tuple[int, ...], mode: str) -> Sides:
    """PyTorch names the last dimension first: (left, right, top, bottom, ...)."""
    if not isinstance(pad, (tuple, list)):
        raise TypeError(f"pad: pad must be a tuple of integers, got {type(pad).__name__}")
    least = -(2**62) if mode == "constant" else 0
    numbers = [integer("pad", "pad", number, least) for number in pad]
    if len(numbers) % 2 or len(numbers) > 2 * len(shape):
        raise ValueError(
            f"pad: pad must have two numbers for each of the last dimensions, got {tuple(pad)} for "
            f"shape {shape}"
        )
    given = list(zip(numbers[::2], numbers[1::2], strict=True))[::-1]
    sides = [(0, 0)] * (len(shape) - len(given)) + given
    for axis, (size, (before, after)) in enumerate(zip(shape, sides, strict=True)):
        if not (before or after):
            continue
        most = {"reflect": size - 1, "circular": size, "replicate": before + after if size else -1}
        if max(before, after) > most.get(mode, max(before, after)):
            raise ValueError(
                f"pad: {(before, after)} cells cannot be made of {size} by {mode} (dimension "
                f"{axis} of shape {shape})"
            )
        if size + before + after < (1 if size else 0):
            raise ValueError(
                f"pad: {(before, after)} leaves nothing of dimension {axis} of {shape}"
            )
    return sides


def _along(axis: int, count: int, begin: int, end: int) -> Index:
    """The cells [begin, end) of one of ``count`` dimensions."""
    return tuple(slice(begin, end) if i == axis else slice(None) for i in range(count))


def _copies(axis: int, size: int, before: int, after: int, mode: str) -> list[tuple[Any, Any]]:
    """(border, its source) in the padded array; a source of one cell is repeated."""
    end = before + size
    sources = {
        "replicate": ((before, before + 1, 1), (end - 1, end, 1)),
        "reflect": ((before + 1, 2 * before + 1, -1), (end - 1 - after, end - 1, -1)),
        "circular": ((end - before, end, 1), (before, before + after, 1)),
    }[mode]
    borders = ((0, before), (end, end + after))
    return [(b, s) for b, s in zip(borders, sources, strict=True) if b[0] < b[1]]


def _cells(array: Any, axis: int, span: Any) -> Any:
    view = array[_along(axis, array.ndim, span[0], span[1])]
    return np.flip(view, axis) if len(span) > 2 and span[2] < 0 else view


def _inside(shape: Sequence[int], sides: Sides) -> tuple[Index, Index]:
    """Where the cells that stay lie, in the array and in the padded one."""
    own = tuple(
        slice(max(0, -before), size - max(0, -after))
        for size, (before, after) in zip(shape, sides, strict=True)
    )
    padded = tuple(
        slice(max(0, before), max(0, before) + cells.stop - cells.start)
        for cells, (before, _) in zip(own, sides, strict=True)
    )
    return own, padded


def _padded(x: Any, sides: Sides, mode: str, value: float) -> Any:
    """The array between its borders; it lies as it did."""
    own, padded = _inside(x.shape, sides)
    shape = [size + before + after for size, (before, after) in zip(x.shape, sides, strict=True)]
    out = np.empty_like(x, shape=shape)
    out[padded] = x[own]
    for axis, (before, after) in enumerate(sides):
        if mode == "constant":
            for begin, end in ((0, before), (shape[axis] - after, shape[axis])):
                if begin < end:
                    out[_along(axis, x.ndim, begin, end)] = value
            continue
        # Corners are made of the borders of the dimensions before.
        for border, source in _copies(axis, x.shape[axis], before, after, mode):
            _cells(out, axis, border)[...] = _cells(out, axis, source)
    return out


def _returned(grad: Any, shape: tuple[int, ...], sides: Sides, mode: str) -> Any:
    """The gradient inside, with that of each border added where its cells came from."""
    own, padded = _inside(shape, sides)
    if mode == "constant":
        dx = np.zeros_like(grad, shape=shape)
        dx[own] = grad[padded]
        return dx
    total = grad.copy(order="K")
    for axis in reversed(range(grad.ndim)):
        for border, source in _copies(axis, shape[axis], *sides[axis], mode):
            share = _cells(total, axis, border)
            if mode == "replicate":
                share = share.sum(axis=axis, keepdims=True)
            _cells(total, axis, source)[...] += share
    return total[padded].copy(order="K")


def pad(input: Tensor, pad: Any, mode: str = "constant", value: float | None = None) -> Tensor:
    """Cells before and after the last dimensions: pad = (left, right), then (top, bottom), ...

    mode: "constant" (``value``, 0 by default; negative numbers cut cells off), "reflect" (mirrored
    without the edge itself), "replicate" (the edge repeated), "circular" (from the other end).
    """
    x = array_of("pad", "input", input)
    if mode not in MODES:
        raise ValueError(f"pad: mode must be one of {', '.join(MODES)}, got {mode!r}")
    if value is not None and mode != "constant":
        raise ValueError(f"pad: mode {mode!r} takes no value, got {value}")
    sides = _sides(pad, x.shape, mode)
    out = _padded(x, sides, mode, 0 if value is None else value)
    if recording(input) is None:
        return Tensor(out)
    shape = x.shape
    return record("pad", out, (input,), lambda grad: (_returned(grad, shape, sides, mode),))
