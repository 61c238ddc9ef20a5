"""Course E2: the X-and-O network learned from drawings; its filters, maps and votes.

The generator draws X's and O's moved, scaled, turned and thickened; nobody tells the network its
features. Two convolutions, each with ReLU and pooling, are stacked under the votes.
"""

from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv.data.drawings import draw
from fastconv.examples.show import check_that, draw_image, fit, picture, share_right, start
from fastconv.models import summary, xo_net


def main(pictures: Path | None = None) -> None:
    fc.manual_seed(0)
    network = xo_net()
    print("  " + str(summary(network, (1, 28, 28))).replace("\n", "\n  "))
    before = network.conv1.weight.data.copy()
    losses = fit(network, *draw(2000), epochs=4, rate=3e-3)
    print("  loss by epoch: " + ", ".join(f"{loss:.3f}" for loss in losses))
    images, labels = draw(1000, split=1)
    right = share_right(network, images, labels)
    check_that(f"{right:.1%} of 1000 unseen drawings are right", right > 0.97)
    moved = np.roll(images, 2, axis=3)
    check_that("and most of the same moved by two more", share_right(network, moved, labels) > 0.85)

    maps = [fc.tensor(images[:4])]
    with fc.no_grad():
        for layer in network:
            maps.append(layer(maps[-1]))
    votes = fc.nn.functional.softmax(maps[-1]).data
    for label, vote in zip(labels, votes, strict=False):
        print(f"  a drawn {'XO'[label]}: {vote[0]:.3f} for X, {vote[1]:.3f} for O")

    if pictures:
        with picture(pictures, "xo_learned", 4, 8, size=(9, 5)) as axes:
            rows = before[:, 0], network.conv1.weight.data[:, 0], maps[3].data[0], maps[3].data[1]
            titles = "filters before", "filters after", "its maps", "its maps"
            for number, (row, title) in enumerate(zip(rows, titles, strict=True)):
                for a, values in zip(axes[8 * number :], row, strict=False):
                    draw_image(a, values)
                axes[8 * number].set_title(title, fontsize=9)
            for place, number in ((23, 0), (31, 1)):  # the drawings, over the last map of each
                draw_image(axes[place], images[number, 0], "drawing")


if __name__ == "__main__":
    start(main)
