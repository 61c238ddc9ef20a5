"""One step of the optimizer from the gradients of one batch or several."""

from __future__ import annotations

from typing import Any

from fastconv.autograd.tensor import Tensor
from fastconv.nn.utils import clip_grad_norm_, clip_grad_value_


class Step:
    """Backward passes, and the optimizer's step after every `accumulate` of them.

    The gradient of a step is that of the mean over all samples of its batches, as if they were one
    batch. clip_norm, clip_value: limits of its norm and of its elements, in this order.
    """

    def __init__(
        self,
        optimizer: Any,
        accumulate: int = 1,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        if accumulate < 1:
            raise ValueError(f"Trainer: accumulate must be at least 1, got {accumulate}")
        for name, limit in (("clip_norm", clip_norm), ("clip_value", clip_value)):
            if limit is not None and not limit > 0:
                raise ValueError(f"Trainer: {name} must be positive, got {limit}")
        self.optimizer, self.accumulate = optimizer, accumulate
        self.clip_norm, self.clip_value = clip_norm, clip_value
        self._batches = self._samples = 0

    def __call__(self, loss: Tensor, samples: int, last: bool) -> None:
        """Take the gradient of a batch's mean loss. last: step, whatever is still to come."""
        if self._batches == 0:
            self.optimizer.zero_grad()
        if self.accumulate == 1:
            loss.backward()
        else:
            (loss * samples).backward()
            self._batches, self._samples = self._batches + 1, self._samples + samples
            if self._batches < self.accumulate and not last:
                return
            for grad in self._grads():
                grad *= grad.dtype.type(1 / max(1, self._samples))
            self._batches = self._samples = 0
        if self.clip_norm is not None:
            clip_grad_norm_(self._parameters(), self.clip_norm)
        if self.clip_value is not None:
            clip_grad_value_(self._parameters(), self.clip_value)
        self.optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """The gradients of the batches since the last step."""
        held = self._parameters() if self._batches else []
        grads = [None if p._grad is None else p._grad._data for p in held]
        return {"batches": self._batches, "samples": self._samples, "grads": grads}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`. Raises ValueError where it is that of other parameters."""
        parameters = self._parameters() if state["batches"] else []
        if len(state["grads"]) != len(parameters):
            raise ValueError(
                f"Trainer: the checkpoint holds gradients of {len(state['grads'])} parameters, "
                f"expected {len(parameters)}"
            )
        self._batches, self._samples = state["batches"], state["samples"]
        for parameter, grad in zip(parameters, state["grads"], strict=True):
            parameter.grad = None if grad is None else Tensor(grad).to(parameter.device)

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def _grads(self) -> list[Any]:
        return [p._grad._data for p in self._parameters() if p._grad is not None]
