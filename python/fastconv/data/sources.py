"""The data sets that the command line knows by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastconv.data import cifar10, drawings, fashion_mnist, mnist
from fastconv.data.cifar10 import CLASSES as THINGS
from fastconv.data.cifar10 import MEAN as CIFAR_MEAN
from fastconv.data.cifar10 import STD as CIFAR_STD
from fastconv.data.dataset import ArrayDataset
from fastconv.data.drawings import CLASSES as X_AND_O
from fastconv.data.drawings import SIZE
from fastconv.data.mnist import CLASSES as DIGITS
from fastconv.data.mnist import FASHION_CLASSES, FASHION_MEAN, FASHION_STD, MEAN, STD
from fastconv.data.transforms import (
    Compose,
    RandomAffine,
    RandomCrop,
    RandomHorizontalFlip,
    Transform,
)
from fastconv.files import PathLike


@dataclass(frozen=True)
class Source:
    """A named data set: how to get it, and how a picture becomes one of its samples.

    shape: (C, H, W) of a sample. mean, std: what `Normalize` needs to bring a picture's bytes to
    the samples' scale, numbers or one for each channel. augment: random changes that leave the
    classes what they are (`fastconv train --augment`).
    """

    load: Callable[[PathLike | None], tuple[ArrayDataset, ArrayDataset]]
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    mean: float | tuple[float, ...]
    std: float | tuple[float, ...]
    augment: Transform


def _load_drawings(data_dir: PathLike | None) -> tuple[ArrayDataset, ArrayDataset]:
    if data_dir is not None:
        raise ValueError("drawings: they are generated; a data folder means nothing here")
    return drawings()


_MIRRORED = RandomHorizontalFlip()

SOURCES: dict[str, Source] = {
    "cifar10": Source(
        cifar10,
        (3, 32, 32),
        THINGS,
        CIFAR_MEAN,
        CIFAR_STD,
        Compose([RandomCrop(padding=4), _MIRRORED]),
    ),
    # Bytes 0..255 become -1..1, as they are drawn.
    "drawings": Source(
        _load_drawings,
        (1, SIZE, SIZE),
        X_AND_O,
        mean=0.5,
        std=0.5,
        augment=RandomAffine(degrees=10, shift=1, scale=0.1, fill=-1),
    ),
    "fashion_mnist": Source(
        fashion_mnist,
        (1, 28, 28),
        FASHION_CLASSES,
        FASHION_MEAN,
        FASHION_STD,
        Compose([RandomCrop(padding=2), _MIRRORED]),
    ),
    "mnist": Source(
        mnist, (1, 28, 28), DIGITS, MEAN, STD, RandomAffine(degrees=10, shift=2, scale=0.1)
    ),
}
