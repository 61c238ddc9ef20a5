"""Functions over the gradients of many parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from fastconv import ops
from fastconv.autograd.tensor import Tensor


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale all gradients by one factor so that their norm together is at most ``max_norm``.

    The factor is min(1, max_norm / (norm + 1e-6)), as in PyTorch (Pascanu, Mikolov, Bengio, 2013).

    norm_type: 2 or infinity (the largest magnitude).

    Returns the norm before, a tensor of no dimensions. Raises ValueError for another
    ``norm_type``, RuntimeError with ``error_if_nonfinite`` where the norm is NaN or infinite.
    """
    grads = _gradients(parameters)
    if not grads:
        return Tensor(np.zeros((), np.float32))
    if norm_type == 2:
        norm = ops.total_norm(grads)
    elif norm_type == float("inf"):
        norm = np.max(np.stack([np.max(np.abs(g)) for g in grads if g.size]))
    else:
        raise ValueError(f"clip_grad_norm_: norm_type must be 2 or infinity, got {norm_type}")
    if error_if_nonfinite and not np.isfinite(norm):
        raise RuntimeError(f"clip_grad_norm_: the norm of the gradients is {norm}")
    factor = np.minimum(max_norm / (norm + 1e-6), 1.0).astype(norm.dtype)
    for grad in grads:
        grad *= factor
    return Tensor(norm)


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Put every element of every gradient into [-clip_value, clip_value]."""
    for grad in _gradients(parameters):
        np.clip(grad, -clip_value, clip_value, out=grad)


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Any]:
    given = [parameters] if isinstance(parameters, Tensor) else parameters
    return [p._grad._data for p in given if p._grad is not None]
