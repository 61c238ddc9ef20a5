"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from fastconv import ops
from fastconv.optim.batch import Batch, zeros
from fastconv.optim.optimizer import Optimizer, Params, check_range


class SGD(Optimizer):
    """Gradient descent with momentum, as in PyTorch.

    g = grad + weight_decay * p; with momentum, v = momentum * v + (1 - dampening) * g (v = g in
    the first step) and g = v, or g + momentum * v with ``nesterov``; p = p - lr * g.
    ``decay_bias=False`` leaves parameters of one dimension, the biases, out of the weight decay.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        decay_bias: bool = True,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "decay_bias": decay_bias,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        for name in ("lr", "momentum", "weight_decay"):
            check_range("SGD", name, group[name])
        check_range("SGD", "dampening", group["dampening"], -float("inf"))
        if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
            raise ValueError(
                "SGD: nesterov needs momentum > 0 and dampening 0, got momentum "
                f"{group['momentum']} and dampening {group['dampening']}"
            )

    def _new_state(self, array: Any, group: dict[str, Any]) -> dict[str, Any]:
        return zeros(array, "momentum_buffer") if group["momentum"] != 0 else {}

    def _update(self, batch: Batch, group: dict[str, Any]) -> None:
        ops.sgd_update(
            batch.arrays,
            batch.grads,
            batch.state("momentum_buffer") if group["momentum"] != 0 else None,
            lr=group["lr"],
            momentum=group["momentum"],
            dampening=group["dampening"],
            weight_decay=batch.weight_decay,
            nesterov=group["nesterov"],
            first_step=batch.step == 1,
        )
