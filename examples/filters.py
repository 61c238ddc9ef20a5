"""Course C7: hand-made filters: edges, lines, sharpening, blurring.

A filter's answer on an even area is the sum of its weights times the brightness: 0 for those that
look for edges, the brightness itself for those that sharpen or blur.
"""

from pathlib import Path

import numpy as np

from fastconv import ops
from fastconv.examples.generated import scene
from fastconv.examples.show import check, check_that, draw_image, picture, start

FILTERS = {
    "Sobel: vertical edges": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "Sobel: horizontal edges": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
    "difference to the right": [[0, 0, 0], [0, -1, 1], [0, 0, 0]],
    "diagonals": [[1, 0, -1], [0, 0, 0], [-1, 0, 1]],
    "Laplace, 4 neighbours": [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
    "Laplace, 8 neighbours": [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
    "identity": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    "box blur": np.full((3, 3), 1 / 9),
    "Gaussian blur": np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16,
}


def main(pictures: Path | None = None) -> None:
    image = scene()
    bank = np.array(list(FILTERS.values()), np.float64)[:, None]  # (10, 1, 3, 3)
    even = ops.conv2d(np.full((1, 1, 3, 3), 0.5), bank).ravel()
    check("on an even area of 0.5", even, [0] * 6 + [0.5] * 4, tolerance=1e-15)
    step = (np.arange(5) >= 2) * np.ones((3, 1))
    check(
        "both Sobel filters on a vertical edge",
        ops.conv2d(step[None, None], bank)[0, :2, 0],
        [[4, 4, 0], [0, 0, 0]],
    )
    point = np.pad([[1.0]], 2)[None, None]
    turned = np.array_equal(ops.conv2d(point, bank)[0], bank[:, 0, ::-1, ::-1])
    check_that("a single point is answered by the filter, turned by 180 degrees", turned)
    maps = ops.conv2d(image[None, None], bank)[0]
    check_that(
        "the identity leaves the picture as it is", np.array_equal(maps[6], image[1:-1, 1:-1])
    )

    if pictures:
        with picture(pictures, "filters", 3, 4, size=(9, 7.2)) as axes:
            for a in axes:
                a.axis("off")
            draw_image(axes[0], image, "before", low=0, high=1)
            for a, title, after in zip(axes[1:], FILTERS, maps, strict=False):
                edges = after.min() < -0.2 and "sharp" not in title
                draw_image(a, after, title, low=-1 if edges else 0, high=1)


if __name__ == "__main__":
    start(main)
