"""Course E10: a neocognitron-style stack: S-cells find features, C-cells forgive their places.

S1 has hand-made bars, C1 takes the strongest of a neighbourhood, S2 learns combinations.
"""

from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv import nn
from fastconv.data.drawings import draw
from fastconv.examples.show import check_that, draw_image, fit, picture, share_right, start


def bars() -> np.ndarray:
    """S1's features (4, 1, 5, 5): a bright bar of each direction between dark ones."""
    y, x = np.mgrid[-2:3, -2:3]
    across = [x, (x - y) / 2**0.5, y, (x + y) / 2**0.5]
    features = np.array([np.exp(-(d**2)) - 0.35 for d in across], np.float32)
    return (features - features.mean(axis=(1, 2), keepdims=True))[:, None]


def main(pictures: Path | None = None) -> None:
    fc.manual_seed(0)
    s1 = nn.Conv2d(1, 4, 5, padding=2, bias=False)
    s1.weight.data[...] = bars()
    s1.requires_grad_(False)
    network = nn.Sequential(
        *(s1, nn.ReLU(), nn.MaxPool2d(4)),
        *(nn.Conv2d(4, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Flatten(), nn.Linear(12 * 3 * 3, 2)),
    )
    fit(network, *draw(1500), epochs=6, rate=5e-3)
    images, labels = draw(500, split=1)
    right = share_right(network, images, labels)
    check_that(f"{right:.1%} of 500 unseen drawings are right", right > 0.93)

    @fc.no_grad()
    def cells(x: np.ndarray) -> list[np.ndarray]:
        return [network[:depth](fc.tensor(x)).data for depth in (2, 3, 5, 6)]

    here, moved = cells(images), cells(np.roll(images, 1, axis=3))
    changes = {}
    for name, a, b in zip(("S1", "C1", "S2", "C2"), here, moved, strict=True):
        changes[name] = np.linalg.norm(a - b) / np.linalg.norm(a)
        print(f"  {name} changes by {changes[name]:.0%} when drawings move by one pixel")
    less = changes["C1"] < changes["S1"] and changes["C2"] < changes["S2"]
    check_that("C-cells change less than their S-cells", less)

    if pictures:
        with picture(pictures, "neocognitron", 3, 5, size=(7, 4.4)) as axes:
            for row, maps in enumerate((bars()[:, 0], here[0][0], here[1][0])):
                draw_image(axes[5 * row], images[0, 0], "drawing")
                for a, values in zip(axes[5 * row + 1 :], maps, strict=False):
                    draw_image(a, values, ("feature", "S1", "C1")[row])


if __name__ == "__main__":
    start(main)
