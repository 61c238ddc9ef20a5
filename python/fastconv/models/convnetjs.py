"""The network that ConvNetJS trains on CIFAR-10 in a browser (Karpathy, 2014)."""

from __future__ import annotations

from collections import OrderedDict

from fastconv import nn


def convnetjs(num_classes: int = 10) -> nn.Sequential:
    """22,466 parameters with ten classes; weights and biases of conv1, conv2, conv3, fc.

    input           3 x 32 x 32
    conv1, relu1   16 x 32 x 32    5x5, padding 2
    pool1          16 x 16 x 16    2x2
    conv2, relu2   20 x 16 x 16    5x5, padding 2
    pool2          20 x  8 x  8    2x2
    conv3, relu3   20 x  8 x  8    5x5, padding 2
    pool3          20 x  4 x  4    2x2
    fc             num_classes     of 320; its softmax is the loss's
    """
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 16, 5, padding=2),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(16, 20, 5, padding=2),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            conv3=nn.Conv2d(20, 20, 5, padding=2),
            relu3=nn.ReLU(),
            pool3=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc=nn.Linear(20 * 4 * 4, num_classes),
        )
    )
