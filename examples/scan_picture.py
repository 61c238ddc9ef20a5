"""Course C9: the same MLP looks at every place of a picture: find the flower.

An MLP that tells a patch with a flower from others, slid over a picture, is a convolutional network
with shared weights. Its answers are a heat map that is hot wherever a flower is.
"""

from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv import nn
from fastconv.examples.generated import meadow, meadow_patches
from fastconv.examples.show import check, check_that, draw_image, fit, picture, start

SIZE = 20


def main(pictures: Path | None = None) -> None:
    fc.manual_seed(0)
    patches, labels = meadow_patches(450)
    mlp = nn.Sequential(nn.Linear(SIZE * SIZE, 32), nn.ReLU(), nn.Linear(32, 1), nn.Sigmoid())
    fit(mlp, patches, np.float32(labels)[:, None], epochs=8, rate=2e-3, loss=nn.MSELoss())

    filters = nn.Conv2d(1, 32, SIZE)
    network = nn.Sequential(filters, nn.ReLU(), nn.Conv2d(32, 1, 1), nn.Sigmoid())
    for own, array in zip(network.parameters(), mlp.parameters(), strict=True):
        own.data[...] = array.data.reshape(own.shape)

    def scan(image: np.ndarray) -> np.ndarray:
        return network(fc.tensor(image[None, None])).data[0, 0]

    places = [(6, 66), (38, 30), (70, 8)]
    image = meadow(places, seed=10_000)
    heat = scan(image)  # (77, 77): one answer for each corner of a window
    windows = np.lib.stride_tricks.sliding_window_view(image, (SIZE, SIZE)).reshape(-1, SIZE * SIZE)
    gap = np.abs(mlp(fc.tensor(windows)).data.reshape(heat.shape) - heat).max()
    check_that(f"scan and convolutional network agree to rounding ({gap:.0e})", gap < 1e-5)
    for top, left in places:
        near = heat[max(0, top - 8) : top + 9, max(0, left - 8) : left + 9]
        y, x = np.unravel_index(near.argmax(), near.shape)
        found = y + max(0, top - 8), x + max(0, left - 8)
        check(f"hottest around ({top}, {left})", found, (top, left), tolerance=1)

    hits = 0
    for seed in range(50):
        y, x = np.random.default_rng(seed).integers(0, 77, 2)
        answers = scan(meadow([(y, x)], 20_000 + seed))
        hits += np.abs(np.array(np.unravel_index(answers.argmax(), (77, 77))) - (y, x)).max() <= 2
    check_that(f"in {hits} of 50 pictures the one flower is found", hits >= 40)

    if pictures:
        with picture(pictures, "scan_picture", 1, 2, size=(8, 4)) as axes:
            draw_image(axes[0], image, "picture")
            draw_image(axes[1], image, "heat map: a flower centred here?")
            axes[1].imshow(np.pad(heat, ((9, 10), (9, 10))), cmap="hot", alpha=0.75)


if __name__ == "__main__":
    start(main)
