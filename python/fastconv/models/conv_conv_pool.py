"""Two convolutions and a pooling, three times over, and a classifier."""

from __future__ import annotations

from collections import OrderedDict

from fastconv import nn


def conv_conv_pool(num_classes: int = 10) -> nn.Sequential:
    """6,440 parameters with ten classes; weights and biases of conv1 to conv6 and fc.

    Every convolution has ten filters of 3x3, stride 1, padding 1, and keeps the map's size.

        input                        3 x 32 x 32
        conv1, relu1, conv2, relu2  10 x 32 x 32
        pool1                       10 x 16 x 16    2x2
        conv3, relu3, conv4, relu4  10 x 16 x 16
        pool2                       10 x  8 x  8    2x2
        conv5, relu5, conv6, relu6  10 x  8 x  8
        pool3                       10 x  4 x  4    2x2
        fc                          num_classes     of 160
    """
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 10, 3, padding=1),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(10, 10, 3, padding=1),
            relu2=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv3=nn.Conv2d(10, 10, 3, padding=1),
            relu3=nn.ReLU(),
            conv4=nn.Conv2d(10, 10, 3, padding=1),
            relu4=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            conv5=nn.Conv2d(10, 10, 3, padding=1),
            relu5=nn.ReLU(),
            conv6=nn.Conv2d(10, 10, 3, padding=1),
            relu6=nn.ReLU(),
            pool3=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc=nn.Linear(10 * 4 * 4, num_classes),
        )
    )
