"""Course E8: ResNet 18, 34 and 50: blocks that add to what they were given, y = ReLU(x + F(x))."""

from pathlib import Path

import fastconv as fc
from fastconv import nn
from fastconv.examples.datasets import colour_data
from fastconv.examples.show import check, check_that, fit, share_right, start

STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}  # blocks of each
PARAMETERS = {18: 11_689_512, 34: 21_797_672, 50: 25_557_032}


def conv(inputs: int, outputs: int, size: int, stride: int = 1) -> list[nn.Module]:
    layer = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
    return [layer, nn.BatchNorm2d(outputs), nn.ReLU()]


class Block(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int, bottleneck: bool):
        outputs = 4 * width if bottleneck else width
        parts = [(inputs, width, 3, stride), (width, width, 3)]
        if bottleneck:
            parts = [(inputs, width, 1), (width, width, 3, stride), (width, outputs, 1)]
        self.change = nn.Sequential(*[layer for p in parts for layer in conv(*p)][:-1])
        other = stride > 1 or inputs != outputs  # then x needs a 1x1 convolution
        self.shortcut = nn.Sequential(*(conv(inputs, outputs, 1, stride)[:-1] if other else []))

    def forward(self, x: fc.Tensor) -> fc.Tensor:
        return (self.shortcut(x) + self.change(x)).relu()


class Head(nn.Linear):
    def forward(self, maps: fc.Tensor) -> fc.Tensor:
        return super().forward(maps.mean(dim=(2, 3)))  # global average pooling first


def resnet(stem: list, counts: tuple, bottleneck: bool, width: int, classes: int) -> nn.Sequential:
    layers, channels = stem, width
    for stage, count in enumerate(counts):
        for number in range(count):
            stride = 1 + (stage > 0 and number == 0)
            layers.append(Block(channels, width << stage, stride, bottleneck))
            channels = (width << stage) * (4 if bottleneck else 1)
    return nn.Sequential(*layers, Head(channels, classes))


def main(pictures: Path | None = None, data: Path | None = None) -> None:
    for depth, counts in STAGES.items():
        network = resnet(conv(3, 64, 7, 2), counts, depth >= 50, 64, 1000)
        check(f"ResNet-{depth}", sum(p.numel() for p in network.parameters()), PARAMETERS[depth])
    known, unseen = colour_data(data, 1000, 300)
    fc.manual_seed(0)
    network = resnet([*conv(3, 12, 3), nn.MaxPool2d(2)], (1, 1, 1), False, 12, 10)
    fit(network, *known, epochs=4, rate=5e-3, batch=32)
    check_that("a narrow one learns, 10% is chance", share_right(network, *unseen) > 0.2)


if __name__ == "__main__":
    start(main)
