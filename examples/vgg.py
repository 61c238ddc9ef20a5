"""Course E7: VGG 11, 13, 16 and 19: 3x3 convolutions all the way, with and without batch norm.

Two 3x3 layers see 5x5 pixels with 18 weights instead of 25, and a nonlinearity more. The parameters
are the paper's; a narrow VGG learns coloured shapes (or CIFAR-10 where --data-dir holds it).
"""

from pathlib import Path

import fastconv as fc
from fastconv import nn
from fastconv.examples.datasets import colour_data
from fastconv.examples.show import check, check_that, fit, he_weights, share_right, start
from fastconv.models import summary

# convolutions before each of the five poolings
DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
PARAMETERS = {11: 132_863_336, 13: 133_047_848, 16: 138_357_544, 19: 143_667_240}
WIDTHS = (64, 128, 256, 512, 512)


def features(depth: int, batch_norm: bool, narrower: int = 1, blocks: int = 5) -> nn.Sequential:
    layers, channels = [], 3
    for count, width in list(zip(DEPTHS[depth], WIDTHS, strict=True))[:blocks]:
        for _ in range(count):
            layers.append(nn.Conv2d(channels, width // narrower, 3, padding=1))
            if batch_norm:
                layers.append(nn.BatchNorm2d(width // narrower))
            layers.append(nn.ReLU())
            channels = width // narrower
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def main(pictures: Path | None = None, data: Path | None = None) -> None:
    classifier = (512 * 7 * 7 + 1) * 4096 + (4096 + 1) * 4096 + (4096 + 1) * 1000
    for depth, count in PARAMETERS.items():
        learned = sum(p.numel() for p in features(depth, batch_norm=False).parameters())
        check(f"VGG-{depth}: parameters", learned + classifier, count)
        normed = sum(p.numel() for p in features(depth, batch_norm=True).parameters())
        channels = sum(n * w for n, w in zip(DEPTHS[depth], WIDTHS, strict=True))
        check("  more with batch norm: two a channel", normed - learned, 2 * channels)
    maps = [r.output_shape[1] for r in summary(features(16, False, 16), (3, 224, 224)).rows]
    check("map sizes of 224x224", sorted(set(maps), reverse=True), [224, 112, 56, 28, 14, 7])

    (images, labels), (unseen, truth) = colour_data(data, 1000, 300)
    fc.manual_seed(0)
    body = features(11, batch_norm=True, narrower=8, blocks=4)
    network = nn.Sequential(body, nn.Flatten(), nn.Linear(64 * 2 * 2, 10))
    he_weights(network)
    losses = fit(network, images, labels, epochs=5, rate=5e-3, batch=32)
    right = share_right(network, unseen, truth)
    print("  a narrow VGG-11's loss by epoch: " + ", ".join(f"{loss:.2f}" for loss in losses))
    check_that(f"{right:.1%} of 300 unseen pictures are right, 10% by chance", right > 0.3)


if __name__ == "__main__":
    start(main)
