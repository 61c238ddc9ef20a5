"""LAMB."""

from __future__ import annotations

from typing import Any

from fastconv import ops
from fastconv.optim.batch import Batch, zeros
from fastconv.optim.optimizer import Optimizer, Params, check_betas, check_range


class LAMB(Optimizer):
    """LAMB (You et al., 2020, algorithm 2), for large batches.

    Adam's direction d = m / (sqrt(v) + eps) + weight_decay * p, with the corrected means, scaled
    for each parameter to the parameter's own length: p = p - lr * |p| / |d| * d.
    ``decay_bias=False`` leaves parameters of one dimension, biases and norms, out of the weight
    decay.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
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
        for option in ("lr", "eps", "weight_decay"):
            check_range("LAMB", option, group[option])
        check_betas("LAMB", group["betas"])

    def _new_state(self, array: Any, group: dict[str, Any]) -> dict[str, Any]:
        return {"step": 0, **zeros(array, "exp_avg", "exp_avg_sq")}

    def _update(self, batch: Batch, group: dict[str, Any]) -> None:
        ops.lamb_update(
            batch.arrays,
            batch.grads,
            batch.state("exp_avg"),
            batch.state("exp_avg_sq"),
            step=batch.step,
            lr=group["lr"],
            betas=group["betas"],
            eps=group["eps"],
            weight_decay=batch.weight_decay,
        )
