"""Trains LeNet-5 on MNIST here and in PyTorch, epochs in turn, and compares time and memory.

    python bench/lenet_vs_torch.py --data-dir FOLDER [--epochs 5] [--threads N] [--json FILE]

Each side is a process of its own that runs one epoch when it is told to, while the others wait
without a thread running. Both train with batches of 64, SGD with momentum 0.9, weight decay 5e-4,
a loss read after every batch and no evaluation within the time. fastconv runs its Trainer and
DataLoader as `fastconv train` does. PyTorch runs the plain loop over tensors that are in memory as
float32, indexed by a permutation: faster than its DataLoader. It runs once with its default layout
and once channels-last, and is judged by the better of the two.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastconv.bench.footprint import resident_at_most

BATCH, LR, MOMENTUM, WEIGHT_DECAY = 64, 0.05, 0.9, 5e-4

Epoch = Callable[[], float]  # trains for one epoch and returns the mean loss
Accuracy = Callable[[], float]


def fastconv_side(data_dir: str, threads: int) -> tuple[Epoch, Accuracy, int]:
    import fastconv
    from fastconv import data, models, optim
    from fastconv.train import Trainer

    fastconv.set_num_threads(threads)
    fastconv.manual_seed(0)
    train, test = data.mnist(data_dir)
    model = models.lenet5()
    optimizer = optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    trainer = Trainer(model, optimizer, memory_format="contiguous")  # as the command does
    loader = data.DataLoader(train, BATCH, shuffle=True, seed=0)

    def epoch() -> float:
        return trainer.fit(loader, epochs=trainer.epoch + 1)[-1]["train_loss"]

    return epoch, lambda: trainer.evaluate(data.DataLoader(test, 500))[1], train.arrays[0].nbytes


def torch_side(data_dir: str, threads: int, channels_last: bool) -> tuple[Epoch, Accuracy, int]:
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    (x, y), (x_test, y_test) = mnist_in_torch(data_dir)
    layers = [
        *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    ]
    model = nn.Sequential(*layers)
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY
    )
    criterion = nn.CrossEntropyLoss()

    def epoch() -> float:
        model.train()
        order, total = torch.randperm(len(x)), 0.0
        for start in range(0, len(x), BATCH):
            rows = order[start : start + BATCH]
            loss = criterion(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        return total / len(x)

    def accuracy() -> float:
        model.eval()
        with torch.inference_mode():
            return (model(x_test).argmax(1) == y_test).double().mean().item()

    return epoch, accuracy, x.numel() * x.element_size()


def mnist_in_torch(data_dir: str) -> list[tuple[Any, Any]]:
    """The two splits as float32 images of zero mean and unit deviation, and labels."""
    import gzip

    import numpy as np
    import torch

    def read(name: str, skip: int) -> Any:
        plain, packed = Path(data_dir, name), Path(data_dir, f"{name}.gz")
        content = plain.read_bytes() if plain.exists() else gzip.decompress(packed.read_bytes())
        return torch.from_numpy(np.frombuffer(content, np.uint8, offset=skip).copy())

    splits = []
    for split in ("train", "t10k"):
        images = read(f"{split}-images-idx3-ubyte", 16).view(-1, 1, 28, 28).float()
        labels = read(f"{split}-labels-idx1-ubyte", 8).long()
        splits.append((images.div_(255).sub_(0.1307).div_(0.3081), labels))
    return splits


SIDES: dict[str, Callable[[str, int], tuple[Epoch, Accuracy, int]]] = {
    "fastconv": fastconv_side,
    "torch": lambda folder, threads: torch_side(folder, threads, False),
    "torch channels-last": lambda folder, threads: torch_side(folder, threads, True),
}


def worker(side: str, data_dir: str, threads: int) -> None:
    """Answers each line on standard input with one line of JSON."""
    epoch, accuracy, data_bytes = SIDES[side](data_dir, threads)
    for line in sys.stdin:
        start = time.perf_counter()
        if line.strip() == "epoch":
            answer = {"loss": epoch(), "seconds": time.perf_counter() - start}
        else:
            answer = {"peak": resident_at_most(), "data": data_bytes, "accuracy": accuracy()}
        print(json.dumps(answer), flush=True)


class Side:
    """A worker process."""

    def __init__(self, name: str, data_dir: str, threads: int) -> None:
        self.name, self.seconds = name, list[float]()
        command = [sys.executable, __file__, "--data-dir", data_dir, "--threads", str(threads)]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([*command, "--worker", name], **pipes)

    def ask(self, question: str) -> dict[str, float]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the {self.name} process ended with {self.process.wait()}")
        return json.loads(answer)

    def epoch(self) -> float:
        """Runs one epoch; its mean loss."""
        answer = self.ask("epoch")
        self.seconds.append(answer["seconds"])
        return answer["loss"]

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def compare(args: argparse.Namespace) -> list[dict[str, Any]]:
    """One record a side: its epochs' seconds, peak memory, accuracy."""
    sides = [Side(name, args.data_dir, args.threads) for name in SIDES]
    for number in range(args.epochs):
        for side in sides:
            loss = side.epoch()
            print(f"epoch {number + 1}  {side.name:<20} {side.seconds[-1]:7.3f} s  loss {loss:.4f}")
            sys.stdout.flush()
    records = []
    for side in sides:
        median = statistics.median(side.seconds)
        records.append({"side": side.name, "median": median, "seconds": side.seconds})
        records[-1].update(side.ask("end"))
        side.close()
    return records


def report(records: list[dict[str, Any]]) -> None:
    print(f"\n{'':<20} median epoch   peak memory   images   accuracy")
    for r in records:
        peak, data = r["peak"] / 2**20, r["data"] / 2**20
        print(
            f"{r['side']:<20} {r['median']:10.3f} s {peak:10.0f} MB {data:5.0f} MB "
            f"{100 * r['accuracy']:8.2f} %"
        )
    ours, peers = records[0], records[1:]
    best = min(peers, key=lambda r: r["median"])
    least = min(peers, key=lambda r: r["peak"])
    print(
        f"{best['side']} over fastconv: {best['median'] / ours['median']:.2f} in time; "
        f"fastconv over {least['side']}: {ours['peak'] / least['peak']:.2f} in memory"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-dir", required=True, help="folder of the four MNIST files")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--worker", choices=SIDES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        worker(args.worker, args.data_dir, args.threads)
        return 0
    records = compare(args)
    report(records)
    if args.json:
        Path(args.json).write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
