"""MNIST and its drop-in Fashion-MNIST: 60,000 pictures to train on and 10,000 to test on, 28x28."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastconv.data.dataset import ArrayDataset, Normalize
from fastconv.data.download import download
from fastconv.data.idx import read_idx
from fastconv.files import FileFormatError, PathLike

# Mean and standard deviation of the training pixels / 255.
MEAN, STD = 0.1307, 0.3081
FASHION_MEAN, FASHION_STD = 0.2860, 0.3530
CLASSES = tuple("0123456789")
FASHION_CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


@dataclass(frozen=True)
class _Collection:
    """Four IDX files under MNIST's names: where they are published, and what is in them."""

    name: str
    checksums: dict[str, str]  # of the gzip-compressed files
    mirrors: tuple[str, ...]
    mean: float
    std: float
    classes: tuple[str, ...]


# SHA-256 of the four files as first published.
_MNIST = _Collection(
    "mnist",
    {
        "train-images-idx3-ubyte": "sha256:"
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte": "sha256:"
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte": "sha256:"
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte": "sha256:"
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    MEAN,
    STD,
    CLASSES,
)
# MD5 from the README of github.com/zalandoresearch/fashion-mnist.
_FASHION = _Collection(
    "fashion_mnist",
    {
        "train-images-idx3-ubyte": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte": "md5:25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte": "md5:bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte": "md5:bb300cfdad3c16e7a12a480ee83cd310",
    },
    ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    FASHION_MEAN,
    FASHION_STD,
    FASHION_CLASSES,
)


def mnist(data_dir: PathLike | None = None) -> tuple[ArrayDataset, ArrayDataset]:
    """(train, test) data sets: images uint8 (N, 1, 28, 28), scaled when taken; labels int64 (N,).

    Read from the IDX files in `data_dir`, plain or .gz. Without a folder they are downloaded once,
    checked by SHA-256 and kept in the user's cache (needs pooch: `pip install 'fastconv[data]'`).
    Raises FileNotFoundError for a missing file, FileFormatError for a broken one, ImportError
    without pooch and OSError when no mirror can be reached.
    """
    return _split(_MNIST, "train", data_dir), _split(_MNIST, "t10k", data_dir)


def fashion_mnist(data_dir: PathLike | None = None) -> tuple[ArrayDataset, ArrayDataset]:
    """Ten kinds of clothes (Xiao, Rasul, Vollgraf, 2017), with `mnist`'s files, shapes and errors.

    A download is checked by the MD5 that the data set's repository names. The files bear MNIST's
    names: only the folder tells them apart.
    """
    return _split(_FASHION, "train", data_dir), _split(_FASHION, "t10k", data_dir)


def _split(which: _Collection, prefix: str, data_dir: PathLike | None) -> ArrayDataset:
    image_file = _find(which, f"{prefix}-images-idx3-ubyte", data_dir)
    label_file = _find(which, f"{prefix}-labels-idx1-ubyte", data_dir)
    images, labels = read_idx(image_file), read_idx(label_file)
    if images.dtype != np.uint8 or images.shape[1:] != (28, 28):
        raise FileFormatError(
            f"{image_file}: expected bytes of shape (N, 28, 28), "
            f"found {images.dtype} of shape {images.shape}"
        )
    if labels.dtype != np.uint8 or labels.shape != images.shape[:1]:
        raise FileFormatError(
            f"{label_file}: expected {len(images)} labels of one byte, "
            f"found {labels.dtype} of shape {labels.shape}"
        )
    if labels.max(initial=0) > 9:
        raise FileFormatError(f"{label_file}: expected labels 0 to 9, found {labels.max()}")
    return ArrayDataset(
        images[:, None],
        labels.astype(np.int64),
        transform=Normalize(which.mean, which.std),
        classes=which.classes,
    )


def _find(which: _Collection, name: str, data_dir: PathLike | None) -> Path:
    if data_dir is None:
        return download(which.name, which.mirrors, f"{name}.gz", which.checksums[name])[0]
    folder = Path(data_dir)
    for candidate in (folder / f"{name}.gz", folder / name):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"{which.name}: neither {name}.gz nor {name} in {folder}")
