"""Course C13: five inputs, five outputs, as matrices: fully connected, sparse, shared.

A convolution is a matrix product whose matrix has few entries (local fields) and repeats them along
its diagonals (shared weights): a Toeplitz matrix of n^2 places with 3 parameters.
"""

from pathlib import Path

import numpy as np

from fastconv import nn, ops
from fastconv.examples.show import check, draw_image, picture, start

N = 5


def main(pictures: Path | None = None) -> None:
    rng = np.random.default_rng(1)
    full = rng.integers(1, 10, (N, N)).astype(np.float64)
    near = np.abs(np.subtract.outer(np.arange(N), np.arange(N))) <= 1
    sparse = full * near
    w = np.array([2.0, 5, 3])
    shared = sum(w[tap] * np.eye(N, k=tap - 1) for tap in range(3))

    fully_connected = nn.Linear(N, N, bias=False)
    check("fully connected: n^2 parameters", fully_connected.weight.numel(), 25)
    check("sparse: 3n - 2", np.count_nonzero(sparse), 13)
    convolution = nn.Conv2d(1, 1, (1, 3), padding=(0, 1), bias=False)
    check("shared: 3", convolution.weight.numel(), 3)

    x = rng.integers(-9, 10, N).astype(np.float64)
    y = ops.conv2d(x.reshape(1, 1, 1, N), w.reshape(1, 1, 1, 3), padding=(0, 1)).ravel()
    check("Toeplitz matrix", shared, [[5, 3, 0, 0, 0], [2, 5, 3, 0, 0], [0, 2, 5, 3, 0], *ENDS])
    check("Toeplitz matrix times x", shared @ x, y)
    grad = rng.integers(-9, 10, N).astype(np.float64)
    back = ops.conv2d_backward_input(
        grad.reshape(1, 1, 1, N), w.reshape(1, 1, 1, 3), (1, 1, 1, N), padding=(0, 1)
    )
    check("backward is the transposed matrix", shared.T @ grad, back.ravel())

    if pictures:
        with picture(pictures, "toeplitz", 1, 3, size=(9, 3.3)) as axes:
            titles = ("fully connected: 25", "sparse, local: 13", "shared weights: 3")
            for a, matrix, title in zip(axes, (full, sparse, shared), titles, strict=True):
                draw_image(a, matrix == 0, title, low=-3, high=1)
                for (y_, x_), value in np.ndenumerate(matrix):
                    if value:
                        a.text(x_, y_, f"{value:.0f}", ha="center", va="center")


ENDS = [[0, 0, 2, 5, 3], [0, 0, 0, 2, 5]]

if __name__ == "__main__":
    start(main)
