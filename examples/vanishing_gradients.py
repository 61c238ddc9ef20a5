"""Course B9, B15: vanishing gradients: sigmoid and tanh against ReLU, and what helps.

A sigmoid's slope is at most 1/4: of its gradient nothing is left twelve layers down.
"""

from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv import nn
from fastconv.examples.show import check_that, picture, start

DEPTH, WIDTH = 12, 64
# activation, gain of the initial weights, batch normalisation, residual connections
NETWORKS = {
    "sigmoid": (nn.Sigmoid, 1.0, False, False),
    "tanh": (nn.Tanh, 1.0, False, False),
    "ReLU": (nn.ReLU, 2**0.5, False, False),
    "sigmoid, batch norm": (nn.Sigmoid, 1.0, True, False),
    "sigmoid, residual": (nn.Sigmoid, 1.0, False, True),
}


def gradient_sizes(kind: type, gain: float, norm: bool, residual: bool) -> list[float]:
    """The mean |dL/dW| of each layer, from the first to the last."""
    fc.manual_seed(0)
    layers, norms = [nn.Linear(WIDTH, WIDTH) for _ in range(DEPTH)], []
    for layer in layers:
        nn.init.normal_(layer.weight, std=gain / WIDTH**0.5)
        norms.append(nn.BatchNorm1d(WIDTH) if norm else nn.Sequential())
    x, head = fc.randn(128, WIDTH), nn.Linear(WIDTH, 10)
    for layer, scale in zip(layers, norms, strict=True):
        y = kind()(scale(layer(x)))
        x = x + y if residual else y
    target = fc.tensor(np.random.default_rng(0).integers(0, 10, 128))
    nn.functional.cross_entropy(head(x), target).backward()
    return [float(np.abs(layer.weight.grad.data).mean()) for layer in layers]


def main(pictures: Path | None = None) -> None:
    sizes = {name: gradient_sizes(*options) for name, options in NETWORKS.items()}
    ratios = {name: s[0] / s[-1] for name, s in sizes.items()}
    for name, ratio in ratios.items():
        print(f"  {name}: the first layer's gradient is {ratio:.1e} of the last's")
    check_that("sigmoid: less than a hundred-thousandth arrives", ratios["sigmoid"] < 1e-5)
    check_that("of tanh and ReLU more than a tenth", min(ratios["tanh"], ratios["ReLU"]) > 0.1)
    helped = min(ratios["sigmoid, residual"], ratios["sigmoid, batch norm"])
    check_that("residual connections and batch norm help sigmoid", helped > 1e4 * ratios["sigmoid"])

    if pictures:
        with picture(pictures, "vanishing_gradients", size=(6, 4)) as (axes,):
            for name, values in sizes.items():
                axes.semilogy(range(1, DEPTH + 1), values, "o-", ms=4, label=name)
            axes.set(xlabel="layer, from the input", ylabel="mean |dL/dW|", title="before training")
            axes.legend(fontsize=8)


if __name__ == "__main__":
    start(main)
