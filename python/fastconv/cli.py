"""The `fastconv` command: one function a subcommand, each a few calls into the library.

Exit codes: 0, 1 for a failure with one line on standard error, 2 for wrong usage, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

FAILURES = (OSError, ValueError, TypeError, ImportError, RuntimeError, MemoryError, ArithmeticError)


def train(args: argparse.Namespace) -> int:
    """Train a network; without arguments, on generated drawings of X and O."""
    from fastconv.data.sources import SOURCES
    from fastconv.train.run import CHECKPOINT, Run
    from fastconv.train.run import train as fit

    names = ("model", "data", "epochs", "batch_size", "lr", "momentum", "weight_decay", "seed")
    asked = {name: getattr(args, name) for name in (*names, "device")}
    _check_device(args.device)
    run = Run(args.output or _free_folder(args.model or "xo_net"))
    saved = run[CHECKPOINT].exists()
    # The data first: where they are missing, no folder is left behind.
    config = run.settle(asked, args.resume)
    data = SOURCES[config.data].load(args.data_dir or run.data_dir())
    run.begin(config, args.data_dir)
    if args.resume:
        print(f"{'resuming' if saved else 'nothing to resume, starting'} in {run.folder}")
    print(
        f"training {config.model} on {len(data[0])} samples of {config.data}, "
        f"{config.epochs} epochs of batches of {config.batch_size}, seed {config.seed}"
    )
    history = fit(run, config, data, resume=args.resume)
    accuracy = 100 * history[-1]["val_accuracy"]
    print(f"{accuracy:.2f} % of {len(data[1])} unseen samples right; saved in {run.folder}")
    return 0


def evaluate(args: argparse.Namespace) -> int:
    """Measure a trained network on the test split of its data."""
    from fastconv.train.run import Run
    from fastconv.train.run import evaluate as measure

    loss, accuracy, count = measure(Run(args.run), args.data_dir)
    print(f"val_loss {loss:.4f}  val_accuracy {100 * accuracy:.2f} %  ({count} samples)")
    return 0


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
    from fastconv.models import MODELS
    from fastconv.models import summary as describe

    entry = MODELS[args.model]
    print(f"{args.model}: input {' x '.join(map(str, entry.input_shape))}\n")
    print(describe(entry.build(), entry.input_shape))
    return 0


def info(args: argparse.Namespace) -> int:
    """Show versions, instruction set, threads, OpenMP runtime and CUDA."""
    import platform

    from fastconv.config import get_config

    config = get_config()
    rows = {
        "fastconv": config["version"],
        "python": platform.python_version(),
        "numpy": np.__version__,
        "instruction set": f"{config['isa']} (of {', '.join(config['available_isas'])})",
        "threads": config["threads"],
        "OpenMP": f"{config['openmp']} ({config['openmp_library']})",
        "compiler": config["compiler"],
        "CUDA": "yes" if config["cuda"] else "not in this build",
    }
    for name, value in rows.items():
        print(f"{name:<17}{value}")
    return 0


def bench(args: argparse.Namespace) -> int:
    """Measure kernels, alone or beside another library."""
    from fastconv import bench as implementation

    return implementation.run(args)


def _check_device(device: str | None) -> None:
    if device == "cuda":
        raise RuntimeError("--device cuda: no CUDA device (fastconv is built without CUDA)")


def _free_folder(model: str) -> Path:
    """runs/<model>-<n> with the first n that is free."""
    number = 1
    while (folder := Path("runs", f"{model}-{number}")).exists():
        number += 1
    return folder


def _number(kind: Callable[[str], Any], low: float, high: float, what: str) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
        return value

    return parse


COUNT = _number(int, 1, 2**31 - 1, "a whole number of at least 1")
SEED = _number(int, 0, 2**64 - 1, "a whole number from 0 to 2**64 - 1")
RATE = _number(float, 0, 1e6, "a number of at least 0")
SHARE = _number(float, 0, 1, "a number from 0 to 1")


def _parser() -> argparse.ArgumentParser:
    from fastconv._core import __version__

    parser = argparse.ArgumentParser(
        prog="fastconv", description="Convolutional networks for NumPy: train, use and measure."
    )
    parser.add_argument("--version", action="version", version=f"fastconv {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for function, add_arguments in (
        (train, _add_train),
        (evaluate, _add_evaluate),
        (predict, _add_predict),
        (summary, _add_summary),
        (info, None),
        (bench, _add_bench),
    ):
        text = function.__doc__ or ""
        command = commands.add_parser(function.__name__, help=text, description=text)
        command.set_defaults(function=function)
        if add_arguments is not None:
            add_arguments(command)
    return parser


def _add_train(parser: argparse.ArgumentParser) -> None:
    from fastconv.data.sources import SOURCES
    from fastconv.models import MODELS

    parser.add_argument(
        "model", nargs="?", choices=MODELS, help="default: xo_net, or with --resume the run's own"
    )
    parser.add_argument("--data", choices=SOURCES, help="default: what the model is made for")
    parser.add_argument(
        "--data-dir", metavar="DIR", help="where the data's files are; default: download and cache"
    )
    parser.add_argument("--epochs", type=COUNT, metavar="N")
    parser.add_argument("--batch-size", type=COUNT, metavar="N", help="default: 64")
    parser.add_argument("--lr", type=RATE, metavar="X", help="highest learning rate")
    parser.add_argument("--momentum", type=SHARE, metavar="X", help="default: 0.9")
    parser.add_argument("--weight-decay", type=RATE, metavar="X")
    parser.add_argument("--seed", type=SEED, metavar="S", help="default: 0")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: cpu")
    parser.add_argument(
        "--output", metavar="DIR", help="receives the run's files; default: runs/MODEL-1, -2, ..."
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on where the run in --output stopped; it ends as if it never had",
    )


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    _add_run(parser)
    parser.add_argument(
        "--data-dir", metavar="DIR", help="where the data's files are; default: as in training"
    )


def _add_predict(parser: argparse.ArgumentParser) -> None:
    _add_run(parser)
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="a picture's file")
    parser.add_argument(
        "--invert",
        choices=("auto", "yes", "no"),
        default="auto",
        help="make ink bright, as in the training data; auto: where the picture's edge is bright",
    )


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="the folder that train wrote (--output)")


def _add_summary(parser: argparse.ArgumentParser) -> None:
    from fastconv.models import MODELS

    parser.add_argument("model", choices=MODELS, help="the network")


def _add_bench(parser: argparse.ArgumentParser) -> None:
    from fastconv import bench as implementation

    implementation.add_arguments(parser)


def _usage(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    if args.command == "train" and args.resume and not args.output:
        parser.error("train: --resume needs --output DIR, the run to go on with")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    _usage(parser, args)
    warnings.showwarning = _show_warning
    try:
        return args.function(args)
    except BrokenPipeError:
        # The reader of our output left; what Python still holds goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except FAILURES as error:
        return _fail(args.command, " ".join(str(error).split()) or type(error).__name__, 1)
    except KeyboardInterrupt:
        return _fail(args.command, "interrupted" + _advice(args), 130)


def _fail(command: str, text: str, code: int) -> int:
    print(f"fastconv {command}: {text}", file=sys.stderr)
    return code


def _advice(args: argparse.Namespace) -> str:
    return "; the same command with --resume goes on" if args.command == "train" else ""


def _show_warning(message: Any, *_: Any, **__: Any) -> None:
    print(f"fastconv: warning: {message}", file=sys.stderr)
