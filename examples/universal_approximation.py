"""Course B14: one hidden layer approximates any continuous function: the wider, the closer.

Each hidden unit is a bump or a bend; the output adds them up.
"""

from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv import nn, optim
from fastconv.examples.show import check_that, picture, start

WIDTHS = (1, 3, 10, 40)


def target(x: np.ndarray) -> np.ndarray:
    return np.sin(3 * x) + 0.4 * np.cos(9 * x) * x


def train(width: int, x: fc.Tensor, y: fc.Tensor) -> nn.Sequential:
    """One hidden layer of tanh, fitted with L-BFGS."""
    network = nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, 1)).double()
    nn.init.uniform_(network[0].weight, -6, 6)
    nn.init.uniform_(network[0].bias, -6, 6)
    method = optim.LBFGS(network.parameters(), max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> fc.Tensor:
        method.zero_grad()
        loss = nn.functional.mse_loss(network(x), y)
        loss.backward()
        return loss

    method.step(closure)
    return network


def main(pictures: Path | None = None) -> None:
    x = np.linspace(-2, 2, 200)[:, None]
    y, errors, curves = target(x), [], []
    for width in WIDTHS:
        fc.manual_seed(1)
        network = train(width, fc.tensor(x), fc.tensor(y))
        with fc.no_grad():
            curves.append(network(fc.tensor(x)).data)
        errors.append(float(np.sqrt(np.mean((curves[-1] - y) ** 2))))
        print(f"  {width:>2} hidden units: error {errors[-1]:.4f} (root mean square)")
    check_that("the wider, the closer", errors == sorted(errors, reverse=True))
    check_that("forty units follow the function to 2%", errors[-1] < 0.02)

    if pictures:
        with picture(pictures, "universal_approximation", 1, 4, size=(11, 2.8)) as axes:
            for a, width, curve in zip(axes, WIDTHS, curves, strict=True):
                a.plot(x, y, color="lightgrey", lw=4)
                a.plot(x, curve)
                a.set(title=f"{width} hidden unit{'s' * (width > 1)}", ylim=(-2, 2))


if __name__ == "__main__":
    start(main)
