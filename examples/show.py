"""What the scripts share: checked numbers, pictures, and the start from a command line."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import fastconv as fc
from fastconv import data, nn, optim
from fastconv.examples import call
from fastconv.train import Trainer


class CheckFailed(RuntimeError):
    """A number is not what the lecture gives."""


def check(
    what: str, got: Any, expected: Any, *, digits: int | None = None, tolerance: float = 0.0
) -> None:
    """Print a value that must be `expected`: exactly, to `digits` or within `tolerance`.

    Arrays, tensors, lists and numbers are taken; shapes must be equal.
    Raises CheckFailed where the value is another.
    """
    value, wanted = _array(got), _array(expected)
    shown = value if digits is None else np.round(value, digits)
    slack = tolerance if digits is None else 1e-9
    equal = shown.shape == wanted.shape and bool(np.all(np.abs(shown - wanted) <= slack))
    if not equal:
        raise CheckFailed(f"{what} is {shown.tolist()}, expected {wanted.tolist()}")
    if np.all(shown == np.rint(shown)):
        shown = shown.astype(np.int64)
    text = np.array2string(shown, precision=6, suppress_small=True, separator=" ")
    gap = f"\n{' ' * 4}" if "\n" in text else " "
    print(f"  {what} ={gap}" + text.replace("\n", gap))


def check_that(statement: str, holds: Any) -> None:
    """Print a statement that must hold; raises CheckFailed where it does not."""
    if not holds:
        raise CheckFailed(f"it does not hold that {statement}")
    print(f"  {statement}")


def _array(value: Any) -> np.ndarray:
    return np.asarray(value.data if isinstance(value, fc.Tensor) else value, np.float64)


def leaf(values: Any) -> fc.Tensor:
    """A float64 tensor that collects its gradient."""
    return fc.tensor(np.array(values, np.float64), requires_grad=True)


def fit(
    network: nn.Module,
    inputs: np.ndarray,
    targets: np.ndarray,
    *,
    epochs: int,
    rate: float,
    batch: int = 64,
    loss: Any = None,
) -> list[float]:
    """Train with Adam; returns the mean loss (cross-entropy by default) of each epoch."""
    loader = data.DataLoader(data.ArrayDataset(inputs, targets), batch, shuffle=True)
    trainer = Trainer(network, optim.Adam(network.parameters(), rate), loss, memory_format=None)
    return [record["train_loss"] for record in trainer.fit(loader, epochs=epochs)]


def he_weights(network: nn.Module) -> None:
    """Initial weights of He et al. (2015), which keep the scale of ReLU maps however deep."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")


@fc.no_grad()
def share_right(network: nn.Module, images: np.ndarray, labels: np.ndarray) -> float:
    """The share of images whose largest output is that of their label."""
    network.eval()
    return float((network(fc.tensor(images)).data.argmax(axis=1) == labels).mean())


def need(module: str, package: str) -> Any:
    """A module of a package that fastconv itself does not need; ImportError says how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ImportError(f"this needs {package}: pip install {package}") from None


@contextmanager
def picture(folder: Path, name: str, rows: int = 1, columns: int = 1, size: Any = None) -> Iterator:
    """A list of rows * columns axes to draw on, saved as folder/name.png; size in inches."""
    figure = need("matplotlib.figure", "matplotlib").Figure(
        figsize=size or (3.2 * columns, 3 * rows), layout="constrained"
    )
    yield list(figure.subplots(rows, columns, squeeze=False).flat)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{name}.png", dpi=110)
    print(f"  picture: {folder / name}.png")


def draw_image(axes: Any, image: Any, title: str = "", *, low: Any = None, high: Any = None) -> Any:
    """A picture without ticks: grey between `low` and `high`, or RGB of shape (3, H, W)."""
    image = np.asarray(image)
    if image.ndim == 3:
        image = image.transpose(1, 2, 0)
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=9)
    return axes.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="nearest")


def start(main: Callable[..., None]) -> None:
    """Run a script's `main` from its own command line: `[--output DIR] [--data-dir DIR]`."""
    parser = argparse.ArgumentParser(description=main.__globals__["__doc__"].partition("\n")[0])
    parser.add_argument("--output", type=Path, metavar="DIR", help="receives pictures")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where data files are")
    args = parser.parse_args()
    call(main, args.output, args.data_dir)
