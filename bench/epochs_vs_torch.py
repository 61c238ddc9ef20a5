"""Trains a network here and in PyTorch, epochs in turn, and compares time, memory and accuracy.

    python bench/epochs_vs_torch.py lenet5|cifar --data-dir FOLDER [--epochs 5] [--json FILE]

lenet5: LeNet-5 on MNIST. cifar: ConvNetJS's network on CIFAR-10's binary files. Each side is a
process of its own that runs one epoch when it is told to, while the others wait without a thread
running. All begin with the same weights and get the same batches of 64 in the same order; SGD with
momentum 0.9, weight decay 5e-4, a loss read after every batch and no evaluation within the time.
fastconv runs its Trainer and DataLoader as `fastconv train` does, PyTorch the plain loop over
float32 tensors, indexed by a permutation, which is faster than its DataLoader: once with its
default layout and once channels-last, and is judged by the better of the two.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import fastconv as fc
from fastconv import data, nn, optim
from fastconv.bench import networks
from fastconv.bench.footprint import resident_at_most
from fastconv.train import Trainer

BATCH, MOMENTUM, WEIGHT_DECAY, SEED = 64, 0.9, 5e-4, 0


class Task(NamedTuple):
    network: str  # of fastconv.bench.networks
    data: str  # function of fastconv.data
    lr: float


TASKS = {
    "lenet5": Task("train:lenet5-n64", "mnist", 0.05),
    "cifar": Task("train:cifar-n64", "cifar10", 0.01),
}

# Trains for an epoch in the order of a file and gives the mean loss; the accuracy; bytes of images.
Parts = tuple[Callable[[str], float], Callable[[], float], int]


def prepare(task: Task, data_dir: str, folder: Path) -> Callable[[int], str]:
    """What all sides begin with, in files; and the file of an epoch's order."""
    fc.manual_seed(SEED)
    fc.save_weights(networks.network(task.network).build(nn), folder / "start.safetensors")
    for name, split in zip(("train", "test"), getattr(data, task.data)(data_dir), strict=True):
        np.save(folder / f"{name}-images.npy", split.arrays[0])
        np.save(folder / f"{name}-labels.npy", split.arrays[1])
    scale = split.transform
    np.save(folder / "scale.npy", np.stack(np.broadcast_arrays(scale.mean, scale.std)))
    rows = data.ArrayDataset(np.arange(len(np.load(folder / "train-labels.npy"))))
    loader = data.DataLoader(rows, BATCH, shuffle=True, seed=SEED)  # each pass is an epoch's order

    def order(epoch: int) -> str:
        np.save(folder / f"order-{epoch}.npy", np.concatenate([own.numpy() for (own,) in loader]))
        return str(folder / f"order-{epoch}.npy")

    return order


def fastconv_side(task: Task, data_dir: str, folder: Path) -> Parts:
    train, test = getattr(data, task.data)(data_dir)
    network = networks.network(task.network)
    model = network.build(nn)
    fc.load_weights(model, folder / "start.safetensors")
    optimizer = optim.SGD(model.parameters(), task.lr, MOMENTUM, weight_decay=WEIGHT_DECAY)
    trainer = Trainer(model, optimizer, memory_format=network.memory_format)
    loader = data.DataLoader(train, BATCH, shuffle=True, seed=SEED)

    def epoch(order: str) -> float:  # its loader has the seed that made the order
        return trainer.fit(loader, epochs=trainer.epoch + 1)[-1]["train_loss"]

    return epoch, lambda: trainer.evaluate(data.DataLoader(test, 500))[1], train.arrays[0].nbytes


def torch_split(folder: Path, name: str, layout: Any) -> tuple[Any, Any]:
    """A split's images, scaled to float32 a few at a time, and labels."""
    import torch

    mean, std = torch.from_numpy(np.load(folder / "scale.npy")).float().view(2, -1, 1, 1)
    pixels = torch.from_numpy(np.load(folder / f"{name}-images.npy"))
    images = torch.empty(pixels.shape).to(memory_format=layout)
    for to, some in zip(images.split(1000), pixels.split(1000), strict=True):
        to.copy_(some.float().div_(255).sub_(mean).div_(std))
    return images, torch.from_numpy(np.load(folder / f"{name}-labels.npy"))


def torch_model(task: Task, folder: Path, layout: Any) -> tuple[Any, Any]:
    """The network with its first weights, and its optimizer."""
    import torch
    from safetensors.torch import load_file

    model = networks.network(task.network).build(torch.nn)
    model.load_state_dict(load_file(folder / "start.safetensors"))
    model = model.to(memory_format=layout)
    return model, torch.optim.SGD(
        model.parameters(), task.lr, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY
    )


def torch_side(task: Task, folder: Path, channels_last: bool) -> Parts:
    import torch

    layout = torch.channels_last if channels_last else torch.contiguous_format
    (x, y), (x_test, y_test) = (torch_split(folder, name, layout) for name in ("train", "test"))
    model, optimizer = torch_model(task, folder, layout)
    criterion = torch.nn.CrossEntropyLoss()

    def epoch(order: str) -> float:
        model.train()
        rows, total = torch.from_numpy(np.load(order)), 0.0
        for own in rows.split(BATCH):
            loss = criterion(model(x[own]), y[own])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(own)
        return total / len(x)

    def accuracy() -> float:
        model.eval()
        with torch.inference_mode():
            guesses = torch.cat([model(rows).argmax(1) for rows in x_test.split(500)])
        return (guesses == y_test).double().mean().item()

    return epoch, accuracy, x.numel() * x.element_size()


SIDES = ("fastconv", "torch", "torch channels-last")


def worker(side: str, task: Task, data_dir: str, folder: Path, threads: int) -> None:
    """Answers each line on standard input with one line of JSON."""
    if side == "fastconv":
        fc.set_num_threads(threads)
        epoch, accuracy, data_bytes = fastconv_side(task, data_dir, folder)
    else:
        import torch

        torch.set_num_threads(threads)
        epoch, accuracy, data_bytes = torch_side(task, folder, side != "torch")
    print("ready", flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        if line.strip() == "end":
            answer = {"peak": resident_at_most(), "data": data_bytes, "accuracy": accuracy()}
        else:
            loss = epoch(line.strip())
            seconds = time.perf_counter() - start
            answer = {"loss": loss, "seconds": seconds, "accuracy": accuracy()}
        print(json.dumps(answer), flush=True)


class Side:
    """A worker process."""

    def __init__(self, name: str, arguments: list[str]) -> None:
        self.name, self.epochs = name, list[dict[str, float]]()
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        command = [sys.executable, __file__, *arguments, "--worker", name]
        self.process = subprocess.Popen(command, **pipes)
        assert self.process.stdout is not None
        self.process.stdout.readline()  # reading data takes seconds, of both cores

    def ask(self, question: str) -> dict[str, float]:
        assert self.process.stdin is not None and self.process.stdout is not None
        print(question, file=self.process.stdin, flush=True)
        if answer := self.process.stdout.readline():
            return json.loads(answer)
        raise RuntimeError(f"the {self.name} process ended with {self.process.wait()}")

    def close(self) -> None:
        self.process.communicate()


def compare(args: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """One record a side: its epochs' seconds, losses and accuracies, peak memory."""
    order = prepare(TASKS[args.task], args.data_dir, folder)
    common = ["--data-dir", args.data_dir, "--threads", str(args.threads)]
    sides = [Side(name, [args.task, *common, "--folder", str(folder)]) for name in SIDES]
    for number in range(args.epochs):
        file = order(number)
        for side in sides:
            side.epochs.append(side.ask(file))
            own = side.epochs[-1]
            print(
                f"epoch {number + 1:3}  {side.name:<20} {own['seconds']:7.3f} s"
                f"  loss {own['loss']:.4f}  accuracy {own['accuracy']:.2%}",
                flush=True,
            )
    records = []
    for side in sides:
        median = statistics.median(epoch["seconds"] for epoch in side.epochs)
        records.append({"side": side.name, "median": median, "epochs": side.epochs})
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
    ours, *peers = records
    best, least = (min(peers, key=lambda r: r[what]) for what in ("median", "peak"))
    print(
        f"{best['side']} over fastconv: {best['median'] / ours['median']:.2f} in time; "
        f"fastconv over {least['side']}: {ours['peak'] / least['peak']:.2f} in memory"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--data-dir", required=True, help="folder of the data set's files")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--worker", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        worker(args.worker, TASKS[args.task], args.data_dir, args.folder, args.threads)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        records = compare(args, Path(folder))
    report(records)
    if args.json:
        Path(args.json).write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
