"""Batch normalisation."""

from __future__ import annotations

from typing import Literal

from fastconv import _core
from fastconv.ops.types import Array, ArrayLike


def batch_norm(
    x: ArrayLike,
    running_mean: Array | None,
    running_var: Array | None,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    activation: Literal["relu"] | None = None,
) -> tuple[Array, Array, Array]:
    """(x - mean) / sqrt(var + eps) * weight + bias, channel by channel.

    In training, mean and (biased) variance are those of the batch, over N and all of space, and
    ``running = (1 - momentum) * running + momentum * statistic`` is written to the running arrays,
    of the unbiased variance (Ioffe, Szegedy, 2015, with PyTorch's conventions). In evaluation they
    are the running ones. Sums are carried in float64.

    Args:
        x: (N, C), (N, C, L), (N, C, H, W) or (N, C, D, H, W), float32 or float64; N may be 0, and
            changes nothing then.
        running_mean, running_var: (C,), dtype of ``x``; None in training: none are kept.
        weight, bias: (C,), dtype of ``x``; None: 1 and 0.
        training: whether the statistics are the batch's.
        momentum: weight of the batch in the running statistics.
        eps: added to the variance, at least 0.
        activation: "relu": applied to the result in the same kernel.

    Returns:
        y, which lies as ``x`` does; mean and 1 / sqrt(var + eps) of each channel, for
        ``batch_norm_backward``: float32 where ``x`` is of 16 bits.

    Raises:
        ValueError: shapes or values do not fit, running statistics are missing in evaluation, or a
            channel has a single value in training.
        TypeError: not arrays, or another or mixed dtypes.
        MemoryError: the result cannot be held.
    """
    return _core.batch_norm(
        x, running_mean, running_var, weight, bias, training, momentum, eps, activation
    )


def batch_norm_backward(
    grad: ArrayLike,
    x: ArrayLike,
    weight: ArrayLike | None,
    bias: ArrayLike | None,
    mean: ArrayLike,
    invstd: ArrayLike,
    training: bool,
    *,
    activation: Literal["relu"] | None = None,
    output_mask: tuple[bool, bool, bool] = (True, True, True),
) -> tuple[Array | None, Array | None, Array | None]:
    """Gradients of ``batch_norm``: dx, dw, db; None where ``output_mask`` says so.

    ``grad`` is the gradient at the function's result, behind the activation: where the result is
    not above 0 a fused ReLU stops it, which ``x`` and the statistics tell again.

    Args:
        grad: shape and dtype of ``x``.
        x, weight, bias: what ``batch_norm`` took.
        mean, invstd: (C,), what it returned.
        training: as there; in evaluation the statistics are numbers with no gradient.
        activation: as there.
        output_mask: which of dx, dw and db are wanted.

    Returns:
        dx, which lies as ``x`` does; dw and db (C,), for weight and bias, also where they are None.

    Raises:
        ValueError: shapes or values do not fit.
        TypeError: not arrays, or another or mixed dtypes.
    """
    return _core.batch_norm_backward(
        grad, x, weight, bias, mean, invstd, training, activation, output_mask
    )
