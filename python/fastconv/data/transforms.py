"""Random changes of pictures, a batch at a time, that leave their classes what they were.

A transform has no state. It is called with images (N, C, H, W) of any type and with its random
numbers, float64 (N, `numbers`) in [0, 1), and returns new images of the same type. `DataLoader`
draws the numbers from its seed, the epoch and the sample's place in it, so that augmented batches
are as repeatable and resumable as plain ones, and applies the transform before the data set's own
(`Normalize`): to bytes where the data are bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fastconv.data.warp import affine


class Transform:
    """Subclass, set `numbers` (how many a sample takes) and define `__call__`."""

    numbers: ClassVar[int] = 0

    def __call__(self, images: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        raise NotImplementedError


class Compose(Transform):
    """One transform after the other; functions of the images alone may stand among them."""

    def __init__(self, transforms: Sequence[Transform | Callable[[np.ndarray], np.ndarray]]):
        self.transforms = tuple(transforms)
        takes = (t.numbers for t in self.transforms if isinstance(t, Transform))
        self.numbers = sum(takes)  # type: ignore[misc]

    def __call__(self, images: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        start = 0
        for transform in self.transforms:
            if isinstance(transform, Transform):
                stop = start + transform.numbers
                images, start = transform(images, numbers[:, start:stop]), stop
            else:
                images = transform(images)
        return images

    def __repr__(self) -> str:
        return f"Compose([{', '.join(map(repr, self.transforms))}])"


@dataclass(frozen=True)
class RandomHorizontalFlip(Transform):
    """Mirrors a picture with probability `p`."""

    p: float = 0.5
    numbers = 1

    def __post_init__(self) -> None:
        _check(self, 0 <= self.p <= 1, "p must be in [0, 1]", self.p)

    def __call__(self, images: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        _check_images(self, images)
        result, chosen = images.copy(), numbers[:, 0] < self.p
        result[chosen] = images[chosen][..., ::-1]
        return result


@dataclass(frozen=True)
class RandomCrop(Transform):
    """A window of `size` anywhere in the picture, which is padded by `padding` cells of `fill`.

    size: (height, width), or one number for both; without it the picture's own.
    """

    size: int | tuple[int, int] | None = None
    padding: int | tuple[int, int] = 0
    fill: float = 0
    numbers = 2

    def __post_init__(self) -> None:
        _check(self, min(_pair(self.padding)) >= 0, "padding must not be negative", self.padding)

    def __call__(self, images: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        _check_images(self, images)
        count, channels, height, width = images.shape
        high, wide = (height, width) if self.size is None else _pair(self.size)
        py, px = _pair(self.padding)
        shape = (count, channels, height + 2 * py, width + 2 * px)
        if not (0 < high <= shape[2] and 0 < wide <= shape[3]):
            raise ValueError(
                f"RandomCrop: size {(high, wide)} does not fit into images {images.shape} with "
                f"padding {(py, px)}"
            )
        padded = np.full(shape, self.fill, images.dtype)
        padded[:, :, py : py + height, px : px + width] = images
        windows = np.lib.stride_tricks.sliding_window_view(padded, (high, wide), (2, 3))
        top = _below(numbers[:, 0], shape[2] - high + 1)
        left = _below(numbers[:, 1], shape[3] - wide + 1)
        return windows[np.arange(count), :, top, left]


@dataclass(frozen=True)
class RandomShift(Transform):
    """Moves a picture by up to `pixels` (rows and columns, or one number for both) either way."""

    pixels: int | tuple[int, int]
    fill: float = 0
    numbers = 2

    def __post_init__(self) -> None:
        _check(self, min(_pair(self.pixels)) >= 0, "pixels must not be negative", self.pixels)

    def __call__(self, images: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        _check_images(self, images)
        return RandomCrop(None, self.pixels, self.fill)(images, numbers)


@dataclass(frozen=True)
class RandomAffine(Transform):
    """Turns by up to `degrees`, moves by up to `shift` pixels and scales by 1 - `scale` to 1 +
    `scale`, all either way and with bilinear interpolation; new cells are `fill`."""

    degrees: float = 0.0
    shift: float | tuple[float, float] = 0.0
    scale: float = 0.0
    fill: float = 0
    numbers = 4

    def __post_init__(self) -> None:
        _check(self, self.degrees >= 0, "degrees must not be negative", self.degrees)
        _check(self, min(_pair(self.shift)) >= 0, "shift must not be negative", self.shift)
        _check(self, 0 <= self.scale < 1, "scale must be in [0, 1)", self.scale)

    def __call__(self, images: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        _check_images(self, images)
        either = 2 * numbers - 1
        shift = either[:, 1:3] * np.asarray(_pair(self.shift), np.float64)
        scale = 1 + self.scale * either[:, 3]
        return affine(images, self.degrees * either[:, 0], shift, scale, self.fill)


@dataclass(frozen=True)
class RandomRotation(Transform):
    """Turns a picture by up to `degrees` either way, bilinear; new cells are `fill`."""

    degrees: float
    fill: float = 0
    numbers = 1

    def __post_init__(self) -> None:
        _check(self, self.degrees >= 0, "degrees must not be negative", self.degrees)

    def __call__(self, images: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        _check_images(self, images)
        return affine(images, self.degrees * (2 * numbers[:, 0] - 1), fill=self.fill)


@dataclass(frozen=True)
class Cutout(Transform):
    """Fills a square of `size` cells around a random one (DeVries and Taylor, 2017).

    What of the square lies outside the picture is cut off.
    """

    size: int
    fill: float = 0
    numbers = 2

    def __post_init__(self) -> None:
        _check(self, self.size >= 0, "size must not be negative", self.size)

    def __call__(self, images: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        _check_images(self, images)
        rows, columns = (self._covers(numbers[:, axis], images.shape[2 + axis]) for axis in (0, 1))
        hole = rows[:, None, :, None] & columns[:, None, None, :]
        return np.where(hole, np.asarray(self.fill, images.dtype), images)

    def _covers(self, numbers: np.ndarray, length: int) -> np.ndarray:
        """Which of `length` cells of each sample the square covers: bool (N, length)."""
        first = _below(numbers, length)[:, None] - self.size // 2
        cell = np.arange(length)
        return (first <= cell) & (cell < first + self.size)


def _pair(value: Any) -> tuple[Any, Any]:
    return value if isinstance(value, tuple) else (value, value)


def _below(numbers: np.ndarray, limit: int) -> np.ndarray:
    """Whole numbers 0 to limit - 1 from numbers in [0, 1)."""
    return (numbers * limit).astype(np.int64)


def _check(transform: Transform, right: bool, text: str, value: Any) -> None:
    if not right:
        raise ValueError(f"{type(transform).__name__}: {text}, got {value}")


def _check_images(transform: Transform, images: np.ndarray) -> None:
    if images.ndim != 4:
        raise ValueError(
            f"{type(transform).__name__}: expected images (N, C, H, W), got shape {images.shape}"
        )
