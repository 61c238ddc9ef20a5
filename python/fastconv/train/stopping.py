"""When a run has gone far enough."""

from __future__ import annotations

import math
from typing import Any

from fastconv.files import array_of
from fastconv.train.trainer import Callback, Trainer


class EarlyStopping(Callback):
    """Stops when `monitor` has not improved by more than `min_delta` for `patience` epochs.

    mode: "min" or "max", which way it improves; "auto" is upwards for a monitor whose name ends in
    "accuracy" and downwards for others, such as losses. restore_best: the model ends with the
    weights and buffers of its best epoch, however the run ends, save by an exception. NaN is no
    improvement and never the best; a run of nothing else keeps its last weights.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 5,
        min_delta: float = 0.0,
        *,
        mode: str = "auto",
        restore_best: bool = False,
    ) -> None:
        if patience < 1:
            raise ValueError(f"EarlyStopping: patience must be at least 1, got {patience}")
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"EarlyStopping: mode must be 'auto', 'min' or 'max', got {mode!r}")
        self.monitor, self.patience, self.min_delta = monitor, patience, min_delta
        upwards = mode == "max" or (mode == "auto" and monitor.endswith("accuracy"))
        self._sign = -1 if upwards else 1
        self.restore_best = restore_best
        self.best: float | None = None
        self.waited = 0
        self._weights: dict[str, Any] | None = None

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        value = self._sign * _monitored(self, record)
        first = self.best is None and not math.isnan(value)
        if first or (self.best is not None and value < self.best - self.min_delta):
            self.best, self.waited = value, 0
            if self.restore_best:
                state = trainer.model.state_dict()
                self._weights = {name: array_of(value).copy() for name, value in state.items()}
        else:
            self.waited += 1
            if self.waited >= self.patience:
                trainer.stop = True

    def on_fit_end(self, trainer: Trainer) -> None:
        if self._weights is not None:
            trainer.model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited, "weights": self._weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.waited = state["best"], state["waited"]
        self._weights = state["weights"]


class LossConverged(Callback):
    """Stops when |f(t) - f(t - n)| < eps, where f(t) is `monitor` in epoch t.

    With one batch an epoch this is the criterion of gradient descent on all data; the training
    loss of an epoch is then that of the weights it began with.
    """

    def __init__(self, eps: float = 1e-4, n: int = 1, *, monitor: str = "train_loss") -> None:
        if not eps > 0 or n < 1:
            raise ValueError(
                f"LossConverged: eps must be positive and n at least 1, got {eps} and {n}"
            )
        self.eps, self.n, self.monitor = eps, n, monitor

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        value = _monitored(self, record)
        if len(trainer.history) > self.n:
            before = trainer.history[-1 - self.n][self.monitor]
            if abs(value - before) < self.eps:
                trainer.stop = True


def _monitored(callback: EarlyStopping | LossConverged, record: dict[str, Any]) -> float:
    if callback.monitor not in record:
        raise ValueError(
            f"{type(callback).__name__}: no {callback.monitor!r} in the record {list(record)}"
        )
    return record[callback.monitor]
