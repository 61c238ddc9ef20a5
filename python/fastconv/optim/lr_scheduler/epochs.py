"""Rates that are a formula of the epoch.

Where the formula is a product, a scheduler multiplies the rate that it finds, so several can work
on one optimizer; alone, the rates are those of the formula in its docstring.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from fastconv.optim.lr_scheduler.base import LRScheduler
from fastconv.optim.optimizer import Optimizer


class LambdaLR(LRScheduler):
    """``base * lr_lambda(epoch)``; one function, or a list of one for each parameter group.

    ``lambda t: 1 / math.sqrt(t + 1)`` is the schedule eta_0 / sqrt(t) of steps counted from 1.
    """

    _unsaved = LRScheduler._unsaved | {"lr_lambdas"}

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        groups = len(getattr(optimizer, "param_groups", ()))
        self.lr_lambdas = [lr_lambda] * groups if callable(lr_lambda) else list(lr_lambda)
        if len(self.lr_lambdas) != groups:
            raise ValueError(
                f"LambdaLR: {len(self.lr_lambdas)} functions for {groups} parameter groups"
            )
        super().__init__(optimizer, last_epoch)

    def _advance(self, rate: Callable[[float, float], float]) -> None:
        self.last_epoch += 1
        for group, base, factor in zip(
            self.optimizer.param_groups, self.base_lrs, self.lr_lambdas, strict=True
        ):
            group["lr"] = base * factor(self.last_epoch)
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]


class StepLR(LRScheduler):
    """``base * gamma ** floor(epoch / step_size)``."""

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        if step_size < 1:
            raise ValueError(f"StepLR: step_size must be at least 1, got {step_size}")
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _next(self, lr: float, base: float) -> float:
        return lr * self.gamma if self.last_epoch % self.step_size == 0 else lr


class MultiStepLR(LRScheduler):
    """``base * gamma ** (number of milestones that epoch has reached)``."""

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Sequence[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones = sorted(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _next(self, lr: float, base: float) -> float:
        return lr * self.gamma ** self.milestones.count(self.last_epoch)


class ExponentialLR(LRScheduler):
    """``base * gamma ** epoch``."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _next(self, lr: float, base: float) -> float:
        return lr * self.gamma


class LinearLR(LRScheduler):
    """``base * (start + (end - start) * min(epoch, total_iters) / total_iters)``: a warm-up."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1:
            raise ValueError(f"LinearLR: start_factor must be in (0, 1], got {start_factor}")
        if not 0 <= end_factor <= 1:
            raise ValueError(f"LinearLR: end_factor must be in [0, 1], got {end_factor}")
        if total_iters < 1:
            raise ValueError(f"LinearLR: total_iters must be at least 1, got {total_iters}")
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        share = min(epoch, self.total_iters) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * share

    def _begin(self, lr: float, base: float) -> float:
        return lr * self.start_factor

    def _next(self, lr: float, base: float) -> float:
        return lr * self._factor(self.last_epoch) / self._factor(self.last_epoch - 1)


class SequentialLR(LRScheduler):
    """One schedule after the other: ``schedulers[i]`` begins, at its epoch 0 and the rate that the
    optimizer was given, when ``milestones[i - 1]`` epochs have passed.

    The schedulers are made for the same optimizer just before.
    """

    _unsaved = LRScheduler._unsaved | {"schedulers"}

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int]
    ) -> None:
        if not schedulers or len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"SequentialLR: {len(schedulers)} schedulers need one milestone less, "
                f"got {len(milestones)}"
            )
        if any(scheduler.optimizer is not optimizer for scheduler in schedulers):
            raise ValueError("SequentialLR: the schedulers belong to another optimizer")
        self.schedulers, self.milestones = list(schedulers), list(milestones)
        super().__init__(optimizer)

    def _advance(self, rate: Callable[[float, float], float]) -> None:
        self.last_epoch += 1
        current = bisect_right(self.milestones, self.last_epoch)
        if self.last_epoch in (0, *self.milestones):
            for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
                group["lr"] = base
            self.schedulers[current].last_epoch = -1
        self.schedulers[current].step()
        self._last_lr = self.schedulers[current].get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        """Those of the schedulers too."""
        return {**super().state_dict(), "schedulers": [s.state_dict() for s in self.schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        own = {key: value for key, value in state_dict.items() if key != "schedulers"}
        super().load_state_dict(own)
        for scheduler, state in zip(self.schedulers, state_dict["schedulers"], strict=True):
            scheduler.load_state_dict(state)
