"""LeNet-5 with 3x3 kernels on 32x32 images, as introductions to PyTorch have it."""

from __future__ import annotations

from collections import OrderedDict

from fastconv import nn


def lenet_3x3(num_classes: int = 10) -> nn.Sequential:
    """81,194 parameters with ten classes; weights and biases of conv1, conv2, fc1, fc2, fc3.

    input           1 x 32 x 32
    conv1, relu1    6 x 30 x 30    3x3
    pool1           6 x 15 x 15    2x2
    conv2, relu2   16 x 13 x 13    3x3
    pool2          16 x  6 x  6    2x2; the last row and column are left out
    fc1, relu3    120              of 576
    fc2, relu4     84
    fc3            num_classes
    """
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 6, 3),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(6, 16, 3),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(16 * 6 * 6, 120),
            relu3=nn.ReLU(),
            fc2=nn.Linear(120, 84),
            relu4=nn.ReLU(),
            fc3=nn.Linear(84, num_classes),
        )
    )
