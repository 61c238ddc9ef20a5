"""Course B15: an MLP fails on shifted input where the scan does not.

Both learn X and O in the middle of the picture, and are then asked about the same drawings moved to
a corner. The convolutional network takes the maximum of its maps: where it was does not matter.
"""

from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv import nn
from fastconv.data.drawings import draw
from fastconv.examples.show import check_that, draw_image, fit, picture, share_right, start


def main(pictures: Path | None = None) -> None:
    frame = ((0, 0), (0, 0), (8, 8), (8, 8))  # 28x28 drawings in the middle of 44x44
    images, labels = draw(1000, seed=0)
    unseen, truth = draw(500, seed=1)
    images, unseen = (np.pad(x + 1, frame) for x in (images, unseen))
    moved = np.roll(unseen, (-8, 8), axis=(2, 3))

    fc.manual_seed(0)
    mlp = nn.Sequential(nn.Flatten(), nn.Linear(44 * 44, 64), nn.ReLU(), nn.Linear(64, 2))
    scan = nn.Sequential(
        *(nn.Conv2d(1, 12, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(12, 24, 7, padding=3), nn.ReLU(), nn.MaxPool2d(22)),  # over all places
        *(nn.Flatten(), nn.Linear(24, 2)),
    )
    right = {}
    for name, network, epochs in (("the MLP", mlp, 10), ("the scan", scan, 2)):
        fit(network, images, labels, epochs=epochs, rate=3e-3, batch=32)
        right[name] = [share_right(network, x, truth) for x in (unseen, moved)]
        print(f"  {name}: {right[name][0]:.1%} in the middle, {right[name][1]:.1%} in the corner")
    check_that("both are right in the middle", min(r[0] for r in right.values()) > 0.8)
    check_that("the MLP fails in the corner", right["the MLP"][1] < 0.8)
    check_that("the scan does not", right["the scan"][1] > 0.85)

    if pictures:
        with picture(pictures, "shifted_input", 1, 3, size=(9, 3.2)) as axes:
            draw_image(axes[0], unseen[0, 0], "as learned")
            draw_image(axes[1], moved[0, 0], "moved")
            for number, name in enumerate(right):
                axes[2].bar(np.arange(2) + 0.4 * number, right[name], 0.35, label=name)
            axes[2].set_xticks([0.2, 1.2], ["middle", "corner"])
            axes[2].set_title("share right")
            axes[2].legend(loc="lower left")


if __name__ == "__main__":
    start(main)
