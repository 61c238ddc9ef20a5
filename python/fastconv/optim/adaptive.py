"""Learning rates of each weight's own: Adagrad, Adadelta, RMSprop."""

from __future__ import annotations

from typing import Any

from fastconv import ops
from fastconv.optim.batch import Batch, zeros
from fastconv.optim.optimizer import Optimizer, Params, check_range


class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan and Singer, 2011), as in PyTorch.

    g = grad + weight_decay * p; s = s + g**2;
    p = p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps).
    ``decay_bias=False`` leaves parameters of one dimension, biases and norms, out of the weight
    decay.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        decay_bias: bool = True,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
            "decay_bias": decay_bias,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        for option in ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps"):
            check_range("Adagrad", option, group[option])

    def _new_state(self, array: Any, group: dict[str, Any]) -> dict[str, Any]:
        state = {"step": 0, **zeros(array, "sum")}
        state["sum"] += array.dtype.type(group["initial_accumulator_value"])
        return state

    def _update(self, batch: Batch, group: dict[str, Any]) -> None:
        ops.adagrad_update(
            batch.arrays,
            batch.grads,
            batch.state("sum"),
            step=batch.step,
            lr=group["lr"],
            lr_decay=group["lr_decay"],
            eps=group["eps"],
            weight_decay=batch.weight_decay,
        )


class Adadelta(Optimizer):
    """Adadelta (Zeiler, 2012), as in PyTorch.

    g = grad + weight_decay * p; v = rho * v + (1 - rho) * g**2;
    d = sqrt(u + eps) / sqrt(v + eps) * g; u = rho * u + (1 - rho) * d**2; p = p - lr * d.
    ``decay_bias=False`` leaves parameters of one dimension, biases and norms, out of the weight
    decay.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        decay_bias: bool = True,
    ) -> None:
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "decay_bias": decay_bias,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        for option in ("lr", "eps", "weight_decay"):
            check_range("Adadelta", option, group[option])
        if not 0 <= group["rho"] <= 1:
            raise ValueError(f"Adadelta: rho must be in [0, 1], got {group['rho']}")

    def _new_state(self, array: Any, group: dict[str, Any]) -> dict[str, Any]:
        return {"step": 0, **zeros(array, "square_avg", "acc_delta")}

    def _update(self, batch: Batch, group: dict[str, Any]) -> None:
        ops.adadelta_update(
            batch.arrays,
            batch.grads,
            batch.state("square_avg"),
            batch.state("acc_delta"),
            lr=group["lr"],
            rho=group["rho"],
            eps=group["eps"],
            weight_decay=batch.weight_decay,
        )


class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton, 2012), as in PyTorch.

    g = grad + weight_decay * p; v = alpha * v + (1 - alpha) * g**2; d = g / (sqrt(v) + eps);
    p = p - lr * d, or with momentum b = momentum * b + d; p = p - lr * b.
    ``centered`` takes the square of the gradient's running mean off v under the root.
    ``decay_bias=False`` leaves parameters of one dimension, biases and norms, out of the weight
    decay.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        decay_bias: bool = True,
    ) -> None:
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "decay_bias": decay_bias,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        for option in ("lr", "alpha", "eps", "weight_decay", "momentum"):
            check_range("RMSprop", option, group[option])

    def _new_state(self, array: Any, group: dict[str, Any]) -> dict[str, Any]:
        mean = ("grad_avg",) if group["centered"] else ()
        buffer = ("momentum_buffer",) if group["momentum"] != 0 else ()
        return {"step": 0, **zeros(array, "square_avg", *mean, *buffer)}

    def _update(self, batch: Batch, group: dict[str, Any]) -> None:
        ops.rmsprop_update(
            batch.arrays,
            batch.grads,
            batch.state("square_avg"),
            batch.state("grad_avg") if group["centered"] else None,
            batch.state("momentum_buffer") if group["momentum"] != 0 else None,
            lr=group["lr"],
            alpha=group["alpha"],
            eps=group["eps"],
            weight_decay=batch.weight_decay,
            momentum=group["momentum"],
        )
