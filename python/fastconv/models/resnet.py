"""ResNet (He et al., 2015): blocks around shortcuts, with torchvision's names."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from fastconv import nn
from fastconv.autograd.tensor import Tensor


class BasicBlock(nn.Module):
    """``relu(conv2(conv1(x)) + x)``: two 3x3 convolutions, each with batch normalisation.

    The first has ``stride``. Where the sizes change, the shortcut is ``downsample``, a 1x1
    convolution with batch normalisation.
    """

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int = 1) -> None:
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _downsample(in_channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = nn.chain(x, self.conv1, self.bn1, self.relu, self.conv2, self.bn2)
        return self.relu(y + shortcut)


class Bottleneck(nn.Module):
    """``relu(conv3(conv2(conv1(x))) + x)``: 1x1 to ``width`` channels, 3x3, 1x1 to four times as
    many. The 3x3 has the stride, as in torchvision (the paper's first 1x1 had it)."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int = 1) -> None:
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU()
        self.downsample = _downsample(in_channels, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = nn.chain(x, self.conv1, self.bn1, self.relu, self.conv2, self.bn2, self.relu)
        return self.relu(nn.chain(y, self.conv3, self.bn3) + shortcut)


def _downsample(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
    )


def resnet(
    block: type[BasicBlock] | type[Bottleneck], depths: Sequence[int], num_classes: int
) -> nn.Sequential:
    """Four stages of ``depths`` blocks, of which all but the first halve the map.

        input              3 x 224 x 224    or any other
        conv1, bn1, relu  64 x 112 x 112    7x7, stride 2, padding 3
        maxpool           64 x  56 x  56    3x3, stride 2, padding 1
        layer1            64 x  56 x  56    with Bottleneck four times as many channels,
        layer2           128 x  28 x  28    here and below
        layer3           256 x  14 x  14
        layer4           512 x   7 x   7
        avgpool          512 x   1 x   1    from maps of any size
        fc               num_classes

    Convolutions start as He et al. (2015) advise, from the variance that gradients keep.
    """
    stages = OrderedDict[str, nn.Module]()
    channels = 64
    for number, depth in enumerate(depths):
        width, blocks = 64 << number, []
        for i in range(depth):
            blocks.append(block(channels, width, stride=2 if i == 0 and number > 0 else 1))
            channels = width * block.expansion
        stages[f"layer{number + 1}"] = nn.Sequential(*blocks)
    model = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
            bn1=nn.BatchNorm2d(64),
            relu=nn.ReLU(),
            maxpool=nn.MaxPool2d(3, stride=2, padding=1),
            **stages,
            avgpool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            fc=nn.Linear(channels, num_classes),
        )
    )
    return model.apply(_start)


def _start(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")


def resnet18(num_classes: int = 1000) -> nn.Sequential:
    """11,689,512 parameters with 1000 classes; two basic blocks a stage."""
    return resnet(BasicBlock, (2, 2, 2, 2), num_classes)


def resnet34(num_classes: int = 1000) -> nn.Sequential:
    """21,797,672 parameters with 1000 classes; stages of 3, 4, 6, 3 basic blocks."""
    return resnet(BasicBlock, (3, 4, 6, 3), num_classes)


def resnet50(num_classes: int = 1000) -> nn.Sequential:
    """25,557,032 parameters with 1000 classes; stages of 3, 4, 6, 3 bottlenecks."""
    return resnet(Bottleneck, (3, 4, 6, 3), num_classes)
