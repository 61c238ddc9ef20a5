"""What the command line takes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from fastconv import __version__, bench
from fastconv.cli import commands
from fastconv.data.sources import SOURCES
from fastconv.models import MODELS


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


def make_parser() -> argparse.ArgumentParser:
    """The whole command's parser; `function` in its result is the subcommand's."""
    parser = argparse.ArgumentParser(
        prog="fastconv", description="Convolutional networks for NumPy: train, use and measure."
    )
    parser.add_argument("--version", action="version", version=f"fastconv {__version__}")
    subcommands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for function, add_arguments in (
        (commands.train, _add_train),
        (commands.evaluate, _add_evaluate),
        (commands.predict, _add_predict),
        (commands.summary, _add_summary),
        (commands.gallery, _add_gallery),
        (commands.info, None),
        (commands.bench, bench.add_arguments),
    ):
        text = function.__doc__ or ""
        command = subcommands.add_parser(function.__name__, help=text, description=text)
        command.set_defaults(function=function)
        if add_arguments is not None:
            add_arguments(command)
    return parser


def _add_train(parser: argparse.ArgumentParser) -> None:
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
    parser.add_argument(
        "--augment",
        action="store_true",
        default=None,
        help="change the training pictures at random, as suits the data",
    )
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
    parser.add_argument(
        "--confusion", action="store_true", help="also show what each class was taken for"
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
    parser.add_argument("model", choices=MODELS, help="the network")


def _add_gallery(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="a script, or a row of the course such as C7"
    )
    parser.add_argument("--all", action="store_true", help="run every script")
    parser.add_argument("--output", metavar="DIR", help="receives pictures (needs the extra plot)")
    parser.add_argument(
        "--data-dir", metavar="DIR", help="MNIST's or CIFAR-10's files; default: generated data"
    )
