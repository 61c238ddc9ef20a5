"""Course E11: the CONV-CONV-POOL network: ten 3x3 filters, 2x2 pooling, three times, a classifier.

Stride 1 and padding 1 keep a map's size; only pooling halves it. Shapes are made up, or CIFAR-10's
pictures where --data-dir holds them.
"""

from pathlib import Path

import fastconv as fc
from fastconv.examples.datasets import colour_data
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
from fastconv.models import conv_conv_pool, summary


def main(pictures: Path | None = None, data: Path | None = None) -> None:
    (images, labels), (unseen, truth) = colour_data(data, 1500, 500)
    fc.manual_seed(0)
    network = conv_conv_pool()
    table = summary(network, (3, 32, 32))
    sizes = [row.output_shape[1] for row in table.rows if row.kind in ("Conv2d", "MaxPool2d")]
    check("map sizes: conv, conv, pool three times", sizes, [32, 32, 16, 16, 16, 8, 8, 8, 4])
    first, second = (3 * 3 * 3 + 1) * 10, (3 * 3 * 10 + 1) * 10
    check("parameters", table.parameters, first + 5 * second + (160 + 1) * 10)

    he_weights(network)
    losses = fit(network, images, labels, epochs=6, rate=5e-3, batch=32)
    right = share_right(network, unseen, truth)
    print("  loss by epoch: " + ", ".join(f"{loss:.2f}" for loss in losses))
    check_that(f"{right:.1%} of 500 unseen pictures are right, 10% by chance", right > 0.25)

    if pictures:
        maps = [fc.tensor(unseen[:1])]
        with fc.no_grad():
            for layer in network:
                maps.append(layer(maps[-1]))
        stages = [maps[number + 1].data[0] for number in (4, 9, 14)]
        with picture(pictures, "conv_conv_pool", 3, 11, size=(10, 3)) as axes:
            for row, stage in enumerate(stages):
                axes[11 * row].axis("off")
                for a, values in zip(axes[11 * row + 1 :], stage, strict=False):
                    draw_image(a, values)
            shown = unseen[0]
            draw_image(axes[0], (shown - shown.min()) / (shown.max() - shown.min()), "picture")
            axes[1].set_title("maps after each pooling", fontsize=9, loc="left")


if __name__ == "__main__":
    start(main)
