"""Course C8: a texture described by the mean absolute response of each filter of a bank.

Edges of four directions in two sizes, and spots: nine numbers that tell stripes from spots.
"""

from pathlib import Path

import numpy as np

from fastconv import ops
from fastconv.examples.generated import textures
from fastconv.examples.show import check_that, draw_image, picture, start


def bank() -> np.ndarray:
    """Filters (9, 1, 9, 9) of sum 0: derivatives of Gaussians in four directions, and spots."""
    y, x = np.mgrid[:9, :9] - 4
    filters = []
    for width in (1.0, 2.0):
        bell = np.exp(-(x * x + y * y) / (2 * width * width))
        for angle in np.arange(4) * np.pi / 4:
            filters.append((np.cos(angle) * x + np.sin(angle) * y) * bell)
    filters.append((2 * 4 - x * x - y * y) * bell)
    bank = np.array(filters)[:, None]
    bank -= bank.mean(axis=(2, 3), keepdims=True)
    return bank / np.abs(bank).sum(axis=(2, 3), keepdims=True)


def describe(images: np.ndarray) -> np.ndarray:
    return np.abs(ops.conv2d(images, bank())).mean(axis=(2, 3))


def main(pictures: Path | None = None) -> None:
    images, kinds = textures(40, seed=0)
    unseen, truth = textures(400, seed=1)
    right = {}
    for name, view in (("pixels", lambda x: x.reshape(len(x), -1)), ("filter bank", describe)):
        known, new = view(images), view(unseen)
        centres = np.array([known[kinds == kind].mean(axis=0) for kind in (0, 1)])
        nearest = ((new[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
        right[name] = (nearest == truth).mean()
        print(f"  {name}: the nearest mean of 20 is right for {right[name]:.1%} of 400 others")
    check_that("the two kinds separate by their filters' responses", right["filter bank"] == 1)
    check_that("and not by their pixels", right["pixels"] < 0.7)

    if pictures:
        with picture(pictures, "textures", 2, 5, size=(10, 4)) as axes:
            for number, kind in enumerate(("stripes", "spots", "stripes", "spots")):
                draw_image(axes[number], images[number, 0], kind, low=-2.5, high=2.5)
            for a, number in zip(axes[5:], (0, 1, 2, 3, 8), strict=True):
                draw_image(a, bank()[number, 0], f"filter {number}")
            for kind, name in enumerate(("stripes", "spots")):
                axes[4].plot(describe(unseen[truth == kind]).mean(axis=0), "o-", label=name)
            axes[4].legend(fontsize=7)
            axes[4].set_title("mean |response| of each filter", fontsize=9)


if __name__ == "__main__":
    start(main)
