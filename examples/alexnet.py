"""Course E6: AlexNet, its two GPUs as grouped convolution; its layers' sizes and its normalisation.

Convolutions 2, 4 and 5 see only the half of the maps on their own GPU: two groups.
"""

from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv import nn
from fastconv.examples.show import check, start
from fastconv.models import summary

# filters, size, stride, padding, groups; what follows: pooling (P), normalisation (N)
TWO_GPUS = [(96, 11, 4, 0, 1, "NP"), (256, 5, 1, 2, 2, "NP")]
TWO_GPUS += [(384, 3, 1, 1, 1, ""), (384, 3, 1, 1, 2, ""), (256, 3, 1, 1, 2, "P")]
ONE_TOWER = [(64, 11, 4, 2, 1, "P"), (192, 5, 1, 2, 1, "P")]
ONE_TOWER += [(384, 3, 1, 1, 1, ""), (256, 3, 1, 1, 1, ""), (256, 3, 1, 1, 1, "P")]


def features(plan: list) -> nn.Sequential:
    layers, channels = [], 3
    for filters, size, stride, padding, groups, after in plan:
        layers += [nn.Conv2d(channels, filters, size, stride, padding, groups=groups), nn.ReLU()]
        layers += [nn.LocalResponseNorm(5, 5e-4, 0.75, k=2)] if "N" in after else []
        layers += [nn.MaxPool2d(3, 2)] if "P" in after else []
        channels = filters
    return nn.Sequential(*layers)


def classifier() -> nn.Sequential:
    first, second = nn.Linear(256 * 6 * 6, 4096), nn.Linear(4096, 4096)
    hidden = nn.Dropout(0.5), first, nn.ReLU(), nn.Dropout(0.5), second, nn.ReLU()
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(4096, 1000))


def main(pictures: Path | None = None) -> None:
    top = summary(classifier(), (256, 6, 6))
    table = summary(features(TWO_GPUS), (3, 227, 227))
    for row in table.rows:
        print(f"  {row.kind:<18}{' x '.join(map(str, row.output_shape)):<14}{row.parameters:>10,}")
    learned = [row for row in (*table.rows, *top.rows) if row.parameters]
    check("two GPUs, 227x227: parameters", table.parameters + top.parameters, 60_965_224)
    check("units", sum(int(np.prod(row.output_shape)) for row in learned), 659_272)
    one = summary(features(ONE_TOWER), (3, 224, 224))
    check("one tower, 224x224: its last maps", one.rows[-1].output_shape, (256, 6, 6))
    check("parameters", one.parameters + top.parameters, 61_100_840)

    a = fc.randn(1, 8, 2, 2, dtype=np.float64)
    norm = nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2)(a).data
    padded = np.pad(a.data**2, ((0, 0), (2, 2), (0, 0), (0, 0)))
    sums = sum(padded[:, i : i + 8] for i in range(5))
    paper = a.data / (2 + 1e-4 * sums) ** 0.75  # the paper's sum; PyTorch's mean has alpha 5e-4
    gap = np.abs(norm - paper).max()
    check("normalisation: largest gap to the paper's", gap, 0, tolerance=1e-14)


if __name__ == "__main__":
    start(main)
