"""Course C6: stride, padding, dilation and groups; sound and text, pictures, volumes.

The same sum in one, two and three dimensions: a filter is found where the input looks like it.
"""

from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv import ops
from fastconv.examples.generated import WORD, recording
from fastconv.examples.show import check, check_that, start
from fastconv.nn import functional as F

TEXT = "the cat sat on the mat; a cat is a cat"


def one_hot(text: str) -> np.ndarray:
    """(1, 128, length): a channel for each character."""
    return np.eye(128)[[ord(c) for c in text]].T[None]


def main(pictures: Path | None = None) -> None:
    sound = recording(123, seed=7).astype(np.float64)
    response = F.conv1d(fc.tensor(sound[None, None]), fc.tensor(WORD[None, None])).data
    check("1-D, sound: the word is found at", response.argmax(), 123)
    found = F.conv1d(fc.tensor(one_hot(TEXT)), fc.tensor(one_hot("cat"))).data[0, 0]
    places = [i for i in range(len(TEXT)) if TEXT.startswith("cat", i)]
    check("1-D, text: all three letters of 'cat' match at", np.flatnonzero(found == 3), places)

    rng = np.random.default_rng(0)
    x = rng.integers(-3, 4, (1, 4, 11, 11)).astype(np.float64)
    w = rng.integers(-3, 4, (6, 4, 3, 3)).astype(np.float64)
    plain = ops.conv2d(x, w)
    same = np.array_equal(ops.conv2d(x, w, stride=2), plain[:, :, ::2, ::2])
    check_that("stride 2 is every other place", same)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    same = np.array_equal(ops.conv2d(x, w, padding=1), ops.conv2d(padded, w))
    check_that("padding 1 is a frame of zeros", same)
    holes = np.zeros((6, 4, 5, 5))
    holes[:, :, ::2, ::2] = w
    same = np.array_equal(ops.conv2d(x, w, dilation=2), ops.conv2d(x, holes))
    check_that("dilation 2 is a 5x5 filter with holes", same)
    halves = [ops.conv2d(x[:, s : s + 2], w[3 * (s // 2) : 3 * (s // 2) + 3, :2]) for s in (0, 2)]
    grouped = ops.conv2d(x, w[:, :2], groups=2)
    check_that(
        "two groups are two convolutions", np.array_equal(grouped, np.concatenate(halves, 1))
    )

    volume = np.zeros((1, 1, 16, 16, 16))
    volume[0, 0, 4:7, 9:12, 2:5] = 1
    cube = ops.conv3d(volume, np.ones((1, 1, 3, 3, 3)))[0, 0]
    check("3-D: the cube of 27 is found at", np.argwhere(cube == 27), [[4, 9, 2]])


if __name__ == "__main__":
    start(main)
