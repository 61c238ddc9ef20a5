"""Data sets that stand in where no folder is given: digits for MNIST, shapes for CIFAR-10."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fastconv import data as sets

Arrays = tuple[np.ndarray, np.ndarray]

SHAPES = ("disc", "ring", "square", "frame", "plus", "X", "triangle", "rows", "columns", "checks")
# The seven segments' ends (x, y), and which of them each digit lights.
_ENDS = [
    (-1, -2, 1, -2),
    (1, -2, 1, 0),
    (1, 0, 1, 2),
    (-1, 2, 1, 2),
    (-1, 0, -1, 2),
    (-1, -2, -1, 0),
]
_ENDS.append((-1, 0, 1, 0))
_LIT = ("012345", "12", "01346", "01236", "1256", "02356", "023456", "012", "0123456", "012356")


def digit_data(folder: Path | None, train: int, test: int) -> tuple[Arrays, Arrays]:
    """(images, labels) to train on and to test on, images float32 (N, 1, 28, 28): MNIST's from
    its folder, or made up."""
    if folder is None:
        return digits(train, 0), digits(test, 1)
    return tuple(part[:n] for part, n in zip(sets.mnist(folder), (train, test), strict=True))


def colour_data(folder: Path | None, train: int, test: int) -> tuple[Arrays, Arrays]:
    """The same for (N, 3, 32, 32): CIFAR-10's from its folder, or made up."""
    if folder is None:
        return shapes(train, 2), shapes(test, 3)
    return tuple(part[:n] for part, n in zip(sets.cifar10(folder), (train, test), strict=True))


def digits(count: int, seed: int) -> Arrays:
    """Digits of seven segments, turned, scaled, moved, thickened and noisy."""
    rng, labels, (u, v) = _places(count, seed, 28, turn=0.25, room=4)
    u, v = u * 4, v * 4
    u = u + rng.uniform(-0.3, 0.3, (count, 1, 1)) * v  # slanted
    lit = np.array([[str(s) in text for s in range(7)] for text in _LIT])[labels]
    distance = np.full(u.shape, np.inf)
    for segment, (x0, y0, x1, y1) in enumerate(_ENDS):
        dx, dy = x1 - x0, y1 - y0
        along = np.clip(((u - x0) * dx + (v - y0) * dy) / (dx * dx + dy * dy), 0, 1)
        gap = np.hypot(u - x0 - along * dx, v - y0 - along * dy)
        distance = np.where(lit[:, segment, None, None], np.minimum(distance, gap), distance)
    ink = np.clip(3 * (rng.uniform(0.25, 0.6, (count, 1, 1)) - distance) + 0.5, 0, 1)
    ink = 2 * ink - 0.4 + 0.25 * rng.standard_normal(ink.shape)
    return ink[:, None].astype(np.float32), labels


def shapes(count: int, seed: int) -> Arrays:
    """Coloured SHAPES on a background of another colour, moved, scaled, turned and noisy."""
    rng, labels, (u, v) = _places(count, seed, 32, turn=0.3, room=5)
    u, v = 2.2 * u, 2.2 * v
    radius, box = np.hypot(u, v), np.maximum(abs(u), abs(v))
    thin = np.minimum(abs(u), abs(v)) < 0.25
    slant = np.minimum(abs(u - v), abs(u + v)) < 0.35
    rows, columns = np.sin(9 * v) > 0, np.sin(9 * u) > 0
    masks = [radius < 1, (radius < 1) & (radius > 0.6), box < 0.9, (box < 0.9) & (box > 0.55)]
    masks += [(box < 1) & thin, (box < 1) & slant, (v < 0.8) & (v > 2 * abs(u) - 0.9)]
    masks += [(box < 1) & rows, (box < 1) & columns, (box < 1) & (rows == columns)]
    inside = np.array(masks)[labels, np.arange(count)][:, None]
    paper, ink = rng.uniform(-1, 1, (2, count, 3, 1, 1))
    ink = np.where(abs(ink - paper).max(axis=1, keepdims=True) < 0.8, -np.sign(paper), ink)
    images = np.where(inside, ink, paper) + 0.15 * rng.standard_normal((count, 3, 32, 32))
    return images.astype(np.float32), labels


def _places(count: int, seed: int, size: int, turn: float, room: float) -> tuple:
    """A generator, labels, and each pixel's place in its sample's own coordinates."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, count)
    angle, scale = rng.uniform(-turn, turn, (count, 1, 1)), rng.uniform(0.7, 1, (count, 1, 1))
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    y, x = (c - rng.uniform(-room, room, (count, 1, 1)) for c in (y, x))
    y, x = y / (scale * size / 2), x / (scale * size / 2)
    return (
        rng,
        labels,
        (np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x),
    )
