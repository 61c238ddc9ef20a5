"""Course C11: the backward pass of a convolution, as sums and as kernels.

Cross-correlation z_ij = sum_mn w_mn a_{i+m,j+n} has
    dL/dw_mn = sum_ij dL/dz_ij a_{i+m,j+n}    and    dL/da_pq = sum_mn w_mn dL/dz_{p-m,q-n}.
The lecture's sums are those of the flipped form, z_ij = sum_mn w_mn a_{i-m,j-n}: with the kernel
turned by 180 degrees they give the same dL/da, and dL/dw turned by 180 degrees.
"""

from pathlib import Path

import numpy as np

from fastconv import ops
from fastconv.examples.show import check, check_that, start

R = 3  # the kernel is R x R, the image H x H, z is H - R + 1 squared
H = 6


def main(pictures: Path | None = None) -> None:
    rng = np.random.default_rng(0)
    a, w = (rng.integers(-4, 5, (n, n)).astype(np.float64) for n in (H, R))
    delta = rng.integers(-4, 5, (H - R + 1, H - R + 1)).astype(np.float64)  # dL/dz
    d4, w4 = delta[None, None], w[None, None]
    dw, _ = ops.conv2d_backward_weight(d4, a[None, None], (1, 1, R, R), bias=False)
    da = ops.conv2d_backward_input(d4, w4, (1, 1, H, H))
    check("dL/dw", dw[0, 0], gradients(a, w, delta)[0])
    check("dL/da", da[0, 0], gradients(a, w, delta)[1])

    flipped = flipped_gradients(a, w[::-1, ::-1], delta)
    same = np.array_equal(flipped[0][::-1, ::-1], dw[0, 0])
    check_that("the flipped form's dL/dw, turned back, is the same", same)
    check_that("the flipped form's dL/da is the same", np.array_equal(flipped[1], da[0, 0]))
    full = ops.conv2d(d4, w4[..., ::-1, ::-1], padding=R - 1)
    check_that("dL/da is a convolution of the padded dL/dz", np.array_equal(full, da))
    check_that(
        "dL/dw is a convolution of a with dL/dz", np.array_equal(ops.conv2d(a[None, None], d4), dw)
    )


def gradients(a: np.ndarray, w: np.ndarray, delta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    dw, da = np.zeros_like(w), np.zeros_like(a)
    for (i, j), d in np.ndenumerate(delta):
        for m, n in np.ndindex(w.shape):
            dw[m, n] += d * a[i + m, j + n]
            da[i + m, j + n] += w[m, n] * d  # p = i + m, q = j + n
    return dw, da


def flipped_gradients(a: np.ndarray, w: np.ndarray, delta: np.ndarray) -> tuple:
    dw, da = np.zeros_like(w), np.zeros_like(a)
    for (i, j), d in np.ndenumerate(delta):
        for m, n in np.ndindex(w.shape):  # z starts where all a_{i-m,j-n} exist
            dw[m, n] += d * a[i + R - 1 - m, j + R - 1 - n]
            da[i + R - 1 - m, j + R - 1 - n] += w[m, n] * d
    return dw, da


if __name__ == "__main__":
    start(main)
