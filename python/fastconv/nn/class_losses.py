"""Losses of classes: scores or log-probabilities (N, C) against class numbers (N,).

Both may have further dimensions: (N, C, d1, ...) and (N, d1, ...). Class numbers are int64 or
int32; ValueError names one outside [0, C), whose loss on a CUDA device is NaN instead. weight: a
factor of each class, (C,). A target of ``ignore_index`` counts for nothing. The mean is that of the
counted losses by their weights, as PyTorch's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv import ops
from fastconv.autograd.autocast import raised
from fastconv.autograd.engine import recording
from fastconv.autograd.tensor import Tensor, record
from fastconv.autograd.variable import FLOATING
from fastconv.nn.fused import array_of, floating_of
from fastconv.nn.losses import check_reduction, reduced
from fastconv.nn.probabilities import log_softmax

if TYPE_CHECKING:
    from fastconv.ops.types import Reduction


def check_label_smoothing(operation: str, value: float) -> None:
    """ValueError unless 0 <= value <= 1."""
    if not 0 <= value <= 1:
        raise ValueError(f"{operation}: label_smoothing must be in [0, 1], got {value}")


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """``-log_softmax(input)[target]`` of scores ``input``.

    target: class numbers, or probabilities of the shape and dtype of ``input``. label_smoothing:
    the share, in [0, 1], of the target that is spread evenly over the classes. On a CUDA device
    only an ``ignore_index`` other than -100 is looked for.

    Of plain class numbers, softmax and logarithm are one kernel; the gradient at the input is
    ``(softmax(input) - onehot(target)) * grad``.
    """
    operation = "cross_entropy"
    input = raised(operation, input)
    x, t = array_of(operation, "input", input), array_of(operation, "target", target)
    check_reduction(operation, reduction)
    check_label_smoothing(operation, label_smoothing)
    if t.dtype in FLOATING:
        return _of_probabilities(input, target, weight, reduction, label_smoothing)
    if x.ndim > 2:
        input, target = _rows(operation, input, target)
    if weight is None and label_smoothing == 0 and not _ignores(t, ignore_index):
        losses = _plain(input, target, reduction)
        return losses.reshape(t.shape) if reduction == "none" and x.ndim > 2 else losses
    floating_of(operation, "input", input)
    place, factor = _classes(operation, input, target, weight, ignore_index)
    counted = target._data != ignore_index
    scores = log_softmax(_rows_of(input, counted), 1)
    losses = _picked(operation, scores, place, -factor)
    if label_smoothing:
        smooth = scores if weight is None else scores * weight
        share = Tensor(counted.astype(factor.dtype)) * (-label_smoothing / x.shape[1])
        smooth = smooth.sum(1) * share
        losses = losses * (1 - label_smoothing) + smooth
    return _reduced(losses, factor, t.shape, reduction)


def _rows_of(input: Tensor, counted: Any) -> Tensor:
    """The scores with zeros in the rows that do not count, so that no NaN leaves those."""
    if isinstance(counted, np.ndarray) and counted.all():
        return input
    x, rows = input._data, counted[:, None]
    out, zero = np.where(rows, x, x.dtype.type(0)), x.dtype.type(0)
    if recording(input) is None:
        return Tensor(out)
    return record("cross_entropy", out, (input,), lambda grad: (np.where(rows, grad, zero),))


def _plain(input: Tensor, target: Tensor, reduction: Reduction) -> Tensor:
    x, classes = input._data, target._data
    loss = ops.cross_entropy(x, classes, reduction=reduction)
    if recording(input) is None:
        return Tensor(loss)

    def backward(grad: Any) -> Any:
        return (ops.cross_entropy_backward(grad, x, classes, reduction=reduction), None)

    kept = [("input", input), ("target", target)]
    return record("cross_entropy", loss, (input, target), backward, kept)


def _of_probabilities(
    input: Tensor, target: Tensor, weight: Tensor | None, reduction: Reduction, smoothing: float
) -> Tensor:
    operation = "cross_entropy"
    if input.shape != target.shape or input.ndim < 2:
        raise ValueError(
            f"{operation}: input has shape {input.shape} but the probabilities in target "
            f"{target.shape}"
        )
    classes = input.shape[1]
    wanted = target * (1 - smoothing) + smoothing / classes if smoothing else target
    if weight is not None:
        _check_weight(operation, weight, input)
        wanted = wanted * weight.reshape(-1, *[1] * (input.ndim - 2))
    losses = -(log_softmax(input, 1) * wanted).sum(1)
    return reduced(operation, losses, reduction)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    """``-input[target]`` of log-probabilities ``input``, such as ``log_softmax`` gives."""
    operation = "nll_loss"
    input = raised(operation, input)
    x, t = floating_of(operation, "input", input), array_of(operation, "target", target)
    check_reduction(operation, reduction)
    if x.ndim > 2:
        input, target = _rows(operation, input, target)
    place, factor = _classes(operation, input, target, weight, ignore_index)
    losses = _picked(operation, input, place, -factor)
    return _reduced(losses, factor, t.shape, reduction)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    """The sum of ``max(0, margin - input[target] + input[i])**p`` over the other classes i, divided
    by C: the hinge loss of several classes, input (N, C). p: 1 or 2."""
    operation = "multi_margin_loss"
    if p not in (1, 2):
        raise ValueError(f"{operation}: p must be 1 or 2, got {p!r}")
    input = raised(operation, input)
    x = floating_of(operation, "input", input)
    array_of(operation, "target", target)
    place, factor = _classes(operation, input, target, weight, None)
    right = _picked(operation, input, place, np.ones_like(factor)).reshape(-1, 1)
    excess = (input - right + margin).relu()
    others = np.ones_like(x, order="C")
    np.put_along_axis(others, place, others.dtype.type(0), 1)
    terms = (excess * excess if p == 2 else excess) * Tensor(others)
    return reduced(operation, terms.sum(1) * Tensor(factor) / x.shape[1], reduction)


def _rows(operation: str, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Scores (N, C, d1, ...) as rows (N*d1*..., C), and their classes."""
    x, t = input._data, target._data
    if t.shape != (x.shape[0], *x.shape[2:]):
        raise ValueError(
            f"{operation}: target has shape {t.shape}, expected {(x.shape[0], *x.shape[2:])} "
            f"(input shape {x.shape})"
        )
    last = input.permute(0, *range(2, x.ndim), 1)
    return last.reshape(t.size, x.shape[1]), Tensor(t.reshape(-1))


def _ignores(target: Any, ignore_index: int) -> bool:
    if isinstance(target, np.ndarray):
        return bool(np.any(target == ignore_index))
    return ignore_index != -100  # to look would be to wait for the device


def _check_weight(operation: str, weight: Tensor, input: Tensor) -> None:
    w = array_of(operation, "weight", weight)
    if w.shape != input.shape[1:2]:
        raise ValueError(
            f"{operation}: weight has shape {w.shape}, expected {input.shape[1:2]} "
            f"(input shape {input.shape})"
        )
    if w.dtype != input.dtype:
        raise TypeError(f"{operation}: weight is {w.dtype} but input is {input.dtype}")


def _classes(
    operation: str, input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int | None
) -> tuple[Any, Any]:
    """The column of each row's class, (N, 1), and its weight, (N,): 0 where it is ignored."""
    x, t = input._data, target._data
    if x.ndim != 2 or t.shape != x.shape[:1]:
        raise ValueError(
            f"{operation}: input has shape {x.shape} and target {t.shape}, expected (N, C) and (N,)"
        )
    if t.dtype not in (np.int64, np.int32):
        raise TypeError(f"{operation}: target must be int64 or int32, got {t.dtype}")
    if weight is not None:
        _check_weight(operation, weight, input)
    ignored = t == ignore_index
    inside = (t >= 0) & (t < x.shape[1])
    if isinstance(t, np.ndarray) and not np.all(inside | ignored):
        row = int(np.argmin(inside | ignored))
        raise ValueError(f"{operation}: target[{row}] is {t[row]}, outside [0, {x.shape[1]})")
    place = np.where(inside, t, 0)
    one = x.dtype.type(1)
    factor = np.where(inside, one if weight is None else weight._data[place], x.dtype.type("nan"))
    return place[:, None], np.where(ignored, x.dtype.type(0), factor)


def _picked(operation: str, input: Tensor, place: Any, factor: Any) -> Tensor:
    """``input[n, place[n]] * factor[n]``; 0 where the factor is, whatever the input."""
    x, columns = input._data, factor[:, None]
    chosen = np.take_along_axis(x, place, 1)
    with np.errstate(all="ignore"):
        out = np.where(columns == 0, x.dtype.type(0), chosen * columns)[:, 0]
    if recording(input) is None:
        return Tensor(out)
    shape = x.shape

    def backward(grad: Any) -> Any:
        dx = np.zeros_like(grad, order="C", shape=shape)
        np.put_along_axis(dx, place, grad[:, None] * columns, 1)
        return (dx,)

    return record(operation, out, (input,), backward)


def _reduced(losses: Tensor, factor: Any, shape: tuple[int, ...], reduction: Reduction) -> Tensor:
    if reduction == "none":
        return losses.reshape(shape)
    total = losses.sum()
    return total / Tensor(factor.sum()) if reduction == "mean" else total
