"""Rates that fall when a measure no longer improves."""

from __future__ import annotations

import math
from typing import Any

from fastconv.optim.lr_scheduler.base import LRScheduler
from fastconv.optim.optimizer import Optimizer


class ReduceLROnPlateau(LRScheduler):
    """Multiplies the rate by ``factor`` once the measure given to ``step`` has not improved for
    more than ``patience`` epochs.

    mode: "min" or "max". threshold: what counts as better, relative ("rel") or absolute ("abs").
    cooldown: epochs after a reduction in which nothing is counted. eps: least change of a rate.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if not 0 <= factor < 1:
            raise ValueError(f"ReduceLROnPlateau: factor must be in [0, 1), got {factor}")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ValueError(
                'ReduceLROnPlateau: mode must be "min" or "max", threshold_mode "rel" or "abs", '
                f"got {mode!r} and {threshold_mode!r}"
            )
        self.mode, self.factor, self.patience = mode, factor, patience
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.cooldown, self.min_lr, self.eps = cooldown, min_lr, eps
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = 0
        super().__init__(optimizer)

    def step(self, metrics: Any = None) -> None:
        """Go to the next epoch; metrics: a number, such as the loss on validation data."""
        if metrics is None:
            raise TypeError("ReduceLROnPlateau: step needs the measure that may have stalled")
        value = float(metrics)
        if self._better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        stalled = self.num_bad_epochs > self.patience
        if stalled:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._advance(self._reduced if stalled else self._begin)

    def _reduced(self, lr: float, base: float) -> float:
        reduced = max(lr * self.factor, self.min_lr)
        return reduced if lr - reduced > self.eps else lr

    def _better(self, value: float) -> bool:
        sign = 1 if self.mode == "min" else -1
        if self.threshold_mode == "rel":
            return sign * value < sign * self.best * (1 - sign * self.threshold)
        return sign * value < sign * self.best - self.threshold
