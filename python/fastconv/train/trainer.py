"""The training loop, and the seven places where callbacks may step in."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from fastconv import random
from fastconv.autograd.engine import no_grad
from fastconv.autograd.tensor import Tensor
from fastconv.data import DataLoader
from fastconv.nn import CrossEntropyLoss, Module
from fastconv.ops.types import MemoryFormat
from fastconv.train.step import Step


class Callback:
    """Steps in where the loop calls it; subclass and override what is needed.

    Hooks run in the order of the trainer's list, those of a higher `priority` last. What a resumed
    run needs to go on goes through `state_dict` and `load_state_dict`.
    """

    priority = 0

    def on_fit_start(self, trainer: Trainer) -> None: ...
    def on_epoch_start(self, trainer: Trainer) -> None: ...
    def on_batch_end(self, trainer: Trainer, loss: float) -> None: ...
    def on_validation_end(self, trainer: Trainer, record: dict[str, Any]) -> None: ...
    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None: ...
    def on_exception(self, trainer: Trainer, error: BaseException) -> None: ...
    def on_fit_end(self, trainer: Trainer) -> None: ...

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Trainer:
    """Fits a model: batches from loaders, gradients, one optimizer step a batch.

    The loaders give batches on the model's device (`DataLoader(..., device=...)`).
    loss: called with a batch's output and target, gives their mean; cross-entropy by default.
    ValueError where its `reduction` says that it is no mean.
    memory_format: how activations lie; "channels_last" is the fast one in a chain of layers,
    "contiguous" is NCHW, None leaves the model as it is.
    accumulate: one optimizer step for so many batches, with the gradient of one batch of all their
    samples; the last step of an epoch takes what is left. clip_norm, clip_value: limits of the
    gradient's norm over all parameters, and of its elements.
    `history` has a record for each finished epoch: epoch (from 1), train_loss, val_loss,
    val_accuracy and seconds; the middle two only where validation data are given, the accuracy
    only of a classifier: output (N, C) and integer target (N,).
    A callback ends the run after the current epoch by setting `stop`.
    """

    def __init__(
        self,
        model: Module,
        optimizer: Any,
        loss: Any = None,
        *,
        callbacks: Sequence[Callback] = (),
        memory_format: MemoryFormat | None = "channels_last",
        accumulate: int = 1,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        self.model, self.optimizer = model, optimizer
        self.loss = CrossEntropyLoss() if loss is None else loss
        reduction = getattr(self.loss, "reduction", "mean")
        if reduction != "mean":
            raise ValueError(f"Trainer: the loss must be a batch's mean, not its {reduction!r}")
        self._step = Step(optimizer, accumulate, clip_norm, clip_value)
        self.callbacks = sorted(callbacks, key=lambda callback: callback.priority)
        self.history: list[dict[str, Any]] = []
        self.epoch = self.epochs = 0
        self.stop = False
        self.loader: DataLoader | None = None
        self._loss_sum, self._samples, self._seconds = 0.0, 0, 0.0
        self._started = 0.0
        if memory_format is not None:
            model.to(memory_format=memory_format)

    def fit(
        self, train: DataLoader, validation: DataLoader | None = None, epochs: int = 1
    ) -> list[dict[str, Any]]:
        """Train until `epochs` epochs are done in all, and return the history.

        Raises FloatingPointError when a loss is not finite, before any callback sees it.
        """
        self.loader, self.epochs = train, epochs
        try:
            self._call("on_fit_start")
            while self.epoch < epochs and not self.stop:
                self._run_epoch(train, validation)
            self._call("on_fit_end")
        except BaseException as error:
            try:
                with ExitStack() as hooks:  # each is called, whatever another raises
                    for callback in reversed(self.callbacks):
                        hooks.callback(callback.on_exception, self, error)
            finally:
                raise error
        return self.history

    def _run_epoch(self, train: DataLoader, validation: DataLoader | None) -> None:
        self._started = time.perf_counter() - self._seconds
        self.model.train()
        self._call("on_epoch_start")
        for inputs, target in train:
            loss = self._finite("training", self._train(inputs, target))
            self._loss_sum += loss * len(target)
            self._samples += len(target)
            self._call("on_batch_end", loss)
        if not self._samples:
            raise ValueError("Trainer.fit: the loader has no batches")
        mean = self._loss_sum / self._samples
        record: dict[str, Any] = {"epoch": self.epoch + 1, "train_loss": mean}
        if validation is not None:
            loss, accuracy = self.evaluate(validation)
            record["val_loss"] = self._finite("validation", loss)
            if accuracy is not None:
                record["val_accuracy"] = accuracy
            self._call("on_validation_end", record)
        record["seconds"] = round(time.perf_counter() - self._started, 4)
        self.history.append(record)
        self.epoch += 1
        self._loss_sum, self._samples, self._seconds = 0.0, 0, 0.0
        self._started = time.perf_counter()
        self._call("on_epoch_end", record)

    def _train(self, inputs: Tensor, target: Tensor) -> float:
        loss = self.loss(self.model(inputs), target)
        self._step(loss, len(target), self._is_last())
        return loss.item()

    def _is_last(self) -> bool:
        """Whether the batch is the epoch's last, where it matters."""
        assert self.loader is not None
        return self._step.accumulate > 1 and self.loader.position == len(self.loader)

    def _finite(self, which: str, loss: float) -> float:
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the {which} loss is {loss} in epoch {self.epoch + 1}; a lower learning rate "
                "may help"
            )
        return loss

    def evaluate(self, loader: Iterable[Any]) -> tuple[float, float | None]:
        """(mean loss, share of samples whose largest output is the target), without gradients.

        The share is None where outputs are not (N, C) and targets not integers of shape (N,).
        """
        self.model.eval()
        loss_sum, correct, samples, classes = 0.0, 0, 0, True
        with no_grad():
            for inputs, target in loader:
                output = self.model(inputs)
                loss_sum += self.loss(output, target).item() * len(target)
                classes = classes and _are_classes(output.data, target.data)
                if classes:
                    correct += int((output.data.argmax(1) == target.data).sum())
                samples += len(target)
        if not samples:
            raise ValueError("Trainer.evaluate: the loader has no batches")
        return loss_sum / samples, correct / samples if classes else None

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on, as it stands between two batches."""
        if self.loader is None:
            raise RuntimeError("Trainer.state_dict: only within fit is there anything to resume")
        return {
            "model": dict(self.model.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "step": self._step.state_dict(),
            "loader": self.loader.state_dict(),
            "random": random.get_state(),
            "epoch": self.epoch,
            "stop": self.stop,
            "loss_sum": self._loss_sum,
            "samples": self._samples,
            "seconds": time.perf_counter() - self._started if self._samples else 0.0,
            "history": self.history,
            "callbacks": [[type(c).__name__, c.state_dict()] for c in self.callbacks],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`; call it within fit. ValueError when the callbacks differ."""
        saved, own = [n for n, _ in state["callbacks"]], [type(c).__name__ for c in self.callbacks]
        if self.loader is None or saved != own:
            raise ValueError(f"Trainer.load_state_dict: saved with callbacks {saved}, now {own}")
        self.loader.load_state_dict(state["loader"])  # first: it refuses other data
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._step.load_state_dict(state["step"])
        random.set_state(state["random"])
        self.epoch, self.stop, self.history = state["epoch"], state["stop"], state["history"]
        self._loss_sum, self._samples = state["loss_sum"], state["samples"]
        self._seconds = state["seconds"]
        for callback, (_, callback_state) in zip(self.callbacks, state["callbacks"], strict=True):
            callback.load_state_dict(callback_state)

    def _call(self, hook: str, *arguments: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(self, *arguments)


def _are_classes(output: Any, target: Any) -> bool:
    return output.ndim == 2 and target.ndim == 1 and np.issubdtype(target.dtype, np.integer)
