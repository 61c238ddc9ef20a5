"""Networks, one a file, and the names that the command line knows them by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastconv.models.conv_conv_pool import conv_conv_pool
from fastconv.models.convnetjs import convnetjs
from fastconv.models.lenet5 import lenet5
from fastconv.models.lenet_3x3 import lenet_3x3
from fastconv.models.sigmoid_net import sigmoid_net
from fastconv.models.summary import Summary, summary
from fastconv.models.xo_net import xo_net
from fastconv.nn import Module
from fastconv.ops.types import MemoryFormat

__all__ = [
    "MODELS",
    "Entry",
    "Summary",
    "conv_conv_pool",
    "convnetjs",
    "lenet5",
    "lenet_3x3",
    "sigmoid_net",
    "summary",
    "xo_net",
]


@dataclass(frozen=True)
class Entry:
    """A named network: its builder, its input (C, H, W), the data it is for, and how to train it.

    data: None where no built-in data set goes with the network.
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


MODELS: dict[str, Entry] = {
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
    "sigmoid_net": Entry(sigmoid_net, (1, 28, 28), "mnist", 10, lr=0.1, memory_format="contiguous"),
    "xo_net": Entry(xo_net, (1, 28, 28), "drawings", 4, lr=0.05, memory_format="contiguous"),
}
