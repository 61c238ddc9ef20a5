"""Softmax over one dimension, and the cross-entropy of class scores."""

from __future__ import annotations

from fastconv import _core
from fastconv.ops.types import Array, ArrayLike, Reduction


def softmax(x: ArrayLike, dim: int = -1) -> Array:
    """exp(x) / sum(exp(x)) along ``dim``, computed from x - max(x).

    Args:
        x: float32 or float64 array of any shape.
        dim: the dimension that sums to 1, negative from the end.

    Returns:
        An array of the shape and dtype of ``x`` that lies as ``x`` does.

    Raises:
        ValueError: ``dim`` is out of range.
        TypeError: not an array, or another dtype.
    """
    return _core.softmax(x, dim)


def softmax_backward(grad: ArrayLike, y: ArrayLike, dim: int = -1) -> Array:
    """Gradient of ``softmax``: y * (grad - sum(grad * y)) along ``dim``.

    Args:
        grad: gradient at the output, float32 or float64.
        y: what ``softmax`` returned; shape and dtype of ``grad``.
        dim: as in ``softmax``.

    Returns:
        The gradient at the input; it lies as ``grad`` does.

    Raises:
        ValueError: the shapes differ, or ``dim`` is out of range.
        TypeError: not arrays, or another or mixed dtypes.
    """
    return _core.softmax_backward(grad, y, dim)


def log_softmax(x: ArrayLike, dim: int = -1) -> Array:
    """x - log(sum(exp(x))) along ``dim``, computed from x - max(x).

    Args:
        x: float32 or float64 array of any shape.
        dim: the dimension whose exponentials sum to 1, negative from the end.

    Returns:
        An array of the shape and dtype of ``x`` that lies as ``x`` does.

    Raises:
        ValueError: ``dim`` is out of range.
        TypeError: not an array, or another dtype.
    """
    return _core.log_softmax(x, dim)


def log_softmax_backward(grad: ArrayLike, y: ArrayLike, dim: int = -1) -> Array:
    """Gradient of ``log_softmax``: grad - exp(y) * sum(grad) along ``dim``.

    Args:
        grad: gradient at the output, float32 or float64.
        y: what ``log_softmax`` returned; shape and dtype of ``grad``.
        dim: as in ``log_softmax``.

    Returns:
        The gradient at the input; it lies as ``grad`` does.

    Raises:
        ValueError: the shapes differ, or ``dim`` is out of range.
        TypeError: not arrays, or another or mixed dtypes.
    """
    return _core.log_softmax_backward(grad, y, dim)


def cross_entropy(logits: ArrayLike, target: ArrayLike, *, reduction: Reduction = "mean") -> Array:
    """-log_softmax(logits)[n, target[n]], over the batch.

    Args:
        logits: scores (N, classes), float32 or float64.
        target: the right class of each row, (N,), int64 or int32, in [0, classes).
        reduction: "mean" (NaN for an empty batch, as PyTorch's), "sum" or "none".

    Returns:
        An array of shape (), or (N,) with "none", in the dtype of ``logits``.

    Raises:
        ValueError: shapes do not fit, or a target is no class; the message names its row. On a
            CUDA device the loss of such a row is NaN instead, and so is its gradient.
        TypeError: not arrays, or another dtype.
    """
    return _core.cross_entropy(logits, target, reduction)


def cross_entropy_backward(
    grad: ArrayLike, logits: ArrayLike, target: ArrayLike, *, reduction: Reduction = "mean"
) -> Array:
    """Gradient of ``cross_entropy`` at the logits: (softmax(logits) - one_hot(target)) * grad.

    Divided by N where the reduction is "mean".

    Args:
        grad: gradient at the loss, shape () or with "none" (N,), dtype of ``logits``.
        logits, target, reduction: as in ``cross_entropy``.

    Returns:
        (N, classes), contiguous.

    Raises:
        ValueError, TypeError: as ``cross_entropy``.
    """
    return _core.cross_entropy_backward(grad, logits, target, reduction)
