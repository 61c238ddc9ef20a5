"""Course B8: activations and their derivatives, from sigmoid to maxout and softmax.

The slope of leaky ReLU
is .02 in one deck and .1 in two, and positive below 0; ReLU'(0) is 0 here, as in PyTorch.
"""

from pathlib import Path

import numpy as np

from fastconv.examples.show import check, leaf, picture, start
from fastconv.nn import functional as F

X = np.array([-3.0, -1, -0.25, 0, 0.25, 1, 3])
CURVES = {  # the kernel, its formula, its derivative
    "sigmoid": (F.sigmoid, lambda x: 1 / (1 + np.exp(-x)), lambda x: 1 / (2 + 2 * np.cosh(x))),
    "tanh": (F.tanh, np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "ReLU": (F.relu, lambda x: np.maximum(x, 0), lambda x: x > 0),
    "ELU": (F.elu, lambda x: np.where(x > 0, x, np.expm1(x)), lambda x: np.exp(np.minimum(x, 0))),
}
for a in (0.1, 0.02):
    CURVES[f"leaky ReLU, {a}"] = (
        lambda x, a=a: F.leaky_relu(x, a),
        lambda x, a=a: np.where(x > 0, x, a * x),
        lambda x, a=a: np.where(x > 0, 1, a),
    )


def slope(function, x: np.ndarray) -> np.ndarray:
    at = leaf(x)
    function(at).sum().backward()
    return at.grad.data


def main(pictures: Path | None = None) -> None:
    for name, (function, formula, derivative) in CURVES.items():
        check(name, function(leaf(X)), formula(X), tolerance=1e-15)
        check("  derivative", slope(function, X), derivative(X), tolerance=1e-15)
    z = leaf([[1, 5, 2, -3, -1, -2]])
    y = F.maxout(z, 3)
    y.sum().backward()
    check("maxout of threes", y, [[5, -1]])
    check("  derivative: to the largest", z.grad, [[0, 1, 0, 0, 1, 0]])
    p = F.softmax(leaf([0, 1, 2])).data
    check("softmax", p, np.exp([0, 1, 2]) / np.exp([0, 1, 2]).sum(), tolerance=1e-15)
    rows = [slope(lambda z, i=i: F.softmax(z)[i], np.array([0.0, 1, 2])) for i in range(3)]
    check("  derivative, diag(p) - p p^T", rows, np.diag(p) - np.outer(p, p), tolerance=1e-15)

    if pictures:
        x = np.linspace(-4, 4, 161)
        with picture(pictures, "activations", 2, 3, size=(9, 4.6)) as axes:
            for a, (name, (function, *_)) in zip(axes, CURVES.items(), strict=True):
                a.plot(x, function(leaf(x)).data, label="value")
                a.plot(x, slope(function, x), "--", label="derivative")
                a.set(title=name, ylim=(-1.3, 3))
            axes[0].legend()


if __name__ == "__main__":
    start(main)
