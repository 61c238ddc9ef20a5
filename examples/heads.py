"""Course B4: three heads: softmax regression, logistic regression on learned features, regression.

A linear layer with softmax and cross-entropy chooses among classes; one output with a sigmoid and
binary cross-entropy says yes or no; one without either gives a number.
"""

from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv import nn
from fastconv.data.drawings import draw
from fastconv.examples.datasets import digits
from fastconv.examples.show import check, check_that, fit, share_right, start


def main(pictures: Path | None = None) -> None:
    fc.manual_seed(0)
    (images, labels), (unseen, truth) = digits(2000, seed=0), digits(500, seed=1)
    softmax = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    fit(softmax, images, labels, epochs=8, rate=3e-3)
    right = share_right(softmax, unseen, truth)
    check_that(
        f"softmax regression on pixels: {right:.1%} of 500 digits, 10% by chance", right > 0.25
    )

    features = nn.Sequential(nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(), nn.MaxPool2d(7))
    logistic = nn.Sequential(features, nn.Flatten(), nn.Linear(8 * 4 * 4, 1))
    images, labels = draw(2000)
    yes = np.float32(labels)[:, None]  # is it an O?
    losses = fit(logistic, images, yes, epochs=5, rate=5e-3, loss=nn.BCEWithLogitsLoss())
    print("  binary cross-entropy by epoch: " + ", ".join(f"{loss:.3f}" for loss in losses))
    unseen, truth = draw(500, split=1)
    with fc.no_grad():
        answers = logistic(fc.tensor(unseen)).sigmoid().data[:, 0]
    right = ((answers > 0.5) == truth).mean()
    check_that(
        f"logistic regression on learned features: {right:.1%} of 500 drawings", right > 0.95
    )

    # How much ink is there? The head gives a number, and the loss is the squared error.
    ink = images.mean(axis=(1, 2, 3), keepdims=True).reshape(-1, 1) * 10
    head = nn.Sequential(nn.Flatten(), nn.Linear(784, 1))
    fit(head, images, ink, epochs=10, rate=1e-3, loss=nn.MSELoss())
    with fc.no_grad():
        guess = head(fc.tensor(unseen)).data[:, 0]
    error = np.sqrt(np.mean((guess - 10 * unseen.mean(axis=(1, 2, 3))) ** 2))
    spread = float(np.std(10 * unseen.mean(axis=(1, 2, 3))))
    print(f"  regression: error {error:.3f} where the numbers spread by {spread:.3f}")
    check_that("the linear head explains most of it", error < 0.3 * spread)
    check(
        "outputs of the three heads",
        [softmax[1].out_features, logistic[2].out_features, head[1].out_features],
        [10, 1, 1],
    )


if __name__ == "__main__":
    start(main)
