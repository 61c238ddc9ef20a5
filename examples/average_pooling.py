"""Course D2: average and global pooling, and windows that hang over the edge.

An average is a convolution of a map with equal weights, and its gradient spreads evenly. With
ceil_mode a window may hang over the edge: 7x7 becomes 4x4 with window 2, stride 2, and the last
means are of the cells that are there.
"""

from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv.examples.show import check, leaf, start
from fastconv.nn import functional as F

X = np.array([[1.0, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]])
QUARTERS = fc.tensor(np.full((1, 1, 2, 2), 0.25))


def main(pictures: Path | None = None) -> None:
    x = leaf(X[None, None])
    y = F.avg_pool2d(x, 2)
    check("means of 2x2", y.data[0, 0], [[3.25, 5.25], [2, 2]])
    same = F.conv2d(x, QUARTERS, stride=2)
    check("a convolution with quarters", same.data[0, 0], [[3.25, 5.25], [2, 2]])
    y.backward(np.array([[[[4.0, 8], [12, 16]]]]))
    spread = [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    check("gradient: a quarter to each cell", x.grad.data[0, 0], spread)

    x = leaf(X[None, None])
    y = F.adaptive_avg_pool2d(x, 1)
    check("global pooling: a number for each map", y, [[[[X.mean()]]]])
    y.sum().backward()
    check("its gradient, everywhere", np.unique(x.grad.data), [1 / 16])

    seven = fc.tensor(np.arange(49.0).reshape(1, 1, 7, 7))
    print(f"  cells numbered row by row:\n{seven.data[0, 0].astype(int)}")
    check("7x7, window 2, stride 2: plainly", F.max_pool2d(seven, 2).shape[2:], (3, 3))
    maxima = F.max_pool2d(seven, 2, ceil_mode=True)
    check("with ceil_mode", maxima.shape[2:], (4, 4))
    check("maxima of its last column", maxima.data[0, 0, :, 3], [13, 27, 41, 48])
    means = F.avg_pool2d(seven, 2, ceil_mode=True)
    check("means of its last column", means.data[0, 0, :, 3], [9.5, 23.5, 37.5, 48])


if __name__ == "__main__":
    start(main)
