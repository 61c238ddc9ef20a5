"""Drawings of X and O, made up on the spot: moved, scaled, turned and thickened.

Each drawing is a shape in its own coordinates (two crossing strokes, or an ellipse) under a random
affine map. A pixel's ink is the part of a one-pixel ramp that the stroke's edge leaves it, so the
lines are smooth; the background is -1 and full ink +1.
"""

from __future__ import annotations

import numpy as np

from fastconv.data.dataset import ArrayDataset
from fastconv.data.words import DRAWINGS, uniform

SIZE = 28
CLASSES = ("X", "O")

_CHUNK = 1024


def drawings(
    train: int = 8000, test: int = 2000, seed: int = 0
) -> tuple[ArrayDataset, ArrayDataset]:
    """(train, test) data sets of X's (label 0) and O's (label 1), from streams that never meet.

    Images are float32 (N, 1, 28, 28) in -1..1, labels int64 (N,). The same seed draws the same.
    """
    return tuple(  # type: ignore[return-value]
        ArrayDataset(*draw(count, seed, split), classes=CLASSES)
        for split, count in enumerate((train, test))
    )


def draw(count: int, seed: int = 0, split: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """`count` drawings: images float32 (count, 1, 28, 28) in -1..1 and labels int64 (count,)."""
    if count < 0:
        raise ValueError(f"draw: count must not be negative, got {count}")
    numbers = uniform((count, _NUMBERS), DRAWINGS, seed, split)
    labels = (numbers[:, 0] < 0.5).astype(np.int64)
    images = np.empty((count, 1, SIZE, SIZE), np.float32)
    for start in range(0, count, _CHUNK):
        part = slice(start, start + _CHUNK)
        images[part, 0] = _render(numbers[part], labels[part])
    return images, labels


# One drawing's random numbers, by column; column 0 chooses the shape.
_NUMBERS = 12
_TURN, _SCALE, _ASPECT, _SHIFT_Y, _SHIFT_X, _THICKNESS, _INK = range(1, 8)
_WOBBLE = slice(8, 12)


def _between(numbers: np.ndarray, low: float, high: float) -> np.ndarray:
    return (low + (high - low) * numbers).astype(np.float32).reshape(-1, 1, 1)


def _render(numbers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(n, 28, 28) drawings in -1..1."""
    turn = _between(numbers[:, _TURN], -np.pi / 6, np.pi / 6)
    radius = _between(numbers[:, _SCALE], 5.0, 11.0)
    aspect = _between(numbers[:, _ASPECT], 0.7, 1.0)
    room = np.float32(SIZE / 2 - 1) - radius
    centre_y = SIZE / 2 - 0.5 + room * _between(numbers[:, _SHIFT_Y], -1, 1)
    centre_x = SIZE / 2 - 0.5 + room * _between(numbers[:, _SHIFT_X], -1, 1)
    half_width = _between(numbers[:, _THICKNESS], 0.6, 1.8)
    ink = _between(numbers[:, _INK], 0.7, 1.0)

    pixel = np.arange(SIZE, dtype=np.float32)
    y, x = pixel[:, None] - centre_y, pixel[None, :] - centre_x
    cosine, sine = np.cos(turn), np.sin(turn)
    u, v = cosine * x + sine * y, cosine * y - sine * x
    distance = np.empty(u.shape, np.float32)
    cross, ring = labels == 0, labels == 1
    distance[cross] = _to_cross(
        u[cross], v[cross], radius[cross], aspect[cross], numbers[cross, _WOBBLE]
    )
    distance[ring] = _to_ellipse(u[ring], v[ring], radius[ring], aspect[ring])
    coverage = np.clip(half_width - distance + np.float32(0.5), 0, 1)
    return 2 * ink * coverage - 1


def _to_cross(
    u: np.ndarray, v: np.ndarray, radius: np.ndarray, aspect: np.ndarray, wobble: np.ndarray
) -> np.ndarray:
    """Distance of (u, v) to two strokes whose ends stray a little from the corners of a box."""
    reach = np.float32(np.sqrt(0.5)) * radius
    distances = []
    for stroke, side in enumerate((-1, 1)):
        tilt = [reach * _between(wobble[:, 2 * stroke + end], -0.25, 0.25) for end in (0, 1)]
        start = (tilt[0] - reach * aspect * side, -reach)
        stop = (tilt[1] + reach * aspect * side, reach)
        distances.append(_to_segment(u, v, start, stop))
    return np.minimum(*distances)


def _to_segment(
    u: np.ndarray,
    v: np.ndarray,
    start: tuple[np.ndarray, np.ndarray],
    stop: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    du, dv = stop[0] - start[0], stop[1] - start[1]
    along = ((u - start[0]) * du + (v - start[1]) * dv) / (du * du + dv * dv)
    along = np.clip(along, 0, 1)
    return np.hypot(u - start[0] - along * du, v - start[1] - along * dv)


def _to_ellipse(u: np.ndarray, v: np.ndarray, radius: np.ndarray, aspect: np.ndarray) -> np.ndarray:
    """Distance of (u, v) to an ellipse, to first order: |f| / |grad f|, exact on a circle."""
    a, b = radius * aspect, radius
    level = np.hypot(u / a, v / b)
    slope = np.hypot(u / (a * a), v / (b * b))
    # At the centre both vanish: the limit is the distance along the shorter axis.
    return np.where(slope > 0, np.abs(level - 1) * level / np.maximum(slope, np.float32(1e-6)), a)
