"""LeNet-5 (LeCun et al., 1998) as it is trained today: ReLU and max pooling, 28x28 input."""

from __future__ import annotations

from collections import OrderedDict

from fastconv import nn


def lenet5(num_classes: int = 10, padding: int = 2) -> nn.Sequential:
    """61,706 parameters with ten classes; weights and biases of conv1, conv2, fc1, fc2, fc3.

    The first convolution pads by 2, so 28x28 images meet the sizes that the paper's 32x32 did;
    ``padding=0`` is for these.

        input           1 x 28 x 28
        conv1, relu1    6 x 28 x 28    5x5, padding 2
        pool1           6 x 14 x 14    2x2
        conv2, relu2   16 x 10 x 10    5x5
        pool2          16 x  5 x  5    2x2
        fc1, relu3     120             of 400
        fc2, relu4      84
        fc3            num_classes
    """
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 6, 5, padding=padding),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(6, 16, 5),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(16 * 5 * 5, 120),
            relu3=nn.ReLU(),
            fc2=nn.Linear(120, 84),
            relu4=nn.ReLU(),
            fc3=nn.Linear(84, num_classes),
        )
    )
