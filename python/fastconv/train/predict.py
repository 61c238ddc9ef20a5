"""From a picture's file to the probabilities of a trained network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fastconv import ops
from fastconv.autograd.engine import no_grad
from fastconv.autograd.tensor import Tensor
from fastconv.data import Normalize
from fastconv.data.pictures import read_picture
from fastconv.files import PathLike
from fastconv.train.run import Run


def predict(
    run: Run, files: Sequence[PathLike], invert: str = "auto"
) -> Iterator[tuple[PathLike, dict[str, float]]]:
    """(file, probability of each class by name) for every picture.

    A picture is made grey for a network of one channel, scaled to its input and normalised as in
    training. `invert` is "yes", "no", or "auto": where the edge of a grey picture is brighter than
    half, it is dark ink on bright paper, and the training data are bright on dark. Needs Pillow.
    """
    model, notes = run.model(), run.notes()
    channels, height, width = notes["input"]["shape"]
    normalize = Normalize(notes["input"]["mean"], notes["input"]["std"])
    for file in files:
        pixels = read_picture(file, channels, (height, width))
        if invert == "yes" or (invert == "auto" and channels == 1 and _bright_edge(pixels[0])):
            pixels = 255 - pixels
        with no_grad():
            logits = model(Tensor(normalize(pixels[None])))
        probabilities = ops.softmax(logits.data)[0]
        yield file, dict(zip(notes["classes"], map(float, probabilities), strict=True))


def _bright_edge(pixels: np.ndarray) -> bool:
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return bool(np.median(edge) > 127)
