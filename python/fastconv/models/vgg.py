"""VGG (Simonyan and Zisserman, 2014): 3x3 convolutions throughout, with torchvision's names."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from fastconv import nn

WIDTHS = (64, 128, 256, 512, 512)


def vgg(depths: Sequence[int], num_classes: int, batch_norm: bool) -> nn.Sequential:
    """Five stages of ``depths`` convolutions each, and three linear layers.

    Every convolution is 3x3 of stride 1 and padding 1, with ReLU (and BatchNorm2d before it);
    a 2x2 pooling ends each stage. Parameters are named features.0.weight to classifier.6.bias.

        input          3 x 224 x 224    or any other of 32 x 32 and more
        stage 1       64 x 112 x 112    with its pooling
        stage 2      128 x  56 x  56
        stage 3      256 x  28 x  28
        stage 4      512 x  14 x  14
        features     512 x   7 x   7    stage 5
        avgpool      512 x   7 x   7    from maps of any size
        flatten      25088
        classifier   4096, 4096, num_classes, with dropout of one half between them

    Convolutions start as He et al. (2015) advise, linear layers from N(0, 0.01**2), biases at 0.
    """
    layers: list[nn.Module] = []
    channels = 3
    for width, depth in zip(WIDTHS, depths, strict=True):
        for _ in range(depth):
            layers.append(nn.Conv2d(channels, width, 3, padding=1))
            layers += [nn.BatchNorm2d(width), nn.ReLU()] if batch_norm else [nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    model = nn.Sequential(
        OrderedDict(
            features=nn.Sequential(*layers),
            avgpool=nn.AdaptiveAvgPool2d(7),
            flatten=nn.Flatten(),
            classifier=nn.Sequential(
                *(nn.Linear(512 * 7 * 7, 4096), nn.ReLU(), nn.Dropout()),
                *(nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout()),
                nn.Linear(4096, num_classes),
            ),
        )
    )
    return model.apply(_start)


def _start(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(layer, nn.Linear):
        nn.init.normal_(layer.weight, std=0.01)
    if isinstance(layer, (nn.Conv2d, nn.Linear)) and layer.bias is not None:
        nn.init.zeros_(layer.bias)


def vgg11(num_classes: int = 1000) -> nn.Sequential:
    """132,863,336 parameters with 1000 classes; the stages have 1, 1, 2, 2, 2 convolutions."""
    return vgg((1, 1, 2, 2, 2), num_classes, batch_norm=False)


def vgg11_bn(num_classes: int = 1000) -> nn.Sequential:
    """:func:`vgg11` with batch normalisation, 132,868,840 parameters."""
    return vgg((1, 1, 2, 2, 2), num_classes, batch_norm=True)


def vgg13(num_classes: int = 1000) -> nn.Sequential:
    """133,047,848 parameters with 1000 classes; two convolutions a stage."""
    return vgg((2, 2, 2, 2, 2), num_classes, batch_norm=False)


def vgg13_bn(num_classes: int = 1000) -> nn.Sequential:
    """:func:`vgg13` with batch normalisation, 133,053,736 parameters."""
    return vgg((2, 2, 2, 2, 2), num_classes, batch_norm=True)


def vgg16(num_classes: int = 1000) -> nn.Sequential:
    """138,357,544 parameters with 1000 classes; the stages have 2, 2, 3, 3, 3 convolutions."""
    return vgg((2, 2, 3, 3, 3), num_classes, batch_norm=False)


def vgg16_bn(num_classes: int = 1000) -> nn.Sequential:
    """:func:`vgg16` with batch normalisation, 138,365,992 parameters."""
    return vgg((2, 2, 3, 3, 3), num_classes, batch_norm=True)


def vgg19(num_classes: int = 1000) -> nn.Sequential:
    """143,667,240 parameters with 1000 classes; the stages have 2, 2, 4, 4, 4 convolutions."""
    return vgg((2, 2, 4, 4, 4), num_classes, batch_norm=False)


def vgg19_bn(num_classes: int = 1000) -> nn.Sequential:
    """:func:`vgg19` with batch normalisation, 143,678,248 parameters."""
    return vgg((2, 2, 4, 4, 4), num_classes, batch_norm=True)
