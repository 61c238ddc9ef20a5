"""A data set that lies in memory, and the scaling of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastconv.data.words import SPLIT, words


class Normalize:
    """Bytes 0..255 to float32 `(x / 255 - mean) / std`.

    `mean` and `std` are numbers, or one for each channel of (N, C, H, W) input.
    """

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        self.mean, self.std = mean, std
        if np.any(np.asarray(std) <= 0):
            raise ValueError(f"Normalize: std must be positive, got {std}")
        scale = 1.0 / (255.0 * np.asarray(std, np.float64))
        shift = -np.asarray(mean, np.float64) / np.asarray(std, np.float64)
        trailing = (-1, 1, 1) if scale.ndim or shift.ndim else ()
        self._scale = scale.astype(np.float32).reshape(trailing if scale.ndim else ())
        self._shift = shift.astype(np.float32).reshape(trailing if shift.ndim else ())

    def __call__(self, images: np.ndarray) -> np.ndarray:
        result = np.multiply(images, self._scale, dtype=np.float32)
        result += self._shift
        return result

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean}, std={self.std})"


class ArrayDataset:
    """Arrays of equal length, taken by rows: `dataset[i]` is a tuple with a row of each.

    `transform` maps the first array's rows, as a batch, when they are taken: `Normalize` keeps a
    data set of bytes at a quarter of its float32 size. `classes` names the labels.
    Raises ValueError when there is no array or the lengths differ.
    """

    def __init__(
        self,
        *arrays: Any,
        transform: Callable[[np.ndarray], np.ndarray] | None = None,
        classes: Sequence[str] = (),
    ) -> None:
        self.arrays = tuple(np.asarray(array) for array in arrays)
        self.transform = transform
        self.classes = tuple(classes)
        if not self.arrays or any(array.ndim == 0 for array in self.arrays):
            raise ValueError("ArrayDataset: expected one or more arrays of one or more dimensions")
        lengths = [len(array) for array in self.arrays]
        if len(set(lengths)) > 1:
            raise ValueError(f"ArrayDataset: arrays of different lengths {lengths}")

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: Any) -> tuple[np.ndarray, ...]:
        """Rows by integer, slice or integer array; a new array each, save for slices' views."""
        return self.take(index)

    def take(
        self, index: Any, augment: Callable[[np.ndarray], np.ndarray] | None = None
    ) -> tuple[np.ndarray, ...]:
        """`self[index]`, the first array's rows going through `augment` before `transform`."""
        rows = [_rows(array, index) for array in self.arrays]
        if augment is not None:
            rows[0] = augment(rows[0])
        if self.transform is not None:
            rows[0] = self.transform(rows[0])
        return tuple(rows)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{array.dtype} {array.shape}" for array in self.arrays)
        return f"ArrayDataset({shapes})"


def _rows(array: np.ndarray, index: Any) -> np.ndarray:
    # take is the faster of the two, but copies all of an array that is not contiguous.
    if isinstance(index, np.ndarray) and index.dtype.kind in "iu" and array.flags.c_contiguous:
        return array.take(index, axis=0)
    return array[index]


def random_split(
    dataset: ArrayDataset, lengths: Sequence[float], seed: int = 0
) -> list[ArrayDataset]:
    """Data sets of `lengths` rows each, every row in one of them, chosen by the seed.

    lengths: how many, or shares that add up to 1; what rounding down leaves over goes to the
    first ones, a row each. Rows are copied and stay in their order.
    Raises ValueError when lengths are negative or add up to neither 1 nor the number of rows.
    """
    count = len(dataset)
    sizes = _sizes(lengths, count)
    order = np.argsort(words(count, SPLIT, seed, 0), kind="stable")
    parts = np.split(order, np.cumsum(sizes)[:-1])
    return [
        ArrayDataset(
            *(_rows(array, np.sort(rows)) for array in dataset.arrays),
            transform=dataset.transform,
            classes=dataset.classes,
        )
        for rows in parts
    ]


def _sizes(lengths: Sequence[float], count: int) -> list[int]:
    """The whole numbers that `lengths` of `count` rows mean."""
    if any(length < 0 for length in lengths):
        raise ValueError(f"random_split: lengths must not be negative, got {list(lengths)}")
    sizes = [int(length) for length in lengths]
    if abs(sum(lengths) - 1) < 1e-6 and sum(sizes) != count:
        sizes = [int(count * length) for length in lengths]
        for extra in range(count - sum(sizes)):
            sizes[extra % len(sizes)] += 1
    elif any(size != length for size, length in zip(sizes, lengths, strict=True)):
        raise ValueError(f"random_split: shares must add up to 1, got {list(lengths)}")
    if sum(sizes) != count:
        raise ValueError(f"random_split: lengths {sizes} of a data set of {count} rows")
    return sizes
