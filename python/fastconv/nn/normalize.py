"""Normalisation as functions of tensors, each with its backward closure beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from fastconv import ops
from fastconv.autograd.autocast import raised
from fastconv.autograd.checkpoint import recomputing
from fastconv.autograd.engine import recording
from fastconv.autograd.tensor import Tensor, record
from fastconv.nn.fused import array_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastconv.autograd.engine import Backward


def _optional(operation: str, name: str, x: Any) -> Any:
    return None if x is None else array_of(operation, name, x)


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    activation: Literal["relu"] | None = None,
) -> Tensor:
    """``(input - mean) / sqrt(var + eps) * weight + bias`` of each channel of (N, C, ...).

    In training mean and variance are the batch's and move the running ones, in place; else they
    are the running ones. activation: "relu", in the same kernel; the gradient's mask is computed
    from the input again, so that the result is not kept.
    """
    op = "batch_norm"
    if training and recomputing():
        running_mean = running_var = None  # the first run has moved them
    input = raised(op, input)
    x = array_of(op, "input", input)
    w, b = _optional(op, "weight", weight), _optional(op, "bias", bias)
    running = (
        _optional(op, "running_mean", running_mean),
        _optional(op, "running_var", running_var),
    )
    y, mean, invstd = ops.batch_norm(
        x, *running, w, b, training, momentum, eps, activation=activation
    )
    if training:
        for statistic in (running_mean, running_var):
            if statistic is not None:
                statistic._version.count += 1
    needs = recording(input, weight, bias)
    if needs is None:
        return Tensor(y)
    backward = _batch_norm_backward(x, w, b, mean, invstd, training, activation, needs)
    kept = [("input", input)]
    kept += [(name, t) for name, t in (("weight", weight), ("bias", bias)) if t is not None]
    return record(op, y, (input, weight, bias), backward, kept)


def _batch_norm_backward(
    x: Any, w: Any, b: Any, mean: Any, invstd: Any, training: bool, activation: Any, needs: Any
) -> Backward:
    def backward(grad: Any) -> Any:
        return ops.batch_norm_backward(
            grad, x, w, b, mean, invstd, training, activation=activation, output_mask=needs
        )

    return backward


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """``input / (k + alpha * mean)**beta``: the mean of input**2 over ``size`` channels around it.

    The sum of Krizhevsky et al. (2012) with alpha 1e-4 and n = 5 is this mean with alpha 5e-4.
    """
    op = "local_response_norm"
    input = raised(op, input)
    x = array_of(op, "input", input)
    y = ops.local_response_norm(x, size, alpha, beta, k)
    if recording(input) is None:
        return Tensor(y)

    def backward(grad: Any) -> Any:
        return (ops.local_response_norm_backward(grad, x, size, alpha, beta, k),)

    return record(op, y, (input,), backward, [("input", input)])


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """``(input - mean) / sqrt(var + eps) * weight + bias`` over the last dimensions, which are
    ``normalized_shape``."""
    op = "layer_norm"
    input = raised(op, input)
    return _own_statistics(
        op, ops.layer_norm, ops.layer_norm_backward, input, normalized_shape, weight, bias, eps
    )


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """``(input - mean) / sqrt(var + eps) * weight + bias`` with the statistics of each of
    ``num_groups`` groups of channels of each example (N, C, ...)."""
    op = "group_norm"
    input = raised(op, input)
    return _own_statistics(
        op, ops.group_norm, ops.group_norm_backward, input, num_groups, weight, bias, eps
    )


def _own_statistics(
    op: str,
    forward: Callable[..., Any],
    backward_of: Callable[..., Any],
    input: Tensor,
    extent: Any,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
) -> Tensor:
    """Layer and group normalisation: ``extent`` is what a mean is taken over."""
    x = array_of(op, "input", input)
    w, b = _optional(op, "weight", weight), _optional(op, "bias", bias)
    y, mean, invstd = forward(x, extent, w, b, eps)
    needs = recording(input, weight, bias)
    if needs is None:
        return Tensor(y)

    def backward(grad: Any) -> Any:
        return backward_of(grad, x, extent, w, mean, invstd, output_mask=needs)

    kept = [("input", input)] + ([("weight", weight)] if weight is not None else [])
    return record(op, y, (input, weight, bias), backward, kept)
