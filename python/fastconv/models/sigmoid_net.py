"""The convolutional network of the time before ReLU: sigmoids throughout."""

from __future__ import annotations

from collections import OrderedDict

from fastconv import nn


def sigmoid_net(num_classes: int = 10) -> nn.Sequential:
    """51,902 parameters with ten classes; weights and biases of conv1, conv2, fc1, fc2.

    Weights start as Glorot and Bengio (2010) advise, those before a sigmoid times 4, for its slope
    at 0 is 1/4; biases at 0.

        input              1 x 28 x 28
        conv1, sigmoid1    6 x 28 x 28    5x5, padding 2
        pool1              6 x 14 x 14    2x2
        conv2, sigmoid2   16 x 10 x 10    5x5
        pool2             16 x  5 x  5    2x2
        fc1, sigmoid3    120              of 400
        fc2              num_classes      its softmax is the loss's
    """
    model = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 6, 5, padding=2),
            sigmoid1=nn.Sigmoid(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(6, 16, 5),
            sigmoid2=nn.Sigmoid(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(16 * 5 * 5, 120),
            sigmoid3=nn.Sigmoid(),
            fc2=nn.Linear(120, num_classes),
        )
    )
    parameters = dict(model.named_parameters())
    for name, gain in (("conv1", 4.0), ("conv2", 4.0), ("fc1", 4.0), ("fc2", 1.0)):
        nn.init.xavier_uniform_(parameters[f"{name}.weight"], gain)
        nn.init.zeros_(parameters[f"{name}.bias"])
    return model
