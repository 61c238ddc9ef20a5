"""What all schedules share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastconv.optim.optimizer import Optimizer


class LRScheduler:
    """Base class: counts epochs and writes ``lr`` of every parameter group."""

    _unsaved = frozenset({"optimizer"})  # attributes that the constructor alone sets

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

    def _begin(self, lr: float, base: float) -> float:
        """The rate of epoch 0 from the one it found."""
        return lr

    def _next(self, lr: float, base: float) -> float:
        """The rate of epoch ``last_epoch`` from the rate of the epoch before."""
        raise NotImplementedError

    def step(self) -> None:
        """Go to the next epoch."""
        self._advance(self._next)

    def _advance(self, rate: Callable[[float, float], float]) -> None:
        self.last_epoch += 1
        rate = rate if self.last_epoch > 0 else self._begin
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = rate(group["lr"], base)
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def get_last_lr(self) -> list[float]:
        """The learning rate of every group, as the last step left it."""
        return list(self._last_lr)

    def state_dict(self) -> dict[str, Any]:
        """All that :meth:`load_state_dict` needs, as numbers and lists."""
        return {key: value for key, value in self.__dict__.items() if key not in self._unsaved}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue at a saved epoch; the optimizer's state holds the learning rate itself."""
        own = self.__dict__.keys() - self._unsaved
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
