"""Pictures from files of any kind that Pillow reads, one by one and a folder of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastconv.data.dataset import ArrayDataset, Normalize
from fastconv.files import FileFormatError, PathLike


def read_picture(
    file: PathLike, channels: int = 3, size: tuple[int, int] | None = None
) -> np.ndarray:
    """Bytes (channels, height, width): grey of 1 channel, red, green and blue of 3.

    size: (height, width) that the picture is scaled to, whatever its shape; None leaves it.
    Transparent pixels become white. Raises ValueError for other channels, ImportError without
    Pillow, OSError for a missing file and FileFormatError for one that is no picture.
    """
    if channels not in (1, 3):
        raise ValueError(f"read_picture: channels must be 1 or 3, got {channels}")
    image = _pillow()
    try:
        with image.open(file) as picture:
            flat = _on_paper(image, picture).convert("L" if channels == 1 else "RGB")
    except (image.UnidentifiedImageError, SyntaxError, image.DecompressionBombError) as error:
        raise FileFormatError(f"{file}: not a picture that can be read: {error}") from None
    if size is not None:
        flat = flat.resize((size[1], size[0]), image.Resampling.LANCZOS)
    return np.array(flat).reshape(flat.height, flat.width, channels).transpose(2, 0, 1)


def image_folder(
    path: PathLike,
    size: int | tuple[int, int] | None = None,
    *,
    channels: int = 3,
    mean: float | Sequence[float] = 0.5,
    std: float | Sequence[float] = 0.5,
) -> ArrayDataset:
    """A data set from a folder that has one sub-folder of pictures for each class.

    Images are uint8 (N, channels, H, W), scaled by `Normalize(mean, std)` when taken; labels int64
    (N,) number the sub-folders in the order of their names, which are `classes`. Pictures are
    found at any depth, in the order of their paths; other files and hidden ones are left out.

    size: (height, width), or one number for both, that every picture is scaled to; without it all
    must be of one size. Raises FileNotFoundError where there is no sub-folder or no picture,
    FileFormatError for a broken picture or one of another size, ImportError without Pillow.
    """
    folder = Path(path)
    scaled = (size, size) if isinstance(size, int) else size
    classes = [entry for entry in sorted(folder.iterdir()) if _is_visible(entry) and entry.is_dir()]
    kinds = set(_pillow().registered_extensions())
    files = [(file, label) for label, f in enumerate(classes) for file in _pictures(f, kinds)]
    if not files:
        raise FileNotFoundError(f"image_folder: no sub-folder with pictures in {folder}")
    images = [read_picture(file, channels, scaled) for file, _ in files]
    _check_sizes([file for file, _ in files], images)
    return ArrayDataset(
        np.stack(images),
        np.array([label for _, label in files], np.int64),
        transform=Normalize(mean, std),
        classes=[entry.name for entry in classes],
    )


def _check_sizes(files: Sequence[Path], images: Sequence[np.ndarray]) -> None:
    for file, image in zip(files, images, strict=True):
        if image.shape != images[0].shape:
            raise FileFormatError(
                f"{file}: a picture of {image.shape[1:]} (height, width), but {files[0]} has "
                f"{images[0].shape[1:]}; give image_folder a size to scale them to"
            )


def _is_visible(entry: Path) -> bool:
    return not entry.name.startswith(".")


def _pictures(folder: Path, kinds: set[str]) -> list[Path]:
    found = [file for file in folder.rglob("*") if file.suffix.lower() in kinds]
    return sorted(file for file in found if _is_visible(file) and file.is_file())


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise ImportError(
            "reading pictures needs Pillow (pip install 'fastconv[vision]')"
        ) from None
    return Image


def _on_paper(image: Any, picture: Any) -> Any:
    """The picture, its transparent pixels white."""
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        paper = image.new("RGBA", picture.size, "white")
        picture = image.alpha_composite(paper, picture)
    return picture
