"""Course C12: an image of four quadrants under the 4x4 mean.

Where the window lies within a quadrant nothing changes; across an edge the mean is a ramp. The
window stays inside the image ('valid'), so 9x9 becomes 6x6.
"""

from pathlib import Path

import numpy as np

from fastconv import ops
from fastconv.examples.show import check, draw_image, picture, start

LECTURE = [
    [128, 128, 109, 90, 71, 52],
    [128, 128, 109, 90, 71, 52],
    [109, 109, 100, 90, 81, 71],
    [90, 90, 90, 90, 90, 90],
    [71, 71, 81, 90, 100, 109],
    [52, 52, 71, 90, 109, 128],
]


def main(pictures: Path | None = None) -> None:
    image = np.full((9, 9), 52.0)
    image[:5, :5] = image[5:, 5:] = 128
    mean = ops.conv2d(image[None, None], np.full((1, 1, 4, 4), 1 / 16), padding="valid")[0, 0]
    check("mean, rounded half up", np.floor(mean + 0.5), LECTURE)
    check("in the centre (10 * 128 + 6 * 52) / 16", mean[2, 2], 99.5)

    if pictures:
        with picture(pictures, "quadrants", 1, 2, size=(7, 3.6)) as axes:
            for a, values, title in zip(axes, (image, mean), ("before", "after"), strict=True):
                draw_image(a, values, f"{title}: {len(values)}x{len(values)}", low=30, high=150)
                for (y, x), value in np.ndenumerate(np.floor(values + 0.5)):
                    colour = "white" if value < 90 else "black"
                    a.text(x, y, f"{value:.0f}", ha="center", va="center", size=7, color=colour)


if __name__ == "__main__":
    start(main)
