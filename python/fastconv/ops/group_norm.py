"""Layer and group normalisation: statistics of each example by itself."""

from __future__ import annotations

from collections.abc import Sequence

from fastconv import _core
from fastconv.ops.types import Array, ArrayLike


def layer_norm(
    x: ArrayLike,
    normalized_shape: Sequence[int],
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    eps: float = 1e-5,
) -> tuple[Array, Array, Array]:
    """(x - mean) / sqrt(var + eps) * weight + bias over the last dimensions (Ba et al., 2016).

    Mean and (biased) variance are those of the ``normalized_shape`` that ``x`` ends in, one of each
    for every index before it. Sums are carried in float64.

    Args:
        x: (*, *normalized_shape), float32 or float64.
        normalized_shape: the last dimensions of ``x``, at least one.
        weight, bias: ``normalized_shape``, dtype of ``x``; None: 1 and 0.
        eps: added to the variance, at least 0.

    Returns:
        y, shape of ``x``, contiguous; mean and 1 / sqrt(var + eps), shape of the dimensions before,
        for ``layer_norm_backward``: float32 where ``x`` is of 16 bits.

    Raises:
        ValueError: shapes or values do not fit.
        TypeError: not arrays, or another or mixed dtypes.
        MemoryError: the result cannot be held.
    """
    return _core.layer_norm(x, normalized_shape, weight, bias, eps)


def layer_norm_backward(
    grad: ArrayLike,
    x: ArrayLike,
    normalized_shape: Sequence[int],
    weight: ArrayLike | None,
    mean: ArrayLike,
    invstd: ArrayLike,
    *,
    output_mask: tuple[bool, bool, bool] = (True, True, True),
) -> tuple[Array | None, Array | None, Array | None]:
    """Gradients of ``layer_norm``: dx, dw, db; None where ``output_mask`` says so.

    Args:
        grad: gradient at y; shape and dtype of ``x``.
        x, normalized_shape, weight: what ``layer_norm`` took.
        mean, invstd: what it returned.
        output_mask: which of dx, dw and db are wanted.

    Returns:
        dx, contiguous; dw and db of ``normalized_shape``, also where there were none.

    Raises:
        ValueError: shapes do not fit.
        TypeError: not arrays, or another or mixed dtypes.
    """
    return _core.layer_norm_backward(grad, x, normalized_shape, weight, mean, invstd, output_mask)


def group_norm(
    x: ArrayLike,
    num_groups: int,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    eps: float = 1e-5,
) -> tuple[Array, Array, Array]:
    """(x - mean) / sqrt(var + eps) * weight + bias in each group of channels (Wu, He, 2018).

    Mean and (biased) variance are those of ``C / num_groups`` neighbouring channels of an example
    over all of space; as many groups as channels: instance normalisation. Sums are carried in
    float64.

    Args:
        x: (N, C), (N, C, L), (N, C, H, W) or (N, C, D, H, W), float32 or float64; N may be 0.
        num_groups: divides C.
        weight, bias: (C,), dtype of ``x``; None: 1 and 0.
        eps: added to the variance, at least 0.

    Returns:
        y, which lies as ``x`` does; mean and 1 / sqrt(var + eps), (N, num_groups), for
        ``group_norm_backward``: float32 where ``x`` is of 16 bits.

    Raises:
        ValueError: shapes or values do not fit.
        TypeError: not arrays, or another or mixed dtypes.
        MemoryError: the result cannot be held.
    """
    return _core.group_norm(x, num_groups, weight, bias, eps)


def group_norm_backward(
    grad: ArrayLike,
    x: ArrayLike,
    num_groups: int,
    weight: ArrayLike | None,
    mean: ArrayLike,
    invstd: ArrayLike,
    *,
    output_mask: tuple[bool, bool, bool] = (True, True, True),
) -> tuple[Array | None, Array | None, Array | None]:
    """Gradients of ``group_norm``: dx, dw, db; None where ``output_mask`` says so.

    Args:
        grad: gradient at y; shape and dtype of ``x``.
        x, num_groups, weight: what ``group_norm`` took.
        mean, invstd: (N, num_groups), what it returned.
        output_mask: which of dx, dw and db are wanted.

    Returns:
        dx, which lies as ``x`` does; dw and db (C,), also where there were none.

    Raises:
        ValueError: shapes or values do not fit.
        TypeError: not arrays, or another or mixed dtypes.
    """
    return _core.group_norm_backward(grad, x, num_groups, weight, mean, invstd, output_mask)
