"""Course B2: linear least squares, in closed form and by gradient descent.

(X^T X)^-1 X^T y and many small steps down ||X theta - y||^2 reach the same parameters. X has a
column of ones for the intercept, which is the layer's bias.
"""

from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv import nn, optim
from fastconv.examples.show import check, picture, start


def main(pictures: Path | None = None) -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, (60, 1))
    y = 1.5 * x - 0.7 + 0.4 * rng.standard_normal(x.shape)
    X = np.hstack([np.ones_like(x), x])
    intercept, slope = np.linalg.solve(X.T @ X, X.T @ y).ravel()

    fc.manual_seed(0)
    layer = nn.Linear(1, 1).double()
    descent = optim.SGD(layer.parameters(), lr=0.1)
    lines, losses = [], []
    for _ in range(200):
        lines.append((layer.bias.item(), layer.weight.item()))
        loss = nn.functional.mse_loss(layer(fc.tensor(x)), fc.tensor(y))
        losses.append(loss.item())
        descent.zero_grad()
        loss.backward()
        descent.step()
    print(f"  loss {losses[0]:.3f} at first, {losses[-1]:.6f} in the end")
    check("(X^T X)^-1 X^T y", [intercept, slope], [-0.7, 1.5], tolerance=0.15)
    check("gradient descent", lines[-1], [intercept, slope], tolerance=1e-9)
    residual = X.T @ (X @ [[intercept], [slope]] - y)
    check("the residual is orthogonal to X's columns", residual.ravel(), [0, 0], tolerance=1e-12)

    if pictures:
        with picture(pictures, "least_squares", 1, 2, size=(9, 3.6)) as axes:
            axes[0].plot(x, y, ".", color="grey")
            ends = np.array([-2.0, 2.0])
            for step in (0, 2, 5, 10, 199):
                b, w = lines[step]
                axes[0].plot(ends, w * ends + b, alpha=0.4 + step / 400, label=f"step {step}")
            axes[0].set(title="the line, step by step", xlabel="x", ylabel="y")
            axes[0].legend()
            best = np.mean((X @ [[intercept], [slope]] - y) ** 2)
            axes[1].semilogy(np.array(losses) - best)
            axes[1].set(title="loss above the closed form's", xlabel="step", ylim=(1e-16, None))


if __name__ == "__main__":
    start(main)
