"""Course A4: a four-layer softmax network, forward and backward by hand beside the tape.

The lecture's deltas: y_hat - y at the last layer (softmax with cross-entropy), W^T delta * ReLU'
on the way down; dL/dW = delta a^T and dL/db = delta.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv import nn
from fastconv.examples.show import check, check_that, leaf, start

SIZES = [7, 6, 5, 4, 5]


def main(pictures: Path | None = None) -> None:
    y_hat, y = np.array([0.5, 0, 0.1, 0.2, 0.1]), np.array([1, 0, 0, 0, 0])
    # The lecture's y_hat sums to 0.9: it shows the formula, no softmax gives it.
    check("y_hat - y", y_hat - y, [-0.5, 0, 0.1, 0.2, 0.1])
    y_hat = np.array([[0.5, 0.1, 0.1, 0.2, 0.1]])
    z = leaf(np.log(y_hat))
    nn.functional.cross_entropy(z, fc.tensor([0])).backward()
    check("dL/dz from the kernel", z.grad, y_hat - y, tolerance=1e-15)

    fc.manual_seed(0)
    layers = [nn.Linear(m, n).double() for m, n in pairwise(SIZES)]
    x, target = fc.randn(3, 7, dtype=np.float64), np.array([4, 0, 2])
    relu = nn.ReLU()
    network = nn.Sequential(layers[0], relu, layers[1], relu, layers[2], relu, layers[3])
    loss = nn.CrossEntropyLoss()(network(x), fc.tensor(target))
    loss.backward()

    a, inputs = x.numpy(), []
    for layer in layers:
        inputs.append(a)
        z = a @ layer.weight.data.T + layer.bias.data
        a = np.maximum(z, 0)
    y_hat = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    by_hand = -np.log(y_hat[np.arange(3), target]).mean()
    check("loss, by hand and on the tape", by_hand, loss, tolerance=1e-14)

    delta = (y_hat - np.eye(5)[target]) / 3
    for number in (3, 2, 1, 0):
        layer = layers[number]
        gaps = (
            layer.weight.grad.data - delta.T @ inputs[number],
            layer.bias.grad.data - delta.sum(0),
        )
        largest = max(np.abs(gap).max() for gap in gaps)
        check_that(
            f"layer {number + 1}: both gradients agree ({largest:.0e} apart)", largest < 1e-15
        )
        delta = (delta @ layer.weight.data) * (inputs[number] > 0)


if __name__ == "__main__":
    start(main)
