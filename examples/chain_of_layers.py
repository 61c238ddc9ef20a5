"""Course B3: gradients along a chain of four layers are products of what lies between.

a1 = w1 x + b1, a2 = w2 f(a1), a3 = w3 f(a2), y = f(a3) with a sigmoid f, whose derivative is
f (1 - f): at most 1/4, so that each layer more makes the gradient of the first one smaller.
"""

from pathlib import Path

from fastconv import Tensor
from fastconv.examples.show import check, check_that, leaf, start

X, TARGET = 0.6, 1.0


def chain(w1: Tensor, w2: Tensor, w3: Tensor, b1: Tensor) -> list[Tensor]:
    """f(a1), f(a2), y = f(a3), and the loss."""
    f1 = (w1 * X + b1).sigmoid()
    f2 = (w2 * f1).sigmoid()
    y = (w3 * f2).sigmoid()
    return [f1, f2, y, 0.5 * (y - TARGET) ** 2]


def main(pictures: Path | None = None) -> None:
    start_values = [0.8, -1.1, 1.7, 0.3]
    weights = [leaf(value) for value in start_values]
    w1, w2, w3, b1 = weights
    f1, f2, y, loss = chain(*weights)
    loss.backward()

    slopes = [float(f.data * (1 - f.data)) for f in (f1, f2, y)]
    to_a3 = (y.item() - TARGET) * slopes[2]
    to_a2 = to_a3 * w3.item() * slopes[1]
    to_a1 = to_a2 * w2.item() * slopes[0]
    by_hand = {"w3": to_a3 * f2.item(), "w2": to_a2 * f1.item(), "w1": to_a1 * X, "b1": to_a1}
    for (name, product), weight in zip(by_hand.items(), (w3, w2, w1, b1), strict=True):
        check(f"dL/d{name} on the tape, as by the product", weight.grad, product, tolerance=1e-16)
    check_that("no factor f' is above 1/4", max(slopes) <= 0.25)

    h = 1e-6
    ends = [chain(leaf(0.8 + s), w2, w3, b1)[3].item() for s in (h, -h)]
    check("dL/dw1 by finite differences", (ends[0] - ends[1]) / (2 * h), w1.grad, tolerance=1e-9)

    values = start_values
    for _ in range(200):
        weights = [leaf(value) for value in values]
        last = chain(*weights)[3]
        last.backward()
        values = [value - w.grad.item() for value, w in zip(values, weights, strict=True)]
    story = (
        f"200 steps down the gradient: the loss goes from {loss.item():.3f} to {last.item():.4f}"
    )
    check_that(story, last.item() < loss.item() / 10)


if __name__ == "__main__":
    start(main)
