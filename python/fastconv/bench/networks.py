"""Whole networks as rows: training steps and the answer to one image.

A builder takes `nn`, ours or PyTorch's: the layers have the same names and arguments in both, so
one text describes both twins.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

LR, MOMENTUM, WEIGHT_DECAY = 0.01, 0.9, 5e-4  # the decay keeps idle momentum from denormals
BUSY_STEPS = 50  # timed as one: a median of single steps would pass over those that had to wait


def _lenet5(nn: Any) -> Any:
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )


def _cifar(nn: Any) -> Any:
    """The CIFAR-10 demonstration of ConvNetJS."""
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 20, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(20, 20, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(320, 10)),
    )


def _vgg(nn: Any) -> Any:
    """Pairs of 3x3 convolutions of 64, 128 and 256 channels on 32x32 images."""
    layers, before = [], 3
    for width in (64, 128, 256):
        for channels in (before, width):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
        before = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4096, 10))


def _bn_cnn(nn: Any) -> Any:
    """Pairs of 3x3 convolutions of 32 and 64 channels with batch normalisation, on 32x32 images."""
    layers, before = [], 3
    for width in (32, 64):
        for channels in (before, width):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
        before = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4096, 10))


def _resnet18(nn: Any) -> Any:
    """The convolutions of ResNet-18 in one chain: no shortcuts, no normalisation."""
    layers = [nn.Conv2d(3, 64, 7, stride=2, padding=3), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    before = 64
    for width in (64, 128, 256, 512):
        for channels in (before, width, width, width):
            stride = 2 if channels != width else 1
            layers += [nn.Conv2d(channels, width, 3, stride=stride, padding=1), nn.ReLU()]
        before = width
    return nn.Sequential(*layers, nn.MaxPool2d(7), nn.Flatten(), nn.Linear(512, 1000))


class Network(NamedTuple):
    """A network and the images that it gets, which lie as its layers' results do."""

    build: Callable[[Any], Any]
    shape: tuple[int, ...]  # (N, C, H, W)
    classes: int
    memory_format: Any = "contiguous"  # of our side


NETWORKS = {
    "train:lenet5-n64": Network(_lenet5, (64, 1, 28, 28), 10),
    "train:cifar-n64": Network(_cifar, (64, 3, 32, 32), 10),
    "train:vgg-n32": Network(_vgg, (32, 3, 32, 32), 10, "channels_last"),
    "train:bn-cnn-n64": Network(_bn_cnn, (64, 3, 32, 32), 10, "channels_last"),
    "infer:lenet5-n1": Network(_lenet5, (1, 1, 28, 28), 10),
    "infer:resnet18-n1": Network(_resnet18, (1, 3, 224, 224), 1000),
    "busy:lenet5-n64": Network(_lenet5, (64, 1, 28, 28), 10),
}
NETWORK_SETS = {
    kind: tuple(name for name in NETWORKS if name.startswith(f"{kind}:"))
    for kind in ("train", "infer", "busy")
}


def is_network(descriptor: str) -> bool:
    """Whether this is the name of a network and not a problem's descriptor."""
    return descriptor.split(":")[0] in NETWORK_SETS


def network(descriptor: str) -> Network:
    """Raises ValueError with the names that exist."""
    if descriptor not in NETWORKS:
        raise ValueError(f"no network is named {descriptor!r}; there are {', '.join(NETWORKS)}")
    return NETWORKS[descriptor]


def kind_of(descriptor: str) -> str:
    """train, infer or busy: a training step beside another process that keeps a core busy."""
    return descriptor.split(":")[0]


def layout(descriptor: str) -> str:
    """How our side's images lie, as rows say it."""
    return {"contiguous": "nchw"}.get(network(descriptor).memory_format, "channels-last")


def steps_of(descriptor: str) -> int:
    """How many steps one call of the row makes."""
    return BUSY_STEPS if kind_of(descriptor) == "busy" else 1


def operations(descriptor: str) -> int:
    """Those of a step's convolutions and linear layers, by their definition.

    A training step computes each three times, but no gradient at the images.
    """
    from fastconv import nn
    from fastconv.models import summary

    chosen = network(descriptor)
    forward = [
        2 * math.prod(row.output_shape[1:]) * (row.parameters - row.output_shape[0])
        for row in summary(chosen.build(nn), chosen.shape[1:]).rows
        if row.parameters and row.kind != "BatchNorm2d"  # a weight and a bias for each result
    ]
    passes = sum(forward) if kind_of(descriptor) == "infer" else 3 * sum(forward) - forward[0]
    return chosen.shape[0] * passes


def data(network: Network) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels, the same on every call."""
    generator = np.random.default_rng(0)
    images = generator.standard_normal(network.shape, np.float32)
    return images, generator.integers(0, network.classes, network.shape[0])


def our_step(descriptor: str) -> Callable[[], object]:
    """One step, or the answer to the images, to be called without a tape."""
    import fastconv as fc
    from fastconv import nn, optim
    from fastconv.testing import lay_out

    chosen = network(descriptor)
    images, labels = data(chosen)
    x, y = fc.tensor(lay_out(images, chosen.memory_format)), fc.tensor(labels)
    model = chosen.build(nn).to(memory_format=chosen.memory_format)
    if kind_of(descriptor) == "infer":
        model.eval()
        return lambda: model(x)
    optimizer = optim.SGD(model.parameters(), LR, MOMENTUM, weight_decay=WEIGHT_DECAY)
    return _training(model, optimizer, nn.CrossEntropyLoss(), x, y, steps_of(descriptor))


def torch_step(descriptor: str, channels_last: bool) -> Callable[[], object]:
    """The same in PyTorch."""
    import torch
    from torch import nn

    chosen = network(descriptor)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    images, labels = (torch.from_numpy(array) for array in data(chosen))
    x, model = images.to(memory_format=layout), chosen.build(nn).to(memory_format=layout)
    if kind_of(descriptor) == "infer":
        model.eval()
        return lambda: model(x)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY
    )
    return _training(model, optimizer, nn.CrossEntropyLoss(), x, labels, steps_of(descriptor))


def _training(
    model: Any, optimizer: Any, criterion: Any, x: Any, y: Any, steps: int
) -> Callable[[], object]:
    """The loop that users write, in either library; the loss is read after every step."""

    def run() -> None:
        for _ in range(steps):
            loss = criterion(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()

    return run
