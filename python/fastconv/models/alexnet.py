"""AlexNet (Krizhevsky, Sutskever and Hinton, 2012): torchvision's one tower, the paper's two."""

from __future__ import annotations

from collections import OrderedDict

from fastconv import nn


def alexnet(num_classes: int = 1000) -> nn.Sequential:
    """61,100,840 parameters with 1000 classes, under torchvision's names (Krizhevsky, 2014).

    input                   3 x 224 x 224    or any other of 63 x 63 and more
    features.0, .1         64 x  55 x  55    11x11, stride 4, padding 2; ReLU
    features.2             64 x  27 x  27    pooling 3x3, stride 2, as the others
    features.3, .4        192 x  27 x  27    5x5, padding 2; ReLU
    features.5            192 x  13 x  13
    features.6, .7        384 x  13 x  13    3x3, padding 1; ReLU
    features.8, .9        256 x  13 x  13    3x3, padding 1; ReLU
    features.10, .11      256 x  13 x  13    3x3, padding 1; ReLU
    features.12           256 x   6 x   6
    avgpool               256 x   6 x   6    from maps of any size
    flatten               9216
    classifier.1, .2     4096
    classifier.4, .5     4096
    classifier.6         num_classes         with dropout of one half before each but this
    """
    return nn.Sequential(
        OrderedDict(
            features=nn.Sequential(
                *(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
                *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
                *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
                *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
                *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)),
            ),
            avgpool=nn.AdaptiveAvgPool2d(6),
            flatten=nn.Flatten(),
            classifier=nn.Sequential(
                *(nn.Dropout(), nn.Linear(256 * 6 * 6, 4096), nn.ReLU()),
                *(nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU()),
                nn.Linear(4096, num_classes),
            ),
        )
    )


def alexnet_two_towers(num_classes: int = 1000) -> nn.Sequential:
    """The paper's network: 60,965,224 parameters and 659,272 units with 1000 classes.

    What each of the two GPUs saw is a group of a convolution: conv2, conv4 and conv5 do not see
    the other half of the channels, conv3 and the linear layers do. Its images are of 227x227 (the
    paper's 224 does not give its 55). Weights start from N(0, 0.01**2); biases of conv2, conv4,
    conv5, fc6 and fc7 at 1, so that their ReLUs learn at once, the others at 0.

        input           3 x 227 x 227
        conv1, relu1   96 x  55 x  55    11x11, stride 4
        norm1          96 x  55 x  55    across 5 channels: k=2, alpha=1e-4 for each, beta=0.75
        pool1          96 x  27 x  27    3x3, stride 2: windows overlap
        conv2, relu2  256 x  27 x  27    5x5, padding 2, two groups
        norm2         256 x  27 x  27
        pool2         256 x  13 x  13
        conv3, relu3  384 x  13 x  13    3x3, padding 1
        conv4, relu4  384 x  13 x  13    3x3, padding 1, two groups
        conv5, relu5  256 x  13 x  13    3x3, padding 1, two groups
        pool5         256 x   6 x   6
        fc6, relu6    4096               of 9216; dropout of one half
        fc7, relu7    4096               dropout of one half
        fc8           num_classes
    """
    model = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 96, 11, stride=4),
            relu1=nn.ReLU(),
            norm1=nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0),  # alpha is of the mean
            pool1=nn.MaxPool2d(3, stride=2),
            conv2=nn.Conv2d(96, 256, 5, padding=2, groups=2),
            relu2=nn.ReLU(),
            norm2=nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0),
            pool2=nn.MaxPool2d(3, stride=2),
            conv3=nn.Conv2d(256, 384, 3, padding=1),
            relu3=nn.ReLU(),
            conv4=nn.Conv2d(384, 384, 3, padding=1, groups=2),
            relu4=nn.ReLU(),
            conv5=nn.Conv2d(384, 256, 3, padding=1, groups=2),
            relu5=nn.ReLU(),
            pool5=nn.MaxPool2d(3, stride=2),
            flatten=nn.Flatten(),
            fc6=nn.Linear(256 * 6 * 6, 4096),
            relu6=nn.ReLU(),
            drop6=nn.Dropout(),
            fc7=nn.Linear(4096, 4096),
            relu7=nn.ReLU(),
            drop7=nn.Dropout(),
            fc8=nn.Linear(4096, num_classes),
        )
    )
    ones = {f"{name}.bias" for name in ("conv2", "conv4", "conv5", "fc6", "fc7")}
    for name, parameter in model.named_parameters():
        if name.endswith("weight"):
            nn.init.normal_(parameter, std=0.01)
        else:
            nn.init.constant_(parameter, 1.0 if name in ones else 0.0)
    return model
