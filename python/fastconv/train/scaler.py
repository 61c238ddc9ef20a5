"""Scaling of the loss, so that small gradients survive float16."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastconv import ops
from fastconv.autograd.tensor import Tensor
from fastconv.optim.optimizer import Optimizer


class GradScaler:
    """Dynamic loss scaling (Micikevicius et al., 2018, section 3.2), as PyTorch's.

    ::

        scaler.scale(loss).backward()
        scaler.step(optimizer)  # divides the gradients; skips the step where any is inf or NaN
        scaler.update()

    init_scale: the factor at first. After a skipped step it is multiplied by ``backoff_factor``,
    after ``growth_interval`` steps in a row that were not by ``growth_factor``. ``enabled=False``
    makes every method do what it would without scaling.
    """

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if not growth_factor > 1 or not 0 < backoff_factor < 1:
            raise ValueError(
                "GradScaler: growth_factor must be above 1 and backoff_factor in (0, 1), got "
                f"{growth_factor} and {backoff_factor}"
            )
        self.growth_factor, self.backoff_factor = growth_factor, backoff_factor
        self.growth_interval, self.enabled = growth_interval, enabled
        self._scale, self._steps = float(init_scale), 0
        self._unscaled: dict[Optimizer, bool] = {}  # whether all its gradients were finite

    def scale(self, loss: Tensor) -> Tensor:
        """``loss`` times the scale."""
        return loss * self._scale if self.enabled else loss

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide the optimizer's gradients by the scale, before clipping; ``step`` does it else.

        Raises RuntimeError where it has been done since the last ``update``.
        """
        if not self.enabled:
            return
        if optimizer in self._unscaled:
            raise RuntimeError("GradScaler: unscale_ has been called since the last update")
        finite = True
        for group in _by_kind(optimizer):
            finite = finite and bool(np.isfinite(ops.total_norm(group)))
            for grad in group:
                grad *= grad.dtype.type(1 / self._scale)
        self._unscaled[optimizer] = finite

    def step(self, optimizer: Optimizer) -> Any:
        """``optimizer.step()``, unless a gradient is infinite or NaN; returns what it returns.

        The host waits for the device here, to know which.
        """
        if self.enabled and optimizer not in self._unscaled:
            self.unscale_(optimizer)
        return optimizer.step() if self._unscaled.get(optimizer, True) else None

    def update(self) -> None:
        """Adapt the scale to what the steps since the last update found."""
        if not self.enabled:
            return
        if not self._unscaled:
            raise RuntimeError("GradScaler: update comes after step")
        if not all(self._unscaled.values()):
            self._scale, self._steps = self._scale * self.backoff_factor, 0
        else:
            self._steps += 1
            if self._steps == self.growth_interval:
                self._scale, self._steps = self._scale * self.growth_factor, 0
        self._unscaled = {}

    def get_scale(self) -> float:
        """The scale, 1 where scaling is off."""
        return self._scale if self.enabled else 1.0

    def state_dict(self) -> dict[str, float]:
        """Scale and steps since it changed."""
        return {"scale": self._scale, "steps": self._steps}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Take over what :meth:`state_dict` gave."""
        self._scale, self._steps = float(state_dict["scale"]), int(state_dict["steps"])


def _by_kind(optimizer: Optimizer) -> Iterator[list[Any]]:
    """Lists of gradients that share dtype and device."""
    found: dict[Any, list[Any]] = {}
    for group in optimizer.param_groups:
        for p in group["params"]:
            if p._grad is not None:
                found.setdefault((p.dtype, str(p.device)), []).append(p._grad._data)
    yield from found.values()
