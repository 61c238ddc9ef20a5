"""The X-and-O network, learned: features, twice pooled, and a vote for each class."""

from __future__ import annotations

from collections import OrderedDict

from fastconv import nn


def xo_net(num_classes: int = 2) -> nn.Sequential:
    """2,818 parameters with two classes; weights and biases of conv1, conv2, votes.

    input           1 x 28 x 28
    conv1, relu1    8 x 28 x 28    3x3, padding 1
    pool1           8 x 14 x 14    2x2
    conv2, relu2   16 x 14 x 14    3x3, padding 1
    pool2          16 x  7 x  7    2x2
    votes          num_classes     of 784
    """
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 8, 3, padding=1),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(8, 16, 3, padding=1),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            votes=nn.Linear(16 * 7 * 7, num_classes),
        )
    )
