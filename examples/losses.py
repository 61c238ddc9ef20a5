"""Course B4: losses: 0-1, squared, hinge, binary cross-entropy, cross-entropy, by their formulas.

One slide has the 0-1 loss of a right answer as 1, one binary cross-entropy without its minus.
"""

from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv.examples.show import check, leaf, picture, start
from fastconv.nn import functional as F


def gradient(loss: fc.Tensor, at: fc.Tensor) -> np.ndarray:
    loss.backward()
    return at.grad.data


def main(pictures: Path | None = None) -> None:
    scores = fc.tensor(np.array([[2.0, 1, 0], [0, 3, 1], [1, 0, 2], [2, 1, 1]]))
    classes = np.array([0, 1, 1, 2])
    wrong = F.zero_one_loss(scores, fc.tensor(classes), reduction="none")
    check("0-1 loss of four answers", wrong, [0, 0, 1, 1])
    z, y = leaf([-1.5, -0.2, 0.3, 2.0]), np.array([0.0, 1, 1, 1])
    sign, target, p = fc.tensor(2 * y - 1), fc.tensor(y), 1 / (1 + np.exp(-z.data))
    check("squared", F.mse_loss(z, target), np.mean((z.data - y) ** 2), tolerance=1e-15)
    check("  gradient", gradient(F.mse_loss(z, target), z), 2 * (z.data - y) / 4, tolerance=1e-15)
    margin = (2 * y - 1) * z.data
    check("hinge", F.hinge_loss(z, sign), np.maximum(0, 1 - margin).mean(), tolerance=1e-15)
    z = leaf(z.data)
    slope = -(2 * y - 1) * (margin < 1) / 4
    check("  gradient", gradient(F.hinge_loss(z, sign), z), slope, tolerance=1e-15)
    formula = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
    check(
        "binary cross-entropy",
        F.binary_cross_entropy(z.sigmoid(), target),
        formula,
        tolerance=1e-14,
    )
    z = leaf(z.data)
    slope = gradient(F.binary_cross_entropy_with_logits(z, target), z)
    check("  gradient at z, (y_hat - y) / 4", slope, (p - y) / 4, tolerance=1e-14)
    odds = np.exp(scores.data) / np.exp(scores.data).sum(axis=1, keepdims=True)
    formula = -np.log(odds[np.arange(4), classes]).mean()
    check("cross-entropy", F.cross_entropy(scores, fc.tensor(classes)), formula, tolerance=1e-14)

    if pictures:
        m = np.linspace(-2, 3, 200)  # the margin y z of a sample of class 1
        with picture(pictures, "losses", size=(5, 3.6)) as (axes,):
            axes.plot(m, m < 0, label="0-1")
            axes.plot(m, (1 - m) ** 2, label="squared")
            axes.plot(m, np.maximum(0, 1 - m), label="hinge")
            axes.plot(m, np.log1p(np.exp(-m)) / np.log(2), label="cross-entropy / ln 2")
            axes.set(xlabel="margin y z", ylim=(-0.1, 4), title="losses of one sample")
            axes.legend()


if __name__ == "__main__":
    start(main)
