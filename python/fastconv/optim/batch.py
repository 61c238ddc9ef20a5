"""What one call of an update works on."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv.autograd.tensor import Tensor


class Batch:
    """Parameters that one call of a kernel updates: of one dtype, at the same step.

    step: counted from 1; of rules that do not count, 1 or more.
    weight_decay: 0 for biases and norms where the group says so.
    """

    def __init__(self, step: int, weight_decay: float) -> None:
        self.step, self.weight_decay = step, weight_decay
        self.tensors: list[Tensor] = []
        self.arrays: list[Any] = []
        self.grads: list[Any] = []
        self.states: list[dict[str, Any]] = []

    def add(self, tensor: Tensor, state: dict[str, Any]) -> None:
        assert tensor._grad is not None
        self.tensors.append(tensor)
        self.arrays.append(tensor._data)
        self.grads.append(tensor._grad._data)
        self.states.append(state)

    def state(self, name: str) -> list[Any]:
        """The arrays of this name."""
        return [state[name] for state in self.states]


def zeros(array: Any, *names: str) -> dict[str, Any]:
    """A state of zeros like ``array`` under each name."""
    return {name: np.zeros_like(array) for name in names}
