"""Losses as functions of tensors: what PyTorch has not, gradients by differences, errors."""

from __future__ import annotations

import numpy as np
import pytest
from gradcheck import check_gradients

import fastconv as fc
from fastconv import nn
from fastconv.nn import functional as F


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


SIGNS = np.array([1.0, -1, -1, 1, 1])
CLASSES = np.array([2, 0, 1, 2, 2])
WEIGHT = np.array([0.5, 1.0, 2.0])
LOSSES = {
    "l1": lambda x: F.l1_loss(x, fc.tensor(normal(5, 3, seed=1))),
    "huber": lambda x: F.huber_loss(x, fc.tensor(normal(5, 3, seed=1)), delta=0.7),
    "smooth l1": lambda x: F.smooth_l1_loss(x, fc.tensor(normal(5, 3, seed=1)), beta=0.7),
    "logits": lambda x: F.binary_cross_entropy_with_logits(
        x, fc.tensor(np.abs(normal(5, 3)) / 4), pos_weight=fc.tensor(WEIGHT)
    ),
    "probabilities": lambda x: F.binary_cross_entropy(
        F.sigmoid(x), fc.tensor(np.abs(normal(5, 3)) / 4)
    ),
    "hinge": lambda x: F.hinge_loss(x[:, 0], fc.tensor(SIGNS)),
    "multi-margin": lambda x: F.multi_margin_loss(x, fc.tensor(CLASSES), 2, 0.9),
    "smoothed": lambda x: F.cross_entropy(
        x, fc.tensor(CLASSES), fc.tensor(WEIGHT), ignore_index=1, label_smoothing=0.1
    ),
    "nll": lambda x: F.nll_loss(F.log_softmax(x), fc.tensor(CLASSES), fc.tensor(WEIGHT)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_by_finite_differences(name):
    check_gradients(LOSSES[name], normal(5, 3, seed=2))


def test_hinge_loss():
    x = fc.tensor([2.0, 0.5, -0.5, 1.0, np.nan], requires_grad=True)
    losses = F.hinge_loss(x, fc.tensor([1.0, 1, 1, 1, 1], dtype=x.dtype), reduction="none")
    np.testing.assert_allclose(losses.data, [0, 0.5, 1.5, 0, np.nan])
    losses.sum().backward()
    np.testing.assert_allclose(x.grad.data[:4], [0, -1, -1, 0])
    y, t = fc.tensor([3.0, -2.0]), fc.tensor([-1.0, -1.0])
    assert nn.HingeLoss()(y, t).item() == 2
    assert nn.HingeLoss("sum")(y, t).item() == 4


def test_zero_one_loss():
    scores = fc.tensor([[0.1, 0.9], [0.8, 0.2], [0.5, 0.5]], requires_grad=True)
    target = fc.tensor([1, 1, 0])
    losses = F.zero_one_loss(scores, target, reduction="none")
    assert losses.tolist() == [0, 1, 0]
    assert losses.dtype == np.float32
    assert not losses.requires_grad
    assert F.zero_one_loss(fc.tensor([1, 2]), fc.tensor([1, 4])).item() == 0.5
    assert nn.ZeroOneLoss("sum")(scores, target).item() == 1


def test_a_logit_of_minus_infinity_spoils_only_its_own_class():
    x = fc.tensor([[0.0, -np.inf, 1.0], [0.0, 1.0, -np.inf]], requires_grad=True)
    loss = F.cross_entropy(x, fc.tensor([0, -100]), fc.ones(3))
    loss.backward()
    assert loss.item() == pytest.approx(np.log1p(np.e), rel=1e-6)
    assert np.all(np.isfinite(x.grad.data))
    assert x.grad.data[1].tolist() == [0, 0, 0]


F32, F64 = fc.zeros(4, 3), fc.zeros(4, 3).double()
T4 = fc.tensor([0, 1, 2, 0])
WRONG = [
    (lambda: F.l1_loss(F32, fc.zeros(4)), ValueError, "l1_loss: input has shape (4, 3) but target"),
    (lambda: F.huber_loss(F32, F64), TypeError, "huber_loss: input is float32 but target is flo"),
    (
        lambda: F.huber_loss(F32, F32, delta=np.inf),
        ValueError,
        "above 0 and finite in float32, got",
    ),
    (lambda: F.huber_loss(F32, F32, delta=1e300), ValueError, "huber_loss: delta must be above 0"),
    (lambda: F.huber_loss(F32, F32, delta=np.nan), ValueError, "huber_loss: delta must be above 0"),
    (lambda: F.smooth_l1_loss(F32, F32, beta=np.inf), ValueError, "smooth_l1_loss: beta must be"),
    (lambda: F.smooth_l1_loss(F32, F32, beta=1e-60), ValueError, "smooth_l1_loss: beta must be"),
    (
        lambda: F.binary_cross_entropy(F32, F32, F32.double()),
        TypeError,
        "binary_cross_entropy: weight is float64 but input is float32",
    ),
    (
        lambda: F.binary_cross_entropy_with_logits(F32, F32, pos_weight=F32.double()),
        TypeError,
        "binary_cross_entropy_with_logits: pos_weight is float64 but input is float32",
    ),
    (lambda: F.huber_loss(F32, F32, delta=0), ValueError, "huber_loss: delta must be above 0"),
    (lambda: F.smooth_l1_loss(F32, F32, beta=-1), ValueError, "beta must be at least 0, got -1"),
    (lambda: F.l1_loss(F32, F32, reduction="max"), ValueError, "l1_loss: reduction must be mean,"),
    (lambda: F.l1_loss(F32.data, F32), TypeError, "l1_loss: input must be a Tensor, got ndarray"),
    (
        lambda: F.binary_cross_entropy(F32 + 1.5, F32),
        ValueError,
        "binary_cross_entropy: input must be in [0, 1], got 1.5",
    ),
    (
        lambda: F.binary_cross_entropy_with_logits(F32, F32, pos_weight=fc.ones(4)),
        ValueError,
        "with_logits: pos_weight has shape (4,), which does not broadcast to (4, 3)",
    ),
    (
        lambda: F.cross_entropy(F32, T4 + 1, ignore_index=9),
        ValueError,
        "cross_entropy: target[2] is 3, outside [0, 3)",
    ),
    (
        lambda: F.nll_loss(F32, T4 - 1),
        ValueError,
        "nll_loss: target[0] is -1, outside [0, 3)",
    ),
    (
        lambda: F.cross_entropy(F32, T4, label_smoothing=1.5),
        ValueError,
        "cross_entropy: label_smoothing must be in [0, 1], got 1.5",
    ),
    (
        lambda: nn.CrossEntropyLoss(label_smoothing=3),
        ValueError,
        "CrossEntropyLoss: label_smoothing must be in [0, 1], got 3",
    ),
    (
        lambda: F.cross_entropy(F32, T4, fc.ones(4)),
        ValueError,
        "cross_entropy: weight has shape (4,), expected (3,) (input shape (4, 3))",
    ),
    (
        lambda: F.nll_loss(F32, T4, fc.ones(3).double()),
        TypeError,
        "nll_loss: weight is float64 but input is float32",
    ),
    (
        lambda: F.cross_entropy(fc.zeros(4, 3, 2), T4),
        ValueError,
        "cross_entropy: target has shape (4,), expected (4, 2) (input shape (4, 3, 2))",
    ),
    (
        lambda: F.cross_entropy(F32, fc.zeros(4)),
        ValueError,
        "cross_entropy: input has shape (4, 3) but the probabilities in target (4,)",
    ),
    (lambda: F.multi_margin_loss(F32, T4, 3), ValueError, "multi_margin_loss: p must be 1 or 2"),
    (
        lambda: F.multi_margin_loss(F32, T4[:2]),
        ValueError,
        "multi_margin_loss: input has shape (4, 3) and target (2,), expected (N, C) and (N,)",
    ),
    (lambda: F.zero_one_loss(F32, T4[:2]), ValueError, "zero_one_loss: input has shape (4, 3) but"),
    (lambda: nn.HuberLoss("max"), ValueError, "HuberLoss: reduction must be mean, sum or none"),
]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_bad_row_that_is_ignored_spoils_nothing(smoothing, weight, bad):
    scores, weight = normal(5, 3), None if weight is None else fc.tensor(weight)
    results = []
    for row in (scores[1], [bad, 1.0, bad]):
        scores[1] = row
        x, target = fc.tensor(scores.copy(), requires_grad=True), fc.tensor([2, -100, 1, 0, 2])
        loss = F.cross_entropy(x, target, weight, label_smoothing=smoothing)
        loss.backward()
        results.append((loss.item(), x.grad.data))
    assert results[0][0] == results[1][0] and np.isfinite(results[0][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])
    assert not results[1][1][1].any() and results[1][1][0].all()


@pytest.mark.parametrize("call, kind, text", WRONG, ids=[w[2][:40] for w in WRONG])
def test_errors(call, kind, text):
    with pytest.raises(kind) as raised:
        call()
    assert text in str(raised.value)
