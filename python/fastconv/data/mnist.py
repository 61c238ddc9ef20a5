"""MNIST: 60,000 handwritten digits to train on and 10,000 to test on, 28x28 bytes each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fastconv.data.dataset import ArrayDataset, Normalize
from fastconv.data.idx import read_idx
from fastconv.files import FileFormatError, PathLike

# Mean and standard deviation of the training pixels / 255.
MEAN, STD = 0.1307, 0.3081
CLASSES = tuple("0123456789")

# SHA-256 of the four files as first published, gzip-compressed.
_SHA256 = {
    "train-images-idx3-ubyte": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


def mnist(data_dir: PathLike | None = None) -> tuple[ArrayDataset, ArrayDataset]:
    """(train, test) data sets: images uint8 (N, 1, 28, 28), scaled when taken; labels int64 (N,).

    Read from the IDX files in `data_dir`, plain or .gz. Without a folder they are downloaded once,
    checked by SHA-256 and kept in the user's cache (needs pooch: `pip install 'fastconv[data]'`).
    Raises FileNotFoundError for a missing file, FileFormatError for a broken one, ImportError
    without pooch and OSError when no mirror can be reached.
    """
    return _split("train", data_dir), _split("t10k", data_dir)


def _split(prefix: str, data_dir: PathLike | None) -> ArrayDataset:
    image_file = _find(f"{prefix}-images-idx3-ubyte", data_dir)
    label_file = _find(f"{prefix}-labels-idx1-ubyte", data_dir)
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
        transform=Normalize(MEAN, STD),
        classes=CLASSES,
    )


def _find(name: str, data_dir: PathLike | None) -> Path:
    if data_dir is None:
        return _download(name)
    folder = Path(data_dir)
    for candidate in (folder / f"{name}.gz", folder / name):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"mnist: neither {name}.gz nor {name} in {folder}")


def _download(name: str) -> Path:
    try:
        import pooch
    except ImportError:
        raise ImportError(
            "mnist: downloading needs pooch (pip install 'fastconv[data]'); "
            "or name a folder that holds the four IDX files (--data-dir, data_dir=)"
        ) from None
    folder = Path(pooch.os_cache("fastconv")) / "mnist"
    reasons = []
    for mirror in _MIRRORS:
        try:
            found = pooch.retrieve(
                mirror + name + ".gz", f"sha256:{_SHA256[name]}", fname=f"{name}.gz", path=folder
            )
            return Path(found)
        except (OSError, ValueError) as error:
            reasons.append(f"{mirror}: {error}")
    raise OSError(
        f"mnist: could not download {name}.gz; is there a network? Name a folder that holds the "
        f"four IDX files instead (--data-dir, data_dir=). Tried {'; '.join(reasons)}"
    )
