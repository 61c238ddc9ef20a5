"""The subcommands: one function each, a few calls into the library, returning the exit code.

What only one of them needs is imported in it, so that the others start sooner.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fastconv.devices import require_cuda


def train(args: argparse.Namespace) -> int:
    """Train a network; without arguments, on generated drawings of X and O."""
    from fastconv.data.sources import SOURCES
    from fastconv.train.run import CHECKPOINT, Run
    from fastconv.train.run import train as fit

    names = ("model", "data", "epochs", "batch_size", "lr", "momentum", "weight_decay", "seed")
    asked = {name: getattr(args, name) for name in (*names, "device", "augment")}
    run = Run(args.output or _free_folder(args.model or "xo_net"))
    saved = run[CHECKPOINT].exists()
    if args.resume and not saved and args.model is None and not run.folder.exists():
        raise FileNotFoundError(
            f"{run.folder}: nothing to resume; name a model to start a run there"
        )
    # The data first: where they are missing, no folder is left behind.
    config = run.settle(asked, args.resume)
    _check_device(config.device)
    data = SOURCES[config.data].load(args.data_dir or run.data_dir())
    run.begin(config, args.data_dir)
    if args.resume:
        print(f"{'resuming' if saved else 'nothing to resume, starting'} in {run.folder}")
    print(
        f"training {config.model} on {len(data[0])} samples of {config.data}, "
        f"{config.epochs} epochs of batches of {config.batch_size}, seed {config.seed}"
        f"{', augmented' if config.augment else ''}"
    )
    try:
        history = fit(run, config, data, resume=args.resume)
    except KeyboardInterrupt:
        advice = f"to go on: fastconv train --resume --output {run.folder}"
        raise KeyboardInterrupt(advice) from None
    accuracy = 100 * history[-1]["val_accuracy"]
    print(f"{accuracy:.2f} % of {len(data[1])} unseen samples right; saved in {run.folder}")
    return 0


def evaluate(args: argparse.Namespace) -> int:
    """Measure a trained network on the test split of its data."""
    from fastconv.train.run import Run, confusion
    from fastconv.train.run import evaluate as measure

    loss, accuracy, count = measure(Run(args.run), args.data_dir)
    print(f"val_loss {loss:.4f}  val_accuracy {100 * accuracy:.2f} %  ({count} samples)")
    if args.confusion:
        _print_confusion(confusion(Run(args.run), args.data_dir), Run(args.run).notes()["classes"])
    return 0


def _print_confusion(matrix: np.ndarray, classes: Sequence[str]) -> None:
    """A line a class: how many were taken for each class, and the share that was right."""
    width = max(len(name) for name in classes)
    cell = max(5, len(str(matrix.max(initial=0))) + 2)
    print(" " * width + "".join(f"{number:>{cell}}" for number in range(len(classes))))
    for number, (name, row) in enumerate(zip(classes, matrix, strict=True)):
        share = f"{100 * row[number] / row.sum():8.2f} %" if row.sum() else ""
        print(f"{name:<{width}}{''.join(f'{count:>{cell}}' for count in row)}{share}")


def predict(args: argparse.Namespace) -> int:
    """Say what a trained network sees in a picture."""
    from fastconv.train.predict import predict as look
    from fastconv.train.run import Run

    for file, probabilities in look(Run(args.run), args.images, args.invert):
        ranked = sorted(probabilities.items(), key=lambda item: -item[1])
        print(f"{file}: {ranked[0][0]}")
        for name, probability in ranked:
            print(f"  {name}  {100 * probability:6.2f} %")
    return 0


def summary(args: argparse.Namespace) -> int:
    """Show each layer of a network with its output shape and parameters."""
    from fastconv import nn
    from fastconv.models import MODELS
    from fastconv.models import summary as describe

    entry = MODELS[args.model]
    print(f"{args.model}: input {' x '.join(map(str, entry.input_shape))}\n")
    with nn.init.skip():  # sizes and counts need no values
        model = entry.build()
    print(describe(model, entry.input_shape))
    return 0


def gallery(args: argparse.Namespace) -> int:
    """List the scripts of the course, or run some of them."""
    from fastconv import examples

    known, rows = examples.scripts(), examples.rows()
    names = (
        list(known)
        if args.all
        else [n for name in args.names for n in rows.get(name.upper(), [name])]
    )
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"no script or row {unknown[0]!r}; `fastconv gallery` lists them")
    folders = [Path(folder) if folder else None for folder in (args.output, args.data_dir)]
    for name in names:
        print(f"{name} ({', '.join(known[name].rows)}): {known[name].title}", flush=True)
        examples.run(name, *folders)
    for script in [] if names else known.values():
        print(f"{', '.join(script.rows):<12}{script.name:<24}{script.title}")
    return 0


def info(args: argparse.Namespace) -> int:
    """Show versions, instruction set, threads, OpenMP runtime and CUDA."""
    import platform

    from fastconv.config import get_config
    from fastconv.devices import describe_cuda

    config = get_config()
    architectures, cuda_device = describe_cuda()
    rows = {
        "fastconv": config["version"],
        "python": platform.python_version(),
        "numpy": np.__version__,
        "instruction set": f"{config['isa']} (of {', '.join(config['available_isas'])})",
        "threads": config["threads"],
        "OpenMP": "not used: threads are a pool of fastconv's own",
        "compiler": config["compiler"],
        "CUDA": "not in this build" if architectures is None else f"for {architectures}",
        "CUDA device": cuda_device,
    }
    for name, value in rows.items():
        print(f"{name:<17}{value}")
    return 0


def bench(args: argparse.Namespace) -> int:
    """Measure kernels, alone or beside another library."""
    from fastconv import bench as implementation

    return implementation.run(args)


def _check_device(device: str) -> None:
    if device != "cpu":
        try:
            require_cuda()
        except RuntimeError as error:
            raise RuntimeError(f"--device {device}: {error}") from None


def _free_folder(model: str) -> Path:
    """runs/<model>-<n> with the first n that is free."""
    number = 1
    while (folder := Path("runs", f"{model}-{number}")).exists():
        number += 1
    return folder
