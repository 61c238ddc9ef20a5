"""Adam and AdamW."""

from __future__ import annotations

from typing import Any

from fastconv import ops
from fastconv.optim.batch import Batch, zeros
from fastconv.optim.optimizer import Optimizer, Params, check_betas, check_range


class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015), as in PyTorch.

    g = grad + weight_decay * p; m = b1 * m + (1 - b1) * g; v = b2 * v + (1 - b2) * g**2;
    p = p - lr * (m / (1 - b1**t)) / (sqrt(v / (1 - b2**t)) + eps).
    ``amsgrad`` puts the largest v so far in the place of v (Reddi, Kale, Kumar, 2018).
    ``decay_bias=False`` leaves parameters of one dimension, biases and norms, out of the weight
    decay.
    """

    _decoupled = False

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        decay_bias: bool = True,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": tuple(betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "decay_bias": decay_bias,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        name = type(self).__name__
        for option in ("lr", "eps", "weight_decay"):
            check_range(name, option, group[option])
        check_betas(name, group["betas"])

    def _new_state(self, array: Any, group: dict[str, Any]) -> dict[str, Any]:
        largest = ("max_exp_avg_sq",) if group["amsgrad"] else ()
        return {"step": 0, **zeros(array, "exp_avg", "exp_avg_sq", *largest)}

    def _update(self, batch: Batch, group: dict[str, Any]) -> None:
        ops.adam_update(
            batch.arrays,
            batch.grads,
            batch.state("exp_avg"),
            batch.state("exp_avg_sq"),
            batch.state("max_exp_avg_sq") if group["amsgrad"] else None,
            step=batch.step,
            lr=group["lr"],
            betas=group["betas"],
            eps=group["eps"],
            weight_decay=batch.weight_decay,
            decoupled=self._decoupled,
        )


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019), as in PyTorch.

    p = (1 - lr * weight_decay) * p, then Adam's step without it.
    """

    _decoupled = True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        decay_bias: bool = True,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, decay_bias=decay_bias)
