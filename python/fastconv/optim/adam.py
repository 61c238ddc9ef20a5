"""Adam."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv import ops
from fastconv.autograd.tensor import Tensor
from fastconv.optim.optimizer import Optimizer, Params, check_range, decay_of


class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015), as in PyTorch.

    g = grad + weight_decay * p; m = b1 * m + (1 - b1) * g; v = b2 * v + (1 - b2) * g**2;
    p = p - lr * (m / (1 - b1**t)) / (sqrt(v / (1 - b2**t)) + eps).
    ``decay_bias=False`` leaves parameters of one dimension, the biases, out of the weight decay.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        decay_bias: bool = True,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": tuple(betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "decay_bias": decay_bias,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        for name in ("lr", "eps", "weight_decay"):
            check_range("Adam", name, group[name])
        if len(group["betas"]) != 2:
            raise ValueError(f"Adam: betas must be two numbers, got {group['betas']}")
        for i, beta in enumerate(group["betas"]):
            check_range("Adam", f"betas[{i}]", beta, 0.0, 1.0)

    def _update(self, parameter: Tensor, grad: Any, group: dict[str, Any]) -> None:
        state = self.state.get(parameter)
        if state is None:
            state = self.state[parameter] = {
                "step": 0,
                "exp_avg": np.zeros_like(parameter._data),
                "exp_avg_sq": np.zeros_like(parameter._data),
            }
        state["step"] += 1
        ops.adam_update(
            parameter._data,
            grad,
            state["exp_avg"],
            state["exp_avg_sq"],
            step=state["step"],
            lr=group["lr"],
            betas=group["betas"],
            eps=group["eps"],
            weight_decay=decay_of(group, parameter),
        )
