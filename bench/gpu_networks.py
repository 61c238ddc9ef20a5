"""Training steps on a GPU beside PyTorch: the loop that users write, in either library."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from gpu_calls import event_times

import fastconv as fc
from fastconv.bench import networks as known
from fastconv.testing import normal

BATCH = 256


def resnet20(nn: Any) -> Any:
    """He, Zhang, Ren, Sun (2016), section 4.2, n = 3, with projections; of our nn or PyTorch's."""

    class Block(nn.Module):
        def __init__(self, before: int, width: int) -> None:
            super().__init__()
            stride = 2 if before != width else 1
            self.body = nn.Sequential(
                nn.Conv2d(before, width, 3, stride=stride, padding=1, bias=False),
                *(nn.BatchNorm2d(width), nn.ReLU()),
                *(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)),
            )
            self.shortcut = nn.Sequential()
            if stride == 2:
                self.shortcut = nn.Conv2d(before, width, 1, stride=2, bias=False)
            self.relu = nn.ReLU()

        def forward(self, x: Any) -> Any:
            return self.relu(self.body(x) + self.shortcut(x))

    widths = [16, 16, 16, 16, 32, 32, 32, 64, 64, 64]
    pairs = pairwise(widths)
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        *(Block(before, width) for before, width in pairs),
        *(nn.MaxPool2d(8), nn.Flatten(), nn.Linear(64, 10)),
    )


NETWORKS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "lenet5-n256": (known.NETWORKS["train:lenet5-n64"].build, (BATCH, 1, 28, 28)),
    "cifar-n256": (known.NETWORKS["train:cifar-n64"].build, (BATCH, 3, 32, 32)),
    "resnet20-n256": (resnet20, (BATCH, 3, 32, 32)),
}


def our_step(build: Callable[[Any], Any], images: np.ndarray, labels: np.ndarray) -> Any:
    from fastconv import nn, optim

    model = build(nn).to("cuda").to(memory_format="channels_last")
    x, y = fc.tensor(images).to("cuda"), fc.tensor(labels).to("cuda")
    return step_of(model, optim.SGD(model.parameters(), 0.01, 0.9), nn.CrossEntropyLoss(), x, y)


def peer_step(build: Callable[[Any], Any], images: np.ndarray, labels: np.ndarray) -> Any:
    import torch
    from torch import nn

    model = build(nn).cuda().to(memory_format=torch.channels_last)
    x, y = torch.from_numpy(images).cuda(), torch.from_numpy(labels).cuda()
    x = x.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, 0.9)
    return step_of(model, optimizer, nn.CrossEntropyLoss(), x, y)


def step_of(model: Any, optimizer: Any, criterion: Any, x: Any, y: Any) -> Callable[[], object]:
    def step() -> None:
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def networks() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    done = []
    for name, (build, shape) in NETWORKS.items():
        images = normal(shape, 0)
        labels = np.random.default_rng(1).integers(0, 10, shape[0])
        sides = [[side(build, images, labels)] for side in (our_step, peer_step)]
        ours, peer = event_times(sides)
        done.append({"network": name, "seconds": ours, "peer_seconds": peer, "ratio": peer / ours})
        print(f"{name:<16} {1e3 * ours:8.3f} ms {peer / ours:6.2f}", flush=True)
    return {"dtype": "float32"}, done
