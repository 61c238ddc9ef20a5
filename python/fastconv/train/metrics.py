"""How good a classifier's outputs are, computed on the host wherever they lie."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from fastconv.autograd.engine import no_grad
from fastconv.devices import is_array, to_host
from fastconv.files import array_of
from fastconv.nn import Module
from fastconv.train.trainer import Callback, Trainer


def accuracy(output: Any, target: Any) -> float:
    """The share of samples whose largest output is the target; 0 of no samples.

    output: (N, C) scores or (N,) predicted labels; target: integers (N,). Tensors or arrays.
    Raises ValueError for other shapes.
    """
    output, target = _checked("accuracy", output, target)
    predicted = output.argmax(1) if output.ndim == 2 else output
    return float((predicted == target).mean()) if len(target) else 0.0


def top_k_accuracy(output: Any, target: Any, k: int = 5) -> float:
    """The share of samples whose target is among the `k` largest of their outputs (N, C).

    Of equal outputs the first counts as larger, as in `accuracy`, which this is for k = 1. NaN
    counts as larger than numbers and as equal to NaN. Raises ValueError for other shapes, targets
    outside the classes and k below 1, TypeError for targets that are no integers.
    """
    output, target = _checked("top_k_accuracy", output, target)
    if output.ndim != 2 or k < 1:
        raise ValueError(
            f"top_k_accuracy: expected outputs (N, C) and k of at least 1, got {output.shape}, {k}"
        )
    if not len(target):
        return 0.0
    _check_labels("top_k_accuracy", "target", target, output.shape[1])
    own = np.take_along_axis(output, target[:, None], 1)
    before = np.arange(output.shape[1]) < target[:, None]
    unknown, own_unknown = np.isnan(output), np.isnan(own)
    equal = (output == own) | (unknown & own_unknown)
    ahead = (output > own) | (unknown & ~own_unknown) | (equal & before)
    return float((ahead.sum(1) < k).mean())


def confusion_matrix(output: Any, target: Any, num_classes: int | None = None) -> np.ndarray:
    """int64 (C, C): how many samples of the row's class were taken for the column's.

    output and target as for `accuracy`. num_classes: C where output holds labels; without it the
    largest label + 1. Raises ValueError for a label outside the classes, TypeError for labels that
    are no integers.
    """
    output, target = _checked("confusion_matrix", output, target)
    predicted = output.argmax(1) if output.ndim == 2 else output
    if output.ndim == 2:
        num_classes = output.shape[1]
    elif num_classes is None:
        num_classes = 1 + max(
            (int(labels.max()) for labels in (output, target) if labels.size), default=-1
        )
    num_classes = operator.index(num_classes)
    _check_labels("confusion_matrix", "output", predicted, num_classes)
    _check_labels("confusion_matrix", "target", target, num_classes)
    cells = target.astype(np.int64) * num_classes + predicted.astype(np.int64)
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def _checked(name: str, output: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays. Raises ValueError where shapes do not fit."""
    output, target = _on_host(output), _on_host(target)
    if output.ndim not in (1, 2) or target.shape != output.shape[:1]:
        raise ValueError(
            f"{name}: expected output (N, C) or (N,) and target (N,), got {output.shape} and "
            f"{target.shape}"
        )
    return output, target


def _on_host(value: Any) -> np.ndarray:
    array = array_of(value)
    return to_host(array) if is_array(array) else np.asarray(array)


def _check_labels(name: str, which: str, labels: Any, classes: int) -> None:
    if not len(labels):
        return
    if labels.dtype.kind not in "iub":
        raise TypeError(f"{name}: {which} holds {labels.dtype}, expected integers")
    if not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(
            f"{name}: {which} holds labels from {int(labels.min())} to {int(labels.max())}, "
            f"expected 0 to {classes - 1}"
        )


def outputs(model: Module, loader: Iterable[Any]) -> tuple[np.ndarray, np.ndarray]:
    """(outputs, targets) of all batches as NumPy arrays, in evaluation mode, without gradients.

    Raises ValueError for a loader of no batches.
    """
    model.eval()
    with no_grad():
        pairs = [(to_host(model(inputs).data), to_host(target.data)) for inputs, target in loader]
    if not pairs:
        raise ValueError("outputs: the loader has no batches")
    first, second = zip(*pairs, strict=True)
    return np.concatenate(first), np.concatenate(second)


class Metrics(Callback):
    """Adds `val_<name>` to an epoch's record: each function of all outputs and targets.

    Outputs are those for `loader`, computed after the trainer's own validation. A function gives
    a number or an array, which becomes a list: ``Metrics(loader, {"top5": top_k_accuracy})``.
    """

    def __init__(
        self, loader: Iterable[Any], functions: Mapping[str, Callable[[Any, Any], Any]]
    ) -> None:
        self.loader, self.functions = loader, dict(functions)

    def on_validation_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        output, target = outputs(trainer.model, self.loader)
        for name, function in self.functions.items():
            value = function(output, target)
            record[f"val_{name}"] = value.tolist() if hasattr(value, "tolist") else value
