"""Course B6: optimizers on a ravine: their paths.

Plain descent jumps from wall to wall; momentum averages the jumps away, adaptive rates scale each
direction by itself.
"""

from pathlib import Path

import numpy as np

from fastconv import Tensor, optim
from fastconv.examples.show import check_that, leaf, picture, start

BEGIN, STEPS = [-4.0, 1.5], 80
METHODS = {
    "SGD": lambda p: optim.SGD(p, lr=0.09),
    "momentum": lambda p: optim.SGD(p, lr=0.02, momentum=0.9),
    "Nesterov": lambda p: optim.SGD(p, lr=0.02, momentum=0.9, nesterov=True),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.8),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.1, alpha=0.9),
    "Adam": lambda p: optim.Adam(p, lr=0.3),
}


def ravine(p: Tensor) -> Tensor:
    return 0.5 * (p[0] ** 2 + 20.0 * p[1] ** 2)


def main(pictures: Path | None = None) -> None:
    paths = {}
    for name, make in METHODS.items():
        p = leaf(BEGIN)
        optimizer, path = make([p]), [BEGIN]
        for _ in range(STEPS):
            optimizer.zero_grad()
            ravine(p).backward()
            optimizer.step()
            path.append(p.data.tolist())
        paths[name] = np.array(path)
        end = ravine(p).item()
        check_that(f"{name}: from 30.5 down to {end:.1e} in {STEPS} steps", end < 0.2)

    if pictures:
        y, x = np.mgrid[-2:2:80j, -4.5:2:80j]
        with picture(pictures, "optimizers", 2, 3, size=(9, 5)) as axes:
            for a, (name, path) in zip(axes, paths.items(), strict=True):
                a.contour(x, y, 0.5 * (x**2 + 20 * y**2), levels=12, colors="lightgrey")
                a.plot(*path.T, ".-", lw=1, ms=4)
                a.set(title=name, xlim=(-4.5, 2), ylim=(-2, 2))


if __name__ == "__main__":
    start(main)
