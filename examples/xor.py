"""Course B3: XOR: a stack of linear layers fails, one hidden nonlinear layer gets 4 of 4.

Linear layers after one another are one linear layer: their line leaves at least one of the four
points on the wrong side. A sigmoid between two of them bends it.
"""

from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv import nn
from fastconv.examples.show import check, check_that, fit, picture, start

X = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
Y = np.array([0, 1, 1, 0])


def train(*layers: nn.Module) -> nn.Sequential:
    network = nn.Sequential(*layers)
    fit(network, X, Y, epochs=1000, rate=0.03)
    return network


def right(network: nn.Module) -> int:
    return int((network(fc.tensor(X)).data.argmax(axis=1) == Y).sum())


def main(pictures: Path | None = None) -> None:
    fc.manual_seed(0)
    linear = train(nn.Linear(2, 4), nn.Linear(4, 4), nn.Linear(4, 2))
    hidden = train(nn.Linear(2, 4), nn.Sigmoid(), nn.Linear(4, 2))
    print(f"  three linear layers: {right(linear)} of 4 right")
    check_that("a stack of linear layers does not get all of XOR", right(linear) < 4)
    check("one hidden layer of 4 sigmoids: right of 4", right(hidden), 4)

    product, shift = np.eye(2), np.zeros(2)
    for layer in linear:
        product = layer.weight.data @ product
        shift = layer.weight.data @ shift + layer.bias.data
    gap = np.abs(X @ product.T + shift - linear(fc.tensor(X)).data).max()
    check_that(f"the stack is the one matrix W3 W2 W1 ({gap:.0e} apart)", gap < 1e-5)

    if pictures:
        y, x = np.mgrid[-0.5:1.5:80j, -0.5:1.5:80j]
        grid = fc.tensor(np.float32(np.stack([x.ravel(), y.ravel()], axis=1)))
        with picture(pictures, "xor", 1, 2, size=(7, 3.5)) as axes:
            named = {"linear layers alone": linear, "a sigmoid between them": hidden}
            for a, (title, network) in zip(axes, named.items(), strict=True):
                with fc.no_grad():
                    score = nn.functional.softmax(network(grid)).data[:, 1].reshape(x.shape)
                a.contourf(x, y, score, levels=20, cmap="RdBu", vmin=0, vmax=1)
                a.scatter(*X.T, c=Y, cmap="RdBu", edgecolors="black", s=90)
                a.set(title=title, aspect="equal")


if __name__ == "__main__":
    start(main)
