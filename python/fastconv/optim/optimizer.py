"""What all optimizers share: parameter groups, gradients, state that can be saved."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from fastconv.autograd.engine import enable_grad
from fastconv.autograd.tensor import Tensor
from fastconv.devices import to_device
from fastconv.optim.batch import Batch


class Optimizer:
    """Base class.

    params: tensors, or dicts of a group's ``"params"`` and the options in which the group differs
    from ``defaults``. ``param_groups`` is the list of these groups as dicts; ``state`` maps a
    parameter to what the optimizer remembers of it.
    """

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        name = type(self).__name__
        if isinstance(params, (Tensor, dict)):
            raise TypeError(f"{name}: params must be an iterable of Tensors or dicts, not one")
        if not isinstance(params, Iterable):
            raise TypeError(
                f"{name}: params must be an iterable of Tensors or dicts, as net.parameters() is, "
                f"got {type(params).__name__}"
            )
        groups = list(params)
        if not groups:
            raise ValueError(f"{name}: the list of parameters is empty")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Add parameters, with options of their own, to those that are updated."""
        name = type(self).__name__
        if not isinstance(group, dict) or "params" not in group:
            raise TypeError(f'{name}: a parameter group is a dict with "params", got {group!r}')
        params = group["params"]
        params = [params] if isinstance(params, Tensor) else list(params)
        known = {id(p) for g in self.param_groups for p in g["params"]}
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(f"{name}: parameters are Tensors, got {type(p).__name__}")
            if not p.is_leaf:
                raise ValueError(f"{name}: a tensor of shape {p.shape} is no leaf of the graph")
            if id(p) in known:
                raise ValueError(f"{name}: a parameter of shape {p.shape} is given twice")
            known.add(id(p))
        unknown = group.keys() - self.defaults.keys() - {"params", "initial_lr"}
        if unknown:
            raise ValueError(f"{name}: unknown options {sorted(unknown)} of a parameter group")
        full = {**self.defaults, **group, "params": params}
        self._check(full)
        self.param_groups.append(full)

    def _check(self, group: dict[str, Any]) -> None:
        """Raise ValueError for options out of range."""
        raise NotImplementedError

    def _new_state(self, array: Any, group: dict[str, Any]) -> dict[str, Any]:
        """What is remembered of a parameter (an array) before its first step; "step", where the
        rule counts, is 0."""
        raise NotImplementedError

    def _update(self, batch: Batch, group: dict[str, Any]) -> None:
        """Change the arrays of a batch and their states."""
        raise NotImplementedError

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient and are not frozen; returns what ``closure``
        returns.

        closure: computes the loss and its gradients anew, before the update.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            for batch in self._batches(group):
                self._update(batch, group)
                for tensor, state in zip(batch.tensors, batch.states, strict=True):
                    tensor._version.count += 1
                    if state:
                        self.state[tensor] = state
        return loss

    def _batches(self, group: dict[str, Any]) -> Iterable[Batch]:
        """The group's parameters that have gradients and are not frozen."""
        batches: dict[tuple, Batch] = {}
        for tensor in group["params"]:
            if tensor._grad is None or not tensor._requires_grad:
                continue
            array, state = tensor._data, self.state.get(tensor)
            done = state.get("step", 1) if state else 0
            decays = group["decay_bias"] or array.ndim > 1
            key = (done, decays, array.dtype, type(array))
            batch = batches.get(key)
            if batch is None:
                batch = batches[key] = Batch(done + 1, group["weight_decay"] if decays else 0.0)
            state = state or self._new_state(array, group)
            if "step" in state:
                state["step"] += 1
            batch.add(tensor, state)
        return batches.values()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or fill them with 0."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if set_to_none:
                    parameter._grad = None
                elif parameter._grad is not None:
                    parameter._grad.zero_()

    def state_dict(self) -> dict[str, Any]:
        """``{"state": {index: {name: array or number}}, "param_groups": [{option: value, ...,
        "params": [index, ...]}]}``, parameters numbered in the order of the groups.

        Options are numbers, booleans and tuples of numbers. The arrays are the optimizer's own,
        not copies: copy what is to be kept, or save it at once.
        """
        index: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for parameter in group["params"]:
                index[id(parameter)] = len(index)
            options = {key: value for key, value in group.items() if key != "params"}
            groups.append({**options, "params": [index[id(p)] for p in group["params"]]})
        state = {index[id(p)]: dict(kept) for p, kept in self.state.items()}
        return {"state": dict(sorted(state.items())), "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over options and state from :meth:`state_dict`, copying the arrays to the
        parameters' devices.

        Indices may be strings and tuples lists, as JSON writes them. Raises ValueError where
        groups, parameters or shapes differ, TypeError for other dtypes; nothing has changed then.
        """
        name = type(self).__name__
        groups, wanted = self.param_groups, state_dict["param_groups"]
        sizes = [len(group["params"]) for group in groups]
        if sizes != [len(group["params"]) for group in wanted]:
            raise ValueError(
                f"{name}: load_state_dict: this optimizer has groups of {sizes} parameters, the "
                f"state of {[len(group['params']) for group in wanted]}"
            )
        parameters = {
            int(i): parameter
            for group, other in zip(groups, wanted, strict=True)
            for i, parameter in zip(other["params"], group["params"], strict=True)
        }
        state = {}
        for key, kept in state_dict["state"].items():
            parameter = parameters.get(int(key))
            if parameter is None:
                raise ValueError(f"{name}: load_state_dict: no parameter {key} in the groups")
            where = f"{name}: load_state_dict: parameter {key}"
            state[parameter] = {
                what: self._loaded(f"{where}: {what}", value, parameter)
                for what, value in kept.items()
            }
        updated = [
            {**group, **_options(other), "params": group["params"]}
            for group, other in zip(groups, wanted, strict=True)
        ]
        for group in updated:
            self._check(group)
        for group, new in zip(groups, updated, strict=True):
            group.update(new)
        self.state = state

    def _loaded(self, what: str, value: Any, parameter: Tensor) -> Any:
        """A copy of a saved piece of state, which must lie as the parameter does."""
        if not hasattr(value, "shape"):
            return value
        if value.shape != parameter.shape:
            raise ValueError(f"{what} has shape {value.shape}, the parameter {parameter.shape}")
        return copied(what, value, parameter)

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            options = ", ".join(f"{k}={v}" for k, v in sorted(group.items()) if k != "params")
            lines.append(f"  group {i}: {len(group['params'])} parameters, {options}")
        return f"{type(self).__name__}(\n" + "\n".join(lines) + "\n)"


def _options(group: dict[str, Any]) -> dict[str, Any]:
    return {
        key: tuple(value) if isinstance(value, list) else copy.copy(value)
        for key, value in group.items()
        if key != "params"
    }


def copied(what: str, array: Any, parameter: Tensor) -> Any:
    """A copy of an array of saved state, which must have the parameter's dtype."""
    if array.dtype != parameter.dtype:
        raise TypeError(f"{what} is {array.dtype}, the parameter {parameter.dtype}")
    return to_device(array.copy(order="K"), parameter.device)


def check_range(
    optimizer: str, name: str, value: Any, low: float = 0.0, high: float = float("inf")
) -> None:
    """ValueError unless low <= value < high (NaN is outside), TypeError for what is no number."""
    if not isinstance(value, (int, float, np.number)) or isinstance(value, bool):
        raise TypeError(f"{optimizer}: {name} must be a number, got {value!r}")
    if not low <= value < high:
        bound = f"in [{low}, {high})" if high != float("inf") else f"finite and at least {low}"
        raise ValueError(f"{optimizer}: {name} must be {bound}, got {value}")


def check_betas(optimizer: str, betas: Any) -> None:
    """Raises ValueError unless these are two numbers in [0, 1)."""
    if len(betas) != 2:
        raise ValueError(f"{optimizer}: betas must be two numbers, got {betas}")
    for i, beta in enumerate(betas):
        check_range(optimizer, f"betas[{i}]", beta, 0.0, 1.0)


Params = Iterable[Tensor] | Iterable[dict[str, Any]]
