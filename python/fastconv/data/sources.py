"""The data sets that the command line knows by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastconv.data import drawings, mnist
from fastconv.data.dataset import ArrayDataset
from fastconv.data.drawings import CLASSES as X_AND_O
from fastconv.data.drawings import SIZE
from fastconv.data.mnist import CLASSES as DIGITS
from fastconv.data.mnist import MEAN, STD
from fastconv.files import PathLike


@dataclass(frozen=True)
class Source:
    """A named data set: how to get it, and how a picture becomes one of its samples.

    shape: (C, H, W) of a sample. mean, std: what `Normalize` needs to bring a picture's bytes to
    the samples' scale.
    """

    load: Callable[[PathLike | None], tuple[ArrayDataset, ArrayDataset]]
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    mean: float
    std: float


def _load_drawings(data_dir: PathLike | None) -> tuple[ArrayDataset, ArrayDataset]:
    if data_dir is not None:
        raise ValueError("drawings: they are generated; a data folder means nothing here")
    return drawings()


SOURCES: dict[str, Source] = {
    # Bytes 0..255 become -1..1, as they are drawn.
    "drawings": Source(_load_drawings, (1, SIZE, SIZE), X_AND_O, mean=0.5, std=0.5),
    "mnist": Source(mnist, (1, 28, 28), DIGITS, MEAN, STD),
}
