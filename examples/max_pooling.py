"""Course D1: max pooling remembers where the maximum was.

Forward gives the maximum of each window and its index; backward sends the gradient to that index
and 0 elsewhere. There is nothing to learn: no parameters.
"""

from pathlib import Path

import numpy as np

from fastconv import nn, ops
from fastconv.examples.show import check, leaf, start

X = np.array([[1.0, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]])


def main(pictures: Path | None = None) -> None:
    y, indices = ops.max_pool2d(X[None, None], 2)
    check("maxima", y[0, 0], [[6, 8], [3, 4]])
    check("flat indices within the plane", indices[0, 0], [[5, 7], [8, 15]])
    check("X at these indices", X.ravel()[indices[0, 0]], y[0, 0])

    grad = np.array([[10.0, 20], [30, 40]])[None, None]
    dx = ops.max_pool2d_backward(grad, indices, (1, 1, 4, 4), 2)
    routed = [[0, 0, 0, 0], [0, 10, 0, 20], [30, 0, 0, 0], [0, 0, 0, 40]]
    check("gradient", dx[0, 0], routed)

    x = leaf(X[None, None])
    output, places = nn.functional.max_pool2d(x, 2, return_indices=True)
    output.backward(grad)
    check("gradient on the tape", x.grad.data[0, 0], routed)
    check("indices of the layer", places, indices)
    check("parameters", sum(p.numel() for p in nn.MaxPool2d(2).parameters()), 0)

    overlapping, indices = ops.max_pool2d(X[None, None], 3, stride=1)
    check("windows that overlap share a maximum", indices[0, 0], [[6, 7], [6, 7]])
    dx = ops.max_pool2d_backward(np.ones_like(overlapping), indices, (1, 1, 4, 4), 3, 1)
    check("whose gradients add up", dx[0, 0, 1], [0, 0, 2, 2])
    _, first = ops.max_pool2d(np.ones((1, 1, 2, 2)), 2)
    check("a tie: the first maximum wins", first.item(), 0)


if __name__ == "__main__":
    start(main)
