"""Course C1, C2: convolution in one and in two dimensions, worked by hand.

fastconv computes sum_j w_j x_{i+j}, cross-correlation, as every framework does. The form with a
flipped kernel, sum_u g_u a_{i-u}, is the same call with weight[..., ::-1, ::-1].
"""

from pathlib import Path

import numpy as np

from fastconv import ops
from fastconv.examples.show import check, draw_image, picture, start

X, THETA = np.array([1.0, 1, 1, 0, 0]), np.array([1.0, 0, 1])
IMAGE = np.array(
    [[1.0, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 0, 0]]
)
KERNEL = np.array([[1.0, 0, 1], [0, 1, 0], [1, 0, 1]])


def main(pictures: Path | None = None) -> None:
    line = ops.conv2d(X.reshape(1, 1, 1, 5), THETA.reshape(1, 1, 1, 3))  # one row is 1-D
    check("x * theta", line.ravel(), [2, 1, 1])
    for i in range(3):
        print(f"    position {i}: {X[i : i + 3]} . {THETA} = {X[i : i + 3] @ THETA:.0f}")

    plane = ops.conv2d(IMAGE[None, None], KERNEL[None, None])
    check("I * K", plane[0, 0], [[4, 3, 4], [2, 4, 3], [2, 3, 4]])
    by_hand = [[(IMAGE[i : i + 3, j : j + 3] * KERNEL).sum() for j in range(3)] for i in range(3)]
    check("the same by its sum", by_hand, plane[0, 0])

    g = np.array([[1.0, 2], [3, 4]])
    flipped = ops.conv2d(IMAGE[None, None], g[None, None, ::-1, ::-1])
    check("the flipped form for g = [[1 2] [3 4]]", flipped[0, 0], flipped_sum(IMAGE, g))

    if pictures:
        with picture(pictures, "convolution_by_hand", 1, 3, size=(8, 2.9)) as axes:
            named = zip(
                axes, (IMAGE, KERNEL, plane[0, 0]), ("image I", "kernel K", "I * K"), strict=True
            )
            for a, values, title in named:
                draw_image(a, values, title, low=-1, high=5)
                for (y, x), value in np.ndenumerate(values):
                    colour = "white" if value < 2 else "black"
                    a.text(x, y, f"{value:.0f}", ha="center", va="center", color=colour)


def flipped_sum(a: np.ndarray, g: np.ndarray) -> np.ndarray:
    """z_ij = sum_uv g_uv a_{i-u,j-v}, where all of a's indices exist."""
    (h, w), (r, s) = a.shape, g.shape
    z = np.zeros((h - r + 1, w - s + 1))
    for i, j in np.ndindex(z.shape):
        for u, v in np.ndindex(g.shape):
            z[i, j] += g[u, v] * a[i + r - 1 - u, j + s - 1 - v]
    return z


if __name__ == "__main__":
    start(main)
