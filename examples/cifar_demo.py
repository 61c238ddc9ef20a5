"""Course E5: the small network of the CIFAR-10 browser demo.

conv 5x5x16, pool, conv 5x5x20, pool, conv 5x5x20, pool, softmax, on 32x32x3; padding 2, ReLU.
Shapes are made up, or CIFAR-10's pictures where --data-dir holds them; `fastconv train
convnetjs` trains to the end.
"""

from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv.examples.datasets import SHAPES, colour_data
from fastconv.examples.show import (
    check,
    check_that,
    draw_image,
    fit,
    he_weights,
    picture,
    share_right,
    start,
)
from fastconv.models import convnetjs, summary


def main(pictures: Path | None = None, data: Path | None = None) -> None:
    (images, labels), (unseen, truth) = colour_data(data, 1200, 500)
    fc.manual_seed(0)
    network = convnetjs()
    table = summary(network, (3, 32, 32))
    maps = [row.output_shape for row in table.rows if row.kind == "MaxPool2d"]
    check("maps after each pooling", maps, [(16, 16, 16), (20, 8, 8), (20, 4, 4)])
    check("parameters", table.parameters, 22_466)

    he_weights(network)
    losses = fit(network, images, labels, epochs=6, rate=3e-3, batch=32)
    right = share_right(network, unseen, truth)
    print("  loss by epoch: " + ", ".join(f"{loss:.2f}" for loss in losses))
    check_that(f"{right:.1%} of 500 unseen pictures are right, 10% by chance", right > 0.2)

    if pictures:
        with fc.no_grad():
            odds = fc.nn.functional.softmax(network(fc.tensor(unseen[:8]))).data
        with picture(pictures, "cifar_demo", 3, 8, size=(10, 4.2)) as axes:
            filters = network.conv1.weight.data
            for a, weights in zip(axes, filters, strict=False):
                draw_image(a, np.clip(0.5 + weights / (4 * filters.std()), 0, 1))
            for a, b, image, p in zip(axes[8:], axes[16:], unseen, odds, strict=False):
                draw_image(a, (image - image.min()) / np.ptp(image))
                best = p.argsort()[-3:]
                b.barh([str(i) if data else SHAPES[i] for i in best], p[best])
                b.set(xlim=(0, 1), xticks=[])
                b.tick_params(labelsize=7)
            axes[0].set_title("learned filters", fontsize=9)
            axes[8].set_title("unseen, and votes", fontsize=9)


if __name__ == "__main__":
    start(main)
