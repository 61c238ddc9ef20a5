"""Cross-entropy from logits and class numbers."""

from __future__ import annotations

import numpy as np
import pytest

from fastconv import ops, reference
from fastconv.testing import LAYOUTS, assert_matches, lay_out, normal

REDUCTIONS = ("mean", "sum", "none")


def batch(rows, classes, dtype="float32", seed=0):
    logits = 3 * normal((rows, classes), seed, dtype)
    target = np.random.Generator(np.random.Philox(seed)).integers(0, classes, rows)
    return logits, target


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("rows, classes", [(1, 1), (1, 10), (5, 3), (64, 10), (33, 17), (7, 1000)])
@pytest.mark.parametrize("target_dtype", [np.int64, np.int32])
def test_loss_and_gradient(backend, rows, classes, reduction, dtype, target_dtype):
    logits, target = batch(rows, classes, dtype)
    target = target.astype(target_dtype)
    loss = backend.ops.cross_entropy(logits, target, reduction=reduction)
    assert loss.shape == ((rows,) if reduction == "none" else ())
    wide = logits.astype(np.longdouble)
    expected = reference.cross_entropy(wide, target, reduction=reduction)
    eps = np.finfo(dtype).eps
    lost = 4 * eps * np.abs(logits).max(initial=0)  # a small loss is a difference of large logits
    lost *= rows if reduction == "sum" else 1
    np.testing.assert_allclose(loss, expected.astype(float), rtol=20 * eps, atol=lost)
    grad = np.asarray(normal(loss.shape, 4, dtype))
    dlogits = backend.ops.cross_entropy_backward(grad, logits, target, reduction=reduction)
    expected = reference.cross_entropy_backward(grad, wide, target, reduction=reduction)
    assert_matches(dlogits, expected, dtype, terms=16 + classes)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout(backend, layout):
    logits, target = batch(9, 12)
    laid, spread = lay_out(logits, layout), np.repeat(target, 2)[::2]
    loss = backend.ops.cross_entropy(laid, spread, reduction="none")
    expected = reference.cross_entropy(logits.astype(float), target, reduction="none")
    assert_matches(loss, expected, np.float32, terms=12)
    dlogits = backend.ops.cross_entropy_backward(
        np.ones(9, np.float32)[::-1], laid, spread, reduction="none"
    )
    expected = reference.cross_entropy_backward(
        np.ones(9), logits.astype(float), target, reduction="none"
    )
    assert_matches(dlogits, expected, np.float32, terms=12)


def test_softmax_minus_one_hot(backend):
    logits = np.log(np.array([[0.5, 0.1, 0.2, 0.2]]))
    gradient = backend.ops.cross_entropy_backward(np.array(1.0), logits, np.array([0]))
    np.testing.assert_allclose(gradient, [[-0.5, 0.1, 0.2, 0.2]], atol=1e-15)
    loss = backend.ops.cross_entropy(logits, np.array([0]))
    assert float(loss) == pytest.approx(np.log(2), rel=1e-15)


def test_logits_far_apart(backend):
    logits = np.array([[1e4, -1e4], [-3e38, 3e38]], np.float32)
    target = np.array([1, 1])
    with np.errstate(over="ignore"):
        losses = backend.ops.cross_entropy(logits, target, reduction="none")
        gradient = backend.ops.cross_entropy_backward(
            np.float32(1), logits, target, reduction="sum"
        )
    assert losses.tolist() == [2e4, 0]
    assert gradient.tolist() == [[1, -1], [0, 0]]


def test_nan_stays_visible(backend):
    logits, target = batch(4, 5)
    logits[2, 3] = np.nan
    losses = backend.ops.cross_entropy(logits, target, reduction="none")
    assert np.isnan(losses).tolist() == [False, False, True, False]
    assert np.isnan(backend.ops.cross_entropy(logits, target))


def test_empty_batch(backend):
    logits, target = batch(0, 5)
    assert np.isnan(backend.ops.cross_entropy(logits, target))
    assert backend.ops.cross_entropy(logits, target, reduction="sum") == 0
    assert backend.ops.cross_entropy(logits, target, reduction="none").shape == (0,)
    gradient = backend.ops.cross_entropy_backward(np.float32(1), logits, target)
    assert gradient.shape == (0, 5)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_gradient_by_finite_differences(backend, reduction):
    logits, target = batch(6, 7, "float64")
    direction = normal(logits.shape, 9, np.float64)
    weights = normal((6,) if reduction == "none" else (), 8, np.float64)

    def loss(logits):
        return np.vdot(weights, backend.ops.cross_entropy(logits, target, reduction=reduction))

    slope = (loss(logits + 1e-6 * direction) - loss(logits - 1e-6 * direction)) / 2e-6
    grad = np.asarray(weights)
    gradient = backend.ops.cross_entropy_backward(grad, logits, target, reduction=reduction)
    assert slope == pytest.approx(np.vdot(gradient, direction), rel=1e-7)


@pytest.mark.parametrize("dtype", [np.int64, np.int32])
@pytest.mark.parametrize("bad", [-1, 10, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("row", [0, 3, 63])
def test_a_target_out_of_range_is_named(row, bad, dtype):
    logits, target = batch(64, 10)
    target = target.astype(dtype)
    target[row] = bad
    with pytest.raises(ValueError, match=rf"^cross_entropy: target.*\b{row}\b.*{bad}\b"):
        ops.cross_entropy(logits, target)
    with pytest.raises(ValueError, match=rf"^cross_entropy_backward: target.*\b{row}\b.*{bad}\b"):
        ops.cross_entropy_backward(np.float32(1), logits, target)
