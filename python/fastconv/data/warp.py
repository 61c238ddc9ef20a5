"""Turning, moving and scaling pictures with bilinear interpolation."""

from __future__ import annotations

from typing import Any

import numpy as np

_CELLS = 1 << 18  # of results at once: what is gathered in between stays in the caches


def affine(
    images: np.ndarray, degrees: Any = 0.0, shift: Any = 0.0, scale: Any = 1.0, fill: float = 0
) -> np.ndarray:
    """Pictures (N, C, H, W) turned about their centres, scaled, then moved; of the same type.

    degrees, scale: a number or one for each picture; positive turns are anticlockwise. shift:
    a number or (N, 2), pixels downwards and to the right. A result's cell is interpolated between
    the four cells around the point that it comes from; what comes from outside is `fill`. Bytes
    and integers are rounded to the nearest.
    """
    count, _, height, width = images.shape
    turn = np.broadcast_to(np.deg2rad(np.asarray(degrees, np.float64)), count)
    move = np.broadcast_to(np.asarray(shift, np.float64), (count, 2))
    size = np.broadcast_to(np.asarray(scale, np.float64), count)
    result = np.empty_like(images, order="C")
    step = max(1, _CELLS // max(1, height * width))
    for start in range(0, count, step):
        part = slice(start, start + step)
        y, x = _sources(height, width, turn[part], move[part], size[part])
        result[part] = _bilinear(images[part], y, x, fill)
    return result


def _sources(
    height: int, width: int, turn: np.ndarray, move: np.ndarray, size: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns (n, H, W) float32 that cells come from, at most one cell outside."""

    def each(values: np.ndarray) -> np.ndarray:
        return values.astype(np.float32)[:, None, None]

    middle_y, middle_x = np.float32((height - 1) / 2), np.float32((width - 1) / 2)
    y = np.arange(height, dtype=np.float32)[:, None] - middle_y - each(move[:, 0])
    x = np.arange(width, dtype=np.float32)[None, :] - middle_x - each(move[:, 1])
    cosine, sine = each(np.cos(turn) / size), each(np.sin(turn) / size)
    from_y, from_x = sine * x + cosine * y + middle_y, cosine * x - sine * y + middle_x
    return np.clip(from_y, -1, height), np.clip(from_x, -1, width)


def _bilinear(images: np.ndarray, y: np.ndarray, x: np.ndarray, fill: float) -> np.ndarray:
    """(n, C, H, W) at the points (y, x), with `fill` around."""
    count, channels, height, width = images.shape
    floating = images.dtype.kind == "f"
    kind = images.dtype if floating else np.dtype(np.float32)
    # One cell before the first and two after the last: the right neighbour of `height` is there.
    padded = np.full((channels, count, height + 3, width + 3), fill, kind)
    padded[:, :, 1 : height + 1, 1 : width + 1] = images.transpose(1, 0, 2, 3)
    row, column = np.floor(y), np.floor(x)
    down, right = (y - row).astype(kind, copy=False), (x - column).astype(kind, copy=False)
    line = width + 3
    cell = (row + 1).astype(np.intp) * line + (column + 1).astype(np.intp)
    cell += np.arange(count)[:, None, None] * ((height + 3) * line)
    result = np.empty(images.shape, images.dtype)
    for channel in range(channels):
        plane = padded[channel].reshape(-1)
        upper, lower = (
            _between(plane.take(cell + first), plane.take(cell + (first + 1)), right)
            for first in (0, line)
        )
        values = _between(upper, lower, down)
        result[:, channel] = values if floating else np.rint(values)
    return result


def _between(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    return first + (second - first) * share
