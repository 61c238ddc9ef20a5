"""Course C4: fully connected, locally connected and convolutional layers on a 200x200 image.

A hidden unit with a 10x10 field has 100 weights, not 40,000; a convolution's all share the same.
"""

from functools import partial
from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv import nn
from fastconv.examples.show import check, check_that, draw_image, fit, picture, start
from fastconv.models import summary

SIDE = 12


def weights(layer: partial) -> int:
    shape = (200 * 200,) if layer.func is nn.Linear else (1, 200, 200)
    return summary(lambda: layer(bias=False), shape).parameters


def main(pictures: Path | None = None) -> None:
    # The summary of a function that makes the layer counts weights and allocates none.
    for units, full, local in ((40_000, 1.6e9, 4e6), (400_000, 16e9, 40e6)):
        print(f"  200x200 pixels, {units:,} units:")
        check("  weights, fully connected", weights(partial(nn.Linear, 200 * 200, units)), full)
        fields = partial(nn.LocallyConnected2d, 1, units // 40_000, 200, 10, padding="same")
        check("  weights, fields of 10x10", weights(fields), local)
    check("a convolution's, for each map", weights(partial(nn.Conv2d, 1, 1, 10)), 100)

    local = nn.LocallyConnected2d(1, 1, SIDE, 3, padding=1)
    check("12x12, fields of 3x3: weights", local.weight.numel(), SIDE * SIDE * 9)
    conv = nn.Conv2d(1, 1, 3, padding=1)
    x = fc.randn(2, 1, SIDE, SIDE)
    local.weight.data[...] = conv.weight.data
    local.bias.data[...] = conv.bias.data[0]
    gap = np.abs(local(x).data - conv(x).data).max()
    check_that(f"with one filter everywhere they are the same ({gap:.0e} apart)", gap < 1e-5)

    # To be learned: keep the left half of a picture, invert the right half.
    images = np.random.default_rng(0).standard_normal((600, 1, SIDE, SIDE)).astype(np.float32)
    wanted = images * np.where(np.arange(SIDE) < SIDE // 2, 1, -1).astype(np.float32)
    losses = {}
    for name, layer in (("locally connected", local), ("convolution", conv)):
        losses[name] = fit(layer, images, wanted, epochs=15, rate=0.03, loss=nn.MSELoss())
    check_that("the locally connected layer learns it", losses["locally connected"][-1] < 0.05)
    check_that("one filter for all places cannot", losses["convolution"][-1] > 0.8)
    if pictures:
        with fc.no_grad():
            after = local(fc.tensor(images[:1])).data[0, 0]
        with picture(pictures, "local_fields", 1, 3, size=(8, 2.9)) as axes:
            draw_image(axes[0], images[0, 0], "picture")
            draw_image(axes[1], after, "after the locally connected layer")
            draw_image(axes[2], local.weight.data[..., 0, 0, 1, 1], "its filters' centres")


if __name__ == "__main__":
    start(main)
