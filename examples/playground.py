"""Course B14: the 2-D playground: circles, XOR and spirals, and the boundaries networks draw.

The same points for a linear classifier and for a network of two hidden layers of tanh.
"""

from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv import nn
from fastconv.examples.generated import plane_points
from fastconv.examples.show import check_that, fit, picture, share_right, start


def main(pictures: Path | None = None) -> None:
    boundaries = {}
    for kind in ("circles", "XOR", "spirals"):
        points, labels = plane_points(kind, 300, seed=0)
        unseen, truth = plane_points(kind, 300, seed=1)
        fc.manual_seed(0)
        linear = nn.Linear(2, 2)
        fit(linear, points, labels, epochs=30, rate=0.02)
        deep = nn.Sequential(
            *(nn.Linear(2, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 2))
        )
        fit(deep, points, labels, epochs=250 if kind == "spirals" else 60, rate=0.01)
        right = [share_right(network, unseen, truth) for network in (linear, deep)]
        print(f"  {kind}: {right[0]:.0%} of unseen points by a line, {right[1]:.0%} by the network")
        check_that("the line fails, the network does not", right[0] < 0.75 and right[1] > 0.9)
        boundaries[kind] = points, labels, linear, deep

    if pictures:
        y, x = np.mgrid[-1.2:1.2:90j, -1.2:1.2:90j]
        grid = fc.tensor(np.float32(np.stack([x.ravel(), y.ravel()], axis=1)))
        with picture(pictures, "playground", 2, 3, size=(8, 5.4)) as axes, fc.no_grad():
            for column, (kind, (points, labels, *networks)) in enumerate(boundaries.items()):
                for row, network in enumerate(networks):
                    a = axes[3 * row + column]
                    score = nn.functional.softmax(network(grid)).data[:, 1].reshape(x.shape)
                    a.contourf(x, y, score, levels=np.linspace(0, 1, 11), cmap="RdBu", alpha=0.7)
                    a.scatter(*points.T, c=labels, cmap="RdBu", s=8, edgecolors="black", lw=0.3)
                    a.set(
                        xticks=[],
                        yticks=[],
                        title=f"{kind}: {('a line', 'two hidden layers')[row]}",
                    )


if __name__ == "__main__":
    start(main)
