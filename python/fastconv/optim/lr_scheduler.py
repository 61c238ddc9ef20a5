"""Learning rates that change from epoch to epoch.

A scheduler multiplies the learning rate that it finds, so several can work on one optimizer;
alone, the rates are those of the formula in its docstring. ``step()`` goes after the epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from fastconv.optim.optimizer import Optimizer


class LRScheduler:
    """Base class: counts epochs and writes ``lr`` of every parameter group."""

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"{type(self).__name__}: expected an Optimizer, got {type(optimizer).__name__}"
            )
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ValueError(
                    f"{type(self).__name__}: last_epoch={last_epoch} continues a schedule, but "
                    f"parameter group {i} has no initial_lr"
                )
        self.optimizer = optimizer
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._advance(self._first)

    def _first(self, lr: float, base: float) -> float:
        """The rate that a schedule made for epoch ``last_epoch`` > 0 starts at, from the one it
        found."""
        return self._next(lr, base)

    def _next(self, lr: float, base: float) -> float:
        """The rate of epoch ``last_epoch`` from the rate of the epoch before."""
        raise NotImplementedError

    def step(self) -> None:
        """Go to the next epoch."""
        self._advance(self._next)

    def _advance(self, rate: Callable[[float, float], float]) -> None:
        self.last_epoch += 1
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            if self.last_epoch > 0:
                group["lr"] = rate(group["lr"], base)
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def get_last_lr(self) -> list[float]:
        """The learning rate of every group, as the last step left it."""
        return list(self._last_lr)

    def state_dict(self) -> dict[str, Any]:
        """All that :meth:`load_state_dict` needs, as numbers and lists."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue at a saved epoch; the optimizer's state holds the learning rate itself."""
        own = self.__dict__.keys() - {"optimizer"}
        if state_dict.keys() != own:
            raise ValueError(
                f"{type(self).__name__}: load_state_dict: expected {sorted(own)}, "
                f"got {sorted(state_dict)}"
            )
        if len(state_dict["base_lrs"]) != len(self.base_lrs):
            raise ValueError(
                f"{type(self).__name__}: load_state_dict: this optimizer has {len(self.base_lrs)} "
                f"parameter groups, the state {len(state_dict['base_lrs'])}"
            )
        for key, value in state_dict.items():
            setattr(self, key, list(value) if isinstance(value, (list, tuple)) else value)


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
