"""Course E1: the X-and-O network by hand: features, pooling, ReLU, pooling, votes.

Three 3x3 features (diagonal, X, anti-diagonal) slide over a 9x9 drawing; a response is the mean of
nine products: whole ninths, compared as such and, as in the lecture, cut to two digits.
"""

from pathlib import Path

import numpy as np

from fastconv import ops
from fastconv.examples.generated import x_and_o
from fastconv.examples.show import check, check_that, draw_image, picture, start

FEATURES = 2.0 * np.array([np.eye(3), np.eye(3) + np.eye(3)[::-1] > 0, np.eye(3)[::-1]]) - 1
NAMES = ("diagonal", "X", "anti-diagonal")
POOLED = [  # in ninths
    [[9, 3, 5, 3], [3, 9, 3, 5], [5, 3, 9, 1], [3, 5, 1, 7]],
    [[5, 3, 5, 3], [3, 9, 5, 1], [5, 5, 5, 1], [3, 1, 1, 3]],
    [[3, 5, 9, 7], [5, 5, 9, 3], [9, 9, 1, 5], [7, 3, 5, 3]],
]
POOLED_TWICE = [[[9, 5], [5, 9]], [[9, 5], [5, 5]], [[5, 9], [9, 5]]]


def network(image: np.ndarray) -> list[np.ndarray]:
    """The maps after each layer, (3, H, W)."""
    maps = [ops.conv2d(image[None, None], FEATURES[:, None]) / 9]
    maps.append(ops.max_pool2d(maps[-1], 2, None, 0, 1, True, return_indices=False))
    maps.append(ops.relu(maps[-1]))
    return [*(m[0] for m in maps), ops.max_pool2d(maps[-1], 2, return_indices=False)[0]]


def main(pictures: Path | None = None) -> None:
    responses, pooled, rectified, twice = network(x_and_o()["X"])
    check("the diagonal's first row, in ninths", 9 * responses[0, 0], [7, -1, 1, 3, 5, -1, 3])
    check("and the second begins", 9 * responses[0, 1, :2], [-1, 9])
    check("pooled, cut", np.trunc(100 * pooled) / 100, np.trunc(100 * np.array(POOLED) / 9) / 100)
    check_that("exactly those ninths", np.array_equal(pooled, np.array(POOLED) / 9))
    check_that("all are positive: ReLU leaves them", np.array_equal(rectified, pooled))
    check("pooled twice, in ninths", 9 * twice, POOLED_TWICE)

    # A class's vote is the mean of the features that its own drawing makes large.
    features = {name: network(image)[-1].ravel() for name, image in x_and_o().items()}
    large = {name: f == f.max() for name, f in features.items()}
    for name, f in features.items():
        votes = {other: f[mask].mean() for other, mask in large.items()}
        print(f"  a drawn {name}: " + ", ".join(f"{v:.2f} for {n}" for n, v in votes.items()))
        check_that(f"{name} wins", max(votes, key=votes.get) == name)

    if pictures:
        with picture(pictures, "xo_by_hand", 3, 4, size=(8, 6.4)) as axes:
            draw_image(axes[0], x_and_o()["X"], "drawing")
            axes[4].axis("off"), axes[8].axis("off")
            for row, maps in enumerate((responses, pooled, twice)):
                for a, values, name in zip(axes[4 * row + 1 :], maps, NAMES, strict=False):
                    draw_image(a, values, f"{name}: {len(values)}x{len(values)}", low=-0.5, high=1)


if __name__ == "__main__":
    start(main)
