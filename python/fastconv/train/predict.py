"""From a picture's file to the probabilities of a trained network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastconv import ops
from fastconv.autograd.engine import no_grad
from fastconv.autograd.tensor import Tensor
from fastconv.data import Normalize
from fastconv.files import FileFormatError, PathLike
from fastconv.train.run import Run


def predict(
    run: Run, files: Sequence[PathLike], invert: str = "auto"
) -> Iterator[tuple[PathLike, dict[str, float]]]:
    """(file, probability of each class by name) for every picture.

    A picture is made grey, scaled to the network's input and normalised as in training. `invert`
    is "yes", "no", or "auto": where the picture's edge is brighter than half, it is dark ink on
    bright paper, and the training data are bright on dark. Needs Pillow.
    """
    model, notes = run.model(), run.notes()
    _, height, width = notes["input"]["shape"]
    normalize = Normalize(notes["input"]["mean"], notes["input"]["std"])
    for file in files:
        pixels = _read(file, height, width)
        if invert == "yes" or (invert == "auto" and _bright_edge(pixels)):
            pixels = 255 - pixels
        with no_grad():
            logits = model(Tensor(normalize(pixels[None, None])))
        probabilities = ops.softmax(logits.data)[0]
        yield file, dict(zip(notes["classes"], map(float, probabilities), strict=True))


def _read(file: PathLike, height: int, width: int) -> np.ndarray:
    """Grey bytes (height, width)."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise ImportError(
            "reading pictures needs Pillow (pip install 'fastconv[vision]')"
        ) from None
    try:
        with Image.open(file) as picture:
            grey = _on_paper(picture).resize((width, height), Image.Resampling.LANCZOS)
            return np.array(grey)
    except (UnidentifiedImageError, SyntaxError, Image.DecompressionBombError) as error:
        raise FileFormatError(f"{file}: not a picture that can be read: {error}") from None


def _on_paper(picture: Any) -> Any:
    """Grey; transparent pixels become white."""
    from PIL import Image

    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture)
    return picture.convert("L")


def _bright_edge(pixels: np.ndarray) -> bool:
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return bool(np.median(edge) > 127)
