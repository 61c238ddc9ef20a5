"""CIFAR-10 (Krizhevsky, 2009): 50,000 colour pictures to train on, 10,000 to test on, 32x32."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fastconv.data.dataset import ArrayDataset, Normalize
from fastconv.data.download import download
from fastconv.files import FileFormatError, PathLike

# Mean and standard deviation of the training pixels / 255, by channel.
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)

_FOLDER = "cifar-10-batches-bin"
_FILES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")
_IMAGE = (3, 32, 32)  # planes of red, green and blue
_RECORD = 1 + math.prod(_IMAGE)  # the label comes first
# The archive and the MD5 that https://www.cs.toronto.edu/~kriz/cifar.html names.
_MIRRORS = ("https://www.cs.toronto.edu/~kriz/",)
_ARCHIVE = "cifar-10-binary.tar.gz"
_CHECKSUM = "md5:c32a1d4ab5d03f1284b67883e8d87530"


def cifar10(data_dir: PathLike | None = None) -> tuple[ArrayDataset, ArrayDataset]:
    """(train, test) data sets: images uint8 (N, 3, 32, 32), scaled when taken; labels int64 (N,).

    Read from the binary version's files (data_batch_1.bin to data_batch_5.bin, test_batch.bin) in
    `data_dir` or its folder cifar-10-batches-bin. Without a folder the archive of 162 MB is
    downloaded once, checked by its published MD5 and kept in the user's cache (needs pooch).
    Raises as `mnist` does.
    """
    if data_dir is None:
        members = [f"{_FOLDER}/{name}" for name in _FILES]
        files = download("cifar10", _MIRRORS, _ARCHIVE, _CHECKSUM, members)
    else:
        files = _find(Path(data_dir))
    return _read(files[:-1]), _read(files[-1:])


def _find(folder: Path) -> list[Path]:
    inner = folder / _FOLDER
    place = inner if inner.is_dir() else folder
    missing = [name for name in _FILES if not (place / name).is_file()]
    if missing:
        raise FileNotFoundError(f"cifar10: no {missing[0]} in {place}")
    return [place / name for name in _FILES]


def _read(files: Sequence[Path]) -> ArrayDataset:
    counts = [_records(file) for file in files]
    images, labels = np.empty((sum(counts), *_IMAGE), np.uint8), np.empty(sum(counts), np.int64)
    start = 0
    for file, count in zip(files, counts, strict=True):  # one at a time: the memory of one
        records = np.fromfile(file, np.uint8).reshape(count, _RECORD)
        if records[:, 0].max() > 9:
            raise FileFormatError(f"{file}: expected labels 0 to 9, found {records[:, 0].max()}")
        images[start : start + count] = records[:, 1:].reshape(count, *_IMAGE)
        labels[start : start + count] = records[:, 0]
        start += count
    return ArrayDataset(images, labels, transform=Normalize(MEAN, STD), classes=CLASSES)


def _records(file: Path) -> int:
    """How many pictures a file holds."""
    size = file.stat().st_size
    if size == 0 or size % _RECORD:
        raise FileFormatError(
            f"{file}: expected records of {_RECORD} bytes (a label, 3x32x32 pixels), "
            f"found {size} bytes"
        )
    return size // _RECORD
