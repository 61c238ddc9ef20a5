"""L-BFGS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastconv.autograd.engine import enable_grad
from fastconv.autograd.tensor import Tensor
from fastconv.optim.line_search import Point, strong_wolfe
from fastconv.optim.optimizer import Optimizer, Params, check_range, copied

_CURVATURE = 1e-10  # least y . s of a pair that is kept: the approximation stays positive definite


class LBFGS(Optimizer):
    """Limited-memory BFGS (Nocedal and Wright, 2006, algorithm 7.5), as in PyTorch.

    A full-batch method: ``step(closure)`` calls the closure, which computes the loss and its
    gradients anew, up to ``max_eval`` times and moves up to ``max_iter`` times along the
    quasi-Newton direction that the last ``history_size`` steps give. All parameters form one
    vector; there is one parameter group.

    lr: length of a step in units of the direction (the first: at most lr over the gradient's sum).
    tolerance_grad, tolerance_change: a step ends when no gradient is larger, or the parameters or
    the loss change by less.
    line_search_fn: None, or "strong_wolfe" (the same book, algorithms 3.5 and 3.6).
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)

    def add_param_group(self, group: dict[str, Any]) -> None:
        if self.param_groups:
            raise ValueError("LBFGS: all parameters are one vector: there is only one group")
        super().add_param_group(group)
        if len({p.dtype for p in self._parameters()}) > 1:
            raise TypeError("LBFGS: parameters must share one dtype")

    def _check(self, group: dict[str, Any]) -> None:
        for name in ("lr", "tolerance_grad", "tolerance_change"):
            check_range("LBFGS", name, group[name])
        for name in ("max_iter", "max_eval", "history_size"):
            check_range("LBFGS", name, group[name], 1)
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise ValueError(
                'LBFGS: line_search_fn must be None or "strong_wolfe", got '
                f"{group['line_search_fn']!r}"
            )

    def _loaded(self, what: str, value: Any, parameter: Tensor) -> Any:
        return copied(what, value, parameter) if hasattr(value, "shape") else value

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Minimise from here; returns the loss before the first move.

        closure: computes the loss and its gradients anew.
        """
        if closure is None:
            raise TypeError("LBFGS: step needs a closure that computes the loss and its gradients")
        group, state = self.param_groups[0], self._state()
        self._evaluations = 0
        first = self._evaluate(closure)
        here = first[0]
        for iteration in range(1, group["max_iter"] + 1):
            if np.max(np.abs(here.gradient)) <= group["tolerance_grad"]:
                break
            state["n_iter"] += 1
            direction = self._direction(state, here.gradient)
            slope = direction @ here.gradient
            length = group["lr"]
            if state["n_iter"] == 1:
                length *= min(1.0, 1.0 / float(np.sum(np.abs(here.gradient))))
            state["direction"], state["gradient"] = direction, here.gradient
            if slope > -group["tolerance_change"]:
                state["length"] = length
                break
            before, here = here, self._move(closure, here, direction, length, iteration)
            state["length"] = here.length
            if (
                self._evaluations >= group["max_eval"]
                or np.max(np.abs(direction * here.length)) <= group["tolerance_change"]
                or abs(here.loss - before.loss) < group["tolerance_change"]
            ):
                break
        return first[1]

    def _parameters(self) -> list[Tensor]:
        return self.param_groups[0]["params"]

    def _state(self) -> dict[str, Any]:
        """Of all parameters, kept under the first. Rows of ``changes`` and ``moves`` are the pairs
        y and s of the book, oldest first."""
        first = self._parameters()[0]
        if first not in self.state:
            size = sum(p._data.size for p in self._parameters())
            none = np.zeros_like(first._data, order="C", shape=(0, size))
            self.state[first] = {"n_iter": 0, "scale": 1.0, "changes": none, "moves": none}
        return self.state[first]

    def _direction(self, state: dict[str, Any], gradient: Any) -> Any:
        """Minus the approximate inverse Hessian times the gradient, the last step taken in."""
        if state["n_iter"] == 1:
            return -gradient
        change, move = gradient - state["gradient"], state["direction"] * state["length"]
        curvature = change @ move
        if curvature > _CURVATURE:
            keep = self.param_groups[0]["history_size"] - 1
            for name, row in (("changes", change), ("moves", move)):
                held = state[name]
                state[name] = np.concatenate([held[len(held) - min(len(held), keep) :], row[None]])
            state["scale"] = float(curvature / (change @ change))
        return self._two_loops(state, gradient)

    @staticmethod
    def _two_loops(state: dict[str, Any], gradient: Any) -> Any:
        """Algorithm 7.4."""
        q, pairs = -gradient, list(zip(state["changes"], state["moves"], strict=True))
        weights = []
        for y, s in reversed(pairs):
            weights.append((s @ q) / (y @ s))
            q = q - weights[-1] * y
        q = q * state["scale"]
        for (y, s), weight in zip(pairs, reversed(weights), strict=True):
            q = q + s * (weight - (y @ q) / (y @ s))
        return q

    def _move(
        self, closure: Any, here: Point, direction: Any, length: float, iteration: int
    ) -> Point:
        """Along the direction, by the line search or by ``length``."""
        group, start = self.param_groups[0], [p._data.copy() for p in self._parameters()]

        def at(distance: float) -> Point:
            self._place(start, direction, distance)
            return self._evaluate(closure)[0]._replace(length=distance)

        if group["line_search_fn"] == "strong_wolfe":
            found = strong_wolfe(at, here, direction, length, group["tolerance_change"])
            self._place(start, direction, found.length)
            return found
        if iteration < group["max_iter"]:
            return at(length)
        self._place(start, direction, length)  # nobody asks for the loss there
        return here._replace(loss=float("inf"), length=length)

    def _place(self, start: list[Any], direction: Any, distance: float) -> None:
        """Put the parameters at ``start + distance * direction``."""
        offset = 0
        for parameter, array in zip(self._parameters(), start, strict=True):
            part = direction[offset : offset + array.size].reshape(array.shape)
            parameter._data[...] = array + distance * part
            parameter._version.count += 1
            offset += array.size

    def _evaluate(self, closure: Callable[[], Any]) -> tuple[Point, Any]:
        """Loss and gradient where the parameters are, and what the closure returned."""
        with enable_grad():
            loss = closure()
        self._evaluations += 1
        flat = [
            (np.zeros_like(p._data) if p._grad is None else p._grad._data).reshape(-1)
            for p in self._parameters()
        ]
        return Point(float(loss), np.concatenate(flat), 0.0), loss
