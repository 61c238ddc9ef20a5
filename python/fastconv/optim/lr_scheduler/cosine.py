"""Rates that follow a cosine."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from fastconv.optim.lr_scheduler.base import LRScheduler
from fastconv.optim.optimizer import Optimizer


class CosineAnnealingLR(LRScheduler):
    """``eta_min + (base - eta_min) * (1 + cos(pi * epoch / T_max)) / 2``.

    Half a cosine from base to eta_min in T_max epochs (Loshchilov and Hutter, 2017); it rises
    again after that. As in PyTorch, ``last_epoch=k`` takes the rate that it finds for that of
    epoch k + 1.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_max: int,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        if T_max < 1:
            raise ValueError(f"CosineAnnealingLR: T_max must be at least 1, got {T_max}")
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def _first(self, lr: float, base: float) -> float:
        return lr

    def _height(self, epoch: int) -> float:
        return (1 + math.cos(math.pi * epoch / self.T_max)) / 2

    def _next(self, lr: float, base: float) -> float:
        height = self._height(self.last_epoch)
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:
            # The rate before was eta_min, from which no factor leads up again.
            return lr + (base - self.eta_min) * height
        return self.eta_min + (lr - self.eta_min) * height / self._height(self.last_epoch - 1)


class CosineAnnealingWarmRestarts(LRScheduler):
    """A cosine from base to ``eta_min`` in T_0 epochs, then again from base, each time ``T_mult``
    times as long (Loshchilov and Hutter, 2017)."""

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        if T_0 < 1 or T_mult < 1:
            raise ValueError(
                f"CosineAnnealingWarmRestarts: T_0 and T_mult must be at least 1, got {T_0} and "
                f"{T_mult}"
            )
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        super().__init__(optimizer, last_epoch)

    def _next(self, lr: float, base: float) -> float:
        done, length = self.last_epoch, self.T_0
        while done >= length:
            done, length = done - length, length * self.T_mult
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * done / length)) / 2

    _first = _next


class OneCycleLR(LRScheduler):
    """Up from ``max_lr / div_factor`` to ``max_lr`` and down to that over ``div_factor *
    final_div_factor`` in ``total_steps`` steps (Smith and Topin, 2017); a step is a batch.

    pct_start: share of the steps that go up. anneal_strategy: "cos" or "linear".
    cycle_momentum: the momentum (Adam's first beta) goes from ``max_momentum`` down to
    ``base_momentum`` and up again.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float,
        total_steps: int,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        last_epoch: int = -1,
    ) -> None:
        if total_steps < 1 or not 0 <= pct_start <= 1:
            raise ValueError(
                "OneCycleLR: total_steps must be at least 1 and pct_start in [0, 1], got "
                f"{total_steps} and {pct_start}"
            )
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f'OneCycleLR: anneal_strategy must be "cos" or "linear", got {anneal_strategy!r}'
            )
        self.total_steps, self.anneal_strategy = total_steps, anneal_strategy
        self.peak = float(pct_start * total_steps) - 1
        self.rates = (max_lr / div_factor, max_lr, max_lr / div_factor / final_div_factor)
        self.momenta = (max_momentum, base_momentum, max_momentum) if cycle_momentum else None
        if last_epoch == -1:
            for group in getattr(optimizer, "param_groups", ()):
                group["initial_lr"] = self.rates[0]
        super().__init__(optimizer, last_epoch)

    def _advance(self, rate: Callable[[float, float], float]) -> None:
        if self.last_epoch + 1 >= self.total_steps:
            raise ValueError(f"OneCycleLR: the cycle has only {self.total_steps} steps")
        super()._advance(rate)
        if self.momenta is not None:
            for group in self.optimizer.param_groups:
                _set_momentum(group, self._at(self.momenta))

    def _next(self, lr: float, base: float) -> float:
        return self._at(self.rates)

    _begin = _first = _next

    def _at(self, ends: tuple[float, ...]) -> float:
        if self.last_epoch <= self.peak:
            return self._between(ends[0], ends[1], self.last_epoch / self.peak)
        past = self.last_epoch - self.peak
        return self._between(ends[1], ends[2], past / (self.total_steps - 1 - self.peak))

    def _between(self, start: float, end: float, share: float) -> float:
        if self.anneal_strategy == "linear":
            return (end - start) * share + start
        return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


def _set_momentum(group: dict[str, Any], value: float) -> None:
    if "betas" in group:
        group["betas"] = (value, *group["betas"][1:])
    elif "momentum" in group:
        group["momentum"] = value
    else:
        raise ValueError("OneCycleLR: cycle_momentum needs an optimizer with momentum or betas")
