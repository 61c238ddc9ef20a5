"""Course A6: the recursive delta algorithm with weight decay that spares the intercept.

By hand D = (1/m) sum delta a^T + lambda Theta, the gradient of lambda/2 ||Theta||^2 (the slide
leaves out the half), beside SGD with weight_decay and decay_bias=False.
"""

from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv import nn, optim
from fastconv.examples.show import check, check_that, start

RATE, DECAY, STEPS = 0.5, 0.01, 200


def main(pictures: Path | None = None) -> None:
    fc.manual_seed(0)
    x = fc.randn(40, 2, dtype=np.float64)
    y = (x.data[:, :1] * x.data[:, 1:] > 0).astype(np.float64)  # XOR of the signs
    network = nn.Sequential(nn.Linear(2, 8), nn.Sigmoid(), nn.Linear(8, 1), nn.Sigmoid()).double()
    hand = [p.data.copy() for p in network.parameters()]
    plain = optim.SGD(network.parameters(), RATE, weight_decay=DECAY, decay_bias=False)
    losses = []
    for _ in range(STEPS):
        plain.zero_grad()
        loss = 0.5 * nn.functional.mse_loss(network(x), fc.tensor(y))
        loss.backward()
        losses.append(loss.item())
        plain.step()
        descend(hand, x.data, y)
    for (name, parameter), own in zip(network.named_parameters(), hand, strict=True):
        check_that(f"{name} is the same by hand", np.allclose(parameter.data, own, atol=1e-12))
    check_that(f"the error falls: {losses[0]:.4f} to {losses[-1]:.4f}", losses[-1] < losses[0])

    layer = nn.Linear(2, 1).double()
    for p in layer.parameters():
        p.data[...] = 1
        p.grad = fc.zeros(*p.shape, dtype=np.float64)
    optim.SGD(layer.parameters(), 1.0, weight_decay=0.25, decay_bias=False).step()
    check("a step without a gradient: weight", layer.weight, [[0.75, 0.75]])
    check("                           intercept", layer.bias, [1])


def descend(parameters: list[np.ndarray], x: np.ndarray, y: np.ndarray) -> None:
    """One step of the lecture's algorithm: deltas from the last layer down, then the update."""
    W1, b1, W2, b2 = parameters
    a1 = 1 / (1 + np.exp(-(x @ W1.T + b1)))
    a2 = 1 / (1 + np.exp(-(a1 @ W2.T + b2)))
    delta2 = (a2 - y) * a2 * (1 - a2)
    delta1 = (delta2 @ W2) * a1 * (1 - a1)
    for theta, gradient in ((W2, delta2.T @ a1), (W1, delta1.T @ x)):
        theta -= RATE * (gradient / len(x) + DECAY * theta)
    for intercept, delta in ((b2, delta2), (b1, delta1)):
        intercept -= RATE * delta.mean(axis=0)


if __name__ == "__main__":
    start(main)
