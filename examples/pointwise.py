"""Course C5: a 1x1 convolution from 64 to 32 channels is a matrix product at every pixel.

It mixes channels and looks at no neighbour: 32 numbers of each pixel's 64, by one 32x64 matrix.
"""

from pathlib import Path

import numpy as np

from fastconv import nn, ops
from fastconv.examples.show import check, check_that, start
from fastconv.models import summary


def main(pictures: Path | None = None) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(-9, 10, (2, 64, 56, 56)).astype(np.float32)  # whole numbers: sums are exact
    weight = rng.integers(-9, 10, (32, 64, 1, 1)).astype(np.float32)
    bias = rng.integers(-9, 10, 32).astype(np.float32)
    y = ops.conv2d(x, weight, bias)
    print(f"  {x.shape} -> {y.shape}")

    matrix, pixel = weight[:, :, 0, 0], x[1, :, 20, 30]
    check("pixel (20, 30)", y[1, :4, 20, 30], (matrix @ pixel + bias)[:4])
    every_pixel = np.einsum("kc,nchw->nkhw", matrix, x) + bias[:, None, None]
    check_that("every pixel is matrix @ pixel + bias, exactly", np.array_equal(y, every_pixel))
    rows = x.transpose(0, 2, 3, 1).reshape(-1, 64)  # pixels as samples of a linear layer
    linear = ops.linear(rows, matrix, bias).reshape(2, 56, 56, 32).transpose(0, 3, 1, 2)
    check_that("a fully connected layer over all pixels gives the same", np.array_equal(y, linear))
    check("parameters", summary(nn.Conv2d(64, 32, 1), (64, 56, 56)).parameters, 64 * 32 + 32)


if __name__ == "__main__":
    start(main)
