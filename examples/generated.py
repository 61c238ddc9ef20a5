"""Pictures, recordings and points that the scripts make up, from seeds."""

from __future__ import annotations

import numpy as np


def scene() -> np.ndarray:
    """A grey picture (96, 96) in 0..1: a sky that brightens, a sun, a house, a fence."""
    y, x = np.mgrid[:96, :96]
    image = 0.3 + 0.3 * y / 96
    image[np.hypot(y - 22, x - 72) < 13] = 1
    image[y > 68] = 0.35
    image[(y >= 45) & (y < 80) & (x >= 14) & (x < 54)] = 0.75
    image[(y < 45) & (y >= 25) & (np.abs(x - 34) < y - 22)] = 0.15
    image[(y >= 54) & (y < 66) & (x >= 22) & (x < 34)] = 0.1
    image[(y >= 62) & (y < 80) & (x >= 62) & (x % 8 < 3)] = 0.9
    return image


def textures(count: int, seed: int, size: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Grey pictures (count, 1, size, size) of two kinds, 0 woven stripes and 1 spots, and kinds.

    Both have mean 0, variance 1 and random places, widths and noise: no single pixel tells them
    apart.
    """
    rng = np.random.default_rng(seed)
    kinds = np.arange(count) % 2
    y, x = np.mgrid[:size, :size]
    images = np.empty((count, 1, size, size))
    for image, kind in zip(images[:, 0], kinds, strict=True):
        period, (py, px) = rng.uniform(6, 9), rng.uniform(0, 2 * np.pi, 2)
        rows, columns = np.sin(2 * np.pi * y / period + py), np.sin(2 * np.pi * x / period + px)
        image[:] = (rows * columns) if kind else np.sin(2 * np.pi * (x + y) / period + px)
        image += 0.4 * rng.standard_normal((size, size))
    images -= images.mean(axis=(2, 3), keepdims=True)
    return images / images.std(axis=(2, 3), keepdims=True), kinds


def x_and_o() -> dict[str, np.ndarray]:
    """X and O: 9x9 of -1 with strokes of +1."""
    cross = np.pad(np.eye(7), 1)
    ring = np.zeros((9, 9))
    ring[[1, 7], 3:6] = 1
    ring[3:6, [1, 7]] = 1
    ring[[2, 2, 6, 6], [2, 6, 2, 6]] = 1
    return {"X": 2 * np.maximum(cross, cross[::-1]) - 1, "O": 2 * ring - 1}


WORD = np.sin(2 * np.pi * (0.06 + 0.003 * np.arange(48)) * np.arange(48))  # a tone that rises


def recording(start: int | None, seed: int, length: int = 480) -> np.ndarray:
    """A recording (length,) of noise and of the word said backwards; the word begins at `start`."""
    rng = np.random.default_rng(seed)
    sound = 0.4 * rng.standard_normal(length)
    size = len(WORD)
    begin = int(rng.integers(0, length - size))
    if start is None or abs(begin - start) >= size:
        sound[begin : begin + size] += WORD[::-1]
    if start is not None:
        sound[start : start + size] += WORD
    return sound.astype(np.float32)


def flower(size: int, turn: float = 0.0) -> np.ndarray:
    """A flower of five petals, (size, size) in 0..1."""
    y, x = (np.mgrid[:size, :size] - (size - 1) / 2) / (size / 2)
    radius, angle = np.hypot(y, x), np.arctan2(y, x) + turn
    petals = np.clip(8 * (0.68 + 0.28 * np.cos(5 * angle) - radius), 0, 1)
    return petals * np.where(radius < 0.25, 0.45, 1)


def meadow(flowers: list[tuple[int, int]], seed: int, size: int = 96) -> np.ndarray:
    """A grey picture (size, size): discs, bars and noise, and flowers whose corners are given."""
    rng = np.random.default_rng(seed)
    image = 0.12 * rng.standard_normal((size, size))
    y, x = np.mgrid[:size, :size]
    for _ in range(5):
        cy, cx = rng.integers(8, size - 8, 2)
        image[np.hypot(y - cy, x - cx) < rng.uniform(5, 10)] += 0.8
        cy, cx = rng.integers(8, size - 8, 2)
        image[(np.abs(y - cy) < rng.uniform(2, 10)) & (np.abs(x - cx) < rng.uniform(2, 10))] += 0.8
    for top, left in flowers:
        bloom = flower(20, turn=rng.uniform(0, 2 * np.pi))
        image[top : top + 20, left : left + 20] *= 1 - (bloom > 0)
        image[top : top + 20, left : left + 20] += bloom
    return image.astype(np.float32)


def word_windows(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows as long as WORD and labels: the word (1), other sound, the word's parts (both 0)."""
    rng = np.random.default_rng(0)
    size, windows = len(WORD), []
    for seed, start in enumerate(rng.integers(0, 480 - size, count)):
        beside = 240 + int(rng.choice([-1, 1]) * rng.integers(6, 30))
        windows.append(recording(int(start), 3 * seed)[start : start + size])
        windows.append(recording(None, 3 * seed + 1)[start : start + size])
        windows.append(recording(240, 3 * seed + 2)[beside : beside + size])
    return np.array(windows), np.tile(np.array([1, 0, 0]), count)


def recordings(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Recordings (count, 480), and whether the word is said in each."""
    rng = np.random.default_rng(seed)
    said, places = rng.integers(0, 2, count), rng.integers(0, 480 - len(WORD) + 1, count)
    starts = [int(place) if s else None for s, place in zip(said, places, strict=True)]
    return np.array([recording(s, 50_000 + i) for i, s in enumerate(starts)]), said


def meadow_patches(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Patches (6 count, 400) of meadows and labels: flowers (1), their parts and the rest (0)."""
    rng = np.random.default_rng(0)
    patches = []
    for seed in range(count):
        top, left = rng.integers(20, 57, 2)
        image = meadow([(top, left)], seed)
        dy, dx = rng.choice([-1, 1], 2) * rng.integers(3, 16, 2)
        patches.append(image[top : top + 20, left : left + 20])
        patches.append(image[top + dy : top + dy + 20, left + dx : left + dx + 20])
        without = meadow([], seed)
        patches += [without[y : y + 20, x : x + 20] for y, x in rng.integers(0, 77, (4, 2))]
    return np.array(patches).reshape(-1, 400), np.tile(np.array([1, 0, 0, 0, 0, 0]), count)


def plane_points(kind: str, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (count, 2) float32 in -1..1 of two classes that no line separates."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    if kind == "XOR":
        points = rng.uniform(0.08, 1, (count, 2))
        points[:, 0] *= rng.choice([-1, 1], count)
        points[:, 1] *= np.where(labels == 1, 1, -1) * np.sign(points[:, 0])
    else:
        t = rng.uniform(0, 1, count)
        if kind == "circles":
            radius, angle = np.where(labels == 1, 0.4 * t, 0.6 + 0.4 * t), 40 * t
        else:
            radius, angle = 0.1 + 0.9 * t, 7 * t + np.pi * labels
        points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return np.float32(points + 0.02 * rng.standard_normal(points.shape)), labels
