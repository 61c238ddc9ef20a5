"""Networks, one a file, and the names that the command line knows them by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastconv.models.alexnet import alexnet, alexnet_two_towers
from fastconv.models.conv_conv_pool import conv_conv_pool
from fastconv.models.convnetjs import convnetjs
from fastconv.models.lenet5 import lenet5
from fastconv.models.lenet_3x3 import lenet_3x3
from fastconv.models.resnet import resnet18, resnet34, resnet50
from fastconv.models.sigmoid_net import sigmoid_net
from fastconv.models.summary import Summary, summary
from fastconv.models.vgg import (
    vgg11,
    vgg11_bn,
    vgg13,
    vgg13_bn,
    vgg16,
    vgg16_bn,
    vgg19,
    vgg19_bn,
)
from fastconv.models.xo_net import xo_net
from fastconv.nn import Module
from fastconv.ops.types import MemoryFormat

__all__ = [
    "MODELS",
    "Entry",
    "Summary",
    "alexnet",
    "alexnet_two_towers",
    "conv_conv_pool",
    "convnetjs",
    "lenet5",
    "lenet_3x3",
    "resnet18",
    "resnet34",
    "resnet50",
    "sigmoid_net",
    "summary",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
    "xo_net",
]


@dataclass(frozen=True)
class Entry:
    """A named network: its builder, its input (C, H, W), the data it is for, and how to train it.

    data: None where no built-in data set goes with the network. smallest: the least height and
    width of images that it takes besides its own; None: those alone.
    The learning rate and weight decay are those of SGD with momentum 0.9 under a cosine schedule.
    memory_format: how activations lie; networks of a few channels fill vectors along the rows of
    NCHW better than across channels (measured: 4 to 30 % less time a step for lenet5 and xo_net).
    """

    build: Callable[..., Module]
    input_shape: tuple[int, int, int]
    data: str | None
    epochs: int
    lr: float
    weight_decay: float = 0.0
    memory_format: MemoryFormat = "channels_last"
    smallest: int | None = None

    def takes(self, shape: tuple[int, int, int]) -> bool:
        """Whether the network takes samples of this shape (C, H, W)."""
        if self.smallest is None or shape[0] != self.input_shape[0]:
            return shape == self.input_shape
        return min(shape[1:]) >= self.smallest


def _of_imagenet(
    build: Callable[..., Module], side: int, lr: float, smallest: int | None = None
) -> Entry:
    """A network made for ImageNet, which no built-in data set is."""
    return Entry(build, (3, side, side), None, 30, lr, weight_decay=5e-4, smallest=smallest)


MODELS: dict[str, Entry] = {
    "alexnet": _of_imagenet(alexnet, 224, lr=0.01, smallest=63),
    "alexnet_two_towers": _of_imagenet(alexnet_two_towers, 227, lr=0.01),
    "conv_conv_pool": Entry(
        conv_conv_pool, (3, 32, 32), "cifar10", 20, lr=0.02, memory_format="contiguous"
    ),
    "convnetjs": Entry(
        convnetjs,
        (3, 32, 32),
        "cifar10",
        20,
        lr=0.02,
        weight_decay=5e-4,
        memory_format="contiguous",
    ),
    "lenet5": Entry(
        lenet5, (1, 28, 28), "mnist", 10, lr=0.05, weight_decay=5e-4, memory_format="contiguous"
    ),
    "lenet_3x3": Entry(
        lenet_3x3, (1, 32, 32), None, 10, lr=0.05, weight_decay=5e-4, memory_format="contiguous"
    ),
    "resnet18": _of_imagenet(resnet18, 224, lr=0.05, smallest=1),
    "resnet34": _of_imagenet(resnet34, 224, lr=0.05, smallest=1),
    "resnet50": _of_imagenet(resnet50, 224, lr=0.05, smallest=1),
    "sigmoid_net": Entry(sigmoid_net, (1, 28, 28), "mnist", 10, lr=0.1, memory_format="contiguous"),
    "vgg11": _of_imagenet(vgg11, 224, lr=0.01, smallest=32),
    "vgg11_bn": _of_imagenet(vgg11_bn, 224, lr=0.05, smallest=32),
    "vgg13": _of_imagenet(vgg13, 224, lr=0.01, smallest=32),
    "vgg13_bn": _of_imagenet(vgg13_bn, 224, lr=0.05, smallest=32),
    "vgg16": _of_imagenet(vgg16, 224, lr=0.01, smallest=32),
    "vgg16_bn": _of_imagenet(vgg16_bn, 224, lr=0.05, smallest=32),
    "vgg19": _of_imagenet(vgg19, 224, lr=0.01, smallest=32),
    "vgg19_bn": _of_imagenet(vgg19_bn, 224, lr=0.05, smallest=32),
    "xo_net": Entry(xo_net, (1, 28, 28), "drawings", 4, lr=0.05, memory_format="contiguous"),
}
