"""Losses: the values and gradients of torch.nn.functional, for every reduction."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.nn import functional as F
from fastconv.testing import assert_matches, normal

torch = pytest.importorskip("torch")
INF, NAN = np.inf, np.nan
REDUCTIONS = ("mean", "sum", "none")


def compare(name, arrays, dtype, reduction, differentiated=(0, 1), **settings):
    """Equal losses, and equal gradients at the arrays of these positions."""
    ours = [fc.tensor(a, requires_grad=i in differentiated) for i, a in enumerate(arrays)]
    theirs = [torch.tensor(a, requires_grad=i in differentiated) for i, a in enumerate(arrays)]
    weights = {k: v for k, v in settings.items() if isinstance(v, np.ndarray)}
    plain = {k: v for k, v in settings.items() if k not in weights}
    mine = {k: fc.tensor(v) for k, v in weights.items()}
    their = {k: torch.tensor(v) for k, v in weights.items()}
    y = getattr(F, name)(*ours, reduction=reduction, **plain, **mine)
    expected = getattr(torch.nn.functional, name)(*theirs, reduction=reduction, **plain, **their)
    grad = np.asarray(normal(y.shape, 9, dtype))
    y.backward(grad)
    expected.backward(torch.tensor(grad))
    assert_matches(y.data, expected.detach().numpy(), dtype, terms=400)
    for i in differentiated:
        assert_matches(ours[i].grad.data, theirs[i].grad.numpy(), dtype, terms=400)


DIFFERENCES = [
    ("mse_loss", {}),
    ("l1_loss", {}),
    ("smooth_l1_loss", {}),
    ("smooth_l1_loss", {"beta": 0.3}),
    ("smooth_l1_loss", {"beta": 0.0}),
    ("huber_loss", {}),
    ("huber_loss", {"delta": 2.5}),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name, settings", DIFFERENCES)
def test_differences(name, settings, reduction, dtype):
    x, t = 2 * normal((6, 4, 5), 1, dtype), normal((6, 4, 5), 2, dtype)
    t[0] = x[0]
    t[1, 0] = x[1, 0] + 1
    compare(name, (x, t), dtype, reduction, **settings)
    compare(name, (x[:, :, :0], t[:, :, :0]), dtype, reduction, **settings)


@pytest.mark.parametrize("name, settings", DIFFERENCES)
def test_differences_of_infinities(name, settings):
    x = np.array([INF, -INF, NAN, 3e38], np.float32)
    y = getattr(F, name)(fc.tensor(x), fc.zeros(4), reduction="none", **settings)
    expected = getattr(torch.nn.functional, name)(
        torch.tensor(x), torch.zeros(4), reduction="none", **settings
    )
    np.testing.assert_array_equal(np.isfinite(y.data), np.isfinite(expected.numpy()))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", [None, (7, 3), (3,), (7, 1)])
def test_binary_cross_entropy(weight, reduction, dtype):
    rng = np.random.default_rng(1)
    x, t = rng.random((7, 3)).astype(dtype), rng.random((7, 3)).astype(dtype)
    x[0] = [0.01, 0.99, 0.5]
    t[0] = [0, 1, 1]
    t[1] = 1
    settings = {} if weight is None else {"weight": rng.random(weight).astype(dtype)}
    compare("binary_cross_entropy", (x, t), dtype, reduction, **settings)
    logits = 5 * normal((7, 3), 3, dtype)
    if weight is not None:
        settings["pos_weight"] = rng.random(weight).astype(dtype)
    compare("binary_cross_entropy_with_logits", (logits, t), dtype, reduction, **settings)


def test_wrong_certainties_and_large_logits():
    x, t = np.array([0.0, 1, 0, 1], np.float32), np.array([1.0, 0, 0, 1], np.float32)
    compare("binary_cross_entropy", (x, t), "float32", "none", (0,))
    logits = np.array([1e4, -1e4, 1e4, -1e4, 60, -60], np.float32)
    t = np.array([0, 1, 1, 0, 1, 0], np.float32)
    ours = fc.tensor(logits, requires_grad=True)
    losses = F.binary_cross_entropy_with_logits(ours, fc.tensor(t), reduction="none")
    losses.backward(np.ones(6, np.float32))
    small = float(np.exp(-60))  # where PyTorch's difference of two large numbers gives 0
    np.testing.assert_allclose(losses.data, [1e4, 1e4, 0, 0, small, small], rtol=1e-6)
    np.testing.assert_allclose(ours.grad.data, [1, -1, 0, 0, -small, small], rtol=1e-6)


def scores_and_classes(shape, dtype):
    x = 2 * normal(shape, 1, dtype)
    t = np.random.default_rng(2).integers(0, shape[1], (shape[0], *shape[2:]))
    return x, t


CLASS_SHAPES = [(9, 5), (1, 1), (4, 3, 2), (2, 5, 3, 4)]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignored", [None, -100, 0, 7])
@pytest.mark.parametrize("shape", [(9, 5), (4, 3, 2), (2, 5, 3, 4)])
def test_cross_entropy(shape, ignored, weighted, smoothing, reduction):
    dtype = "float32" if shape == (4, 3, 2) else "float64"
    x, t = scores_and_classes(shape, dtype)
    settings = {"label_smoothing": smoothing}
    if ignored is not None:
        t.flat[1] = t.flat[-1] = ignored
        settings["ignore_index"] = ignored
    if weighted:
        settings["weight"] = np.linspace(0.5, 2, shape[1]).astype(dtype)
    compare("cross_entropy", (x, t), dtype, reduction, (0,), **settings)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(9, 5), (2, 5, 3, 4)])
def test_cross_entropy_of_probabilities(shape, weighted, smoothing, reduction):
    x, t = 2 * normal(shape, 1, "float64"), np.random.default_rng(2).random(shape)
    t /= t.sum(1, keepdims=True)
    settings = {"weight": np.linspace(0.5, 2, 5)} if weighted else {}
    compare("cross_entropy", (x, t), "float64", reduction, label_smoothing=smoothing, **settings)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", CLASS_SHAPES)
def test_nll_loss(shape, weighted, reduction):
    x, t = scores_and_classes(shape, "float64")
    settings = {"weight": np.linspace(0.5, 2, shape[1])} if weighted else {}
    compare("nll_loss", (x, t), "float64", reduction, (0,), **settings)
    if shape[1] > 1:
        compare("nll_loss", (x, t), "float64", reduction, (0,), ignore_index=1, **settings)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("weighted", [False, True])
def test_multi_margin_loss(weighted, p, reduction):
    x, t = scores_and_classes((9, 5), "float64")
    settings = {"weight": np.linspace(0.5, 2, 5)} if weighted else {}
    for margin in (1.0, 0.3):
        compare(
            "multi_margin_loss", (x, t), "float64", reduction, (0,), p=p, margin=margin, **settings
        )


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_every_target_ignored_and_no_targets(reduction):
    for rows in (3, 0):
        x, t = normal((rows, 4), 1), np.full(rows, -100)
        ours, theirs = fc.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y = F.cross_entropy(ours, fc.tensor(t), reduction=reduction)
        expected = torch.nn.functional.cross_entropy(theirs, torch.tensor(t), reduction=reduction)
        np.testing.assert_array_equal(y.data, expected.detach().numpy())


def test_layers():
    x, t = scores_and_classes((9, 5), "float32")
    w = np.linspace(0.5, 2, 5, dtype="float32")
    half = normal((9, 5), 4)
    unit, positive = 1 / (1 + np.exp(-x)), (half > 0).astype("float32")
    pairs = [
        (nn.CrossEntropyLoss, (x, t), {"weight": w, "ignore_index": 2, "label_smoothing": 0.1}),
        (nn.NLLLoss, (x, t), {"weight": w, "ignore_index": 2}),
        (nn.MultiMarginLoss, (x, t), {"p": 2, "margin": 0.5, "weight": w}),
        (nn.MSELoss, (x, half), {}),
        (nn.L1Loss, (x, half), {}),
        (nn.HuberLoss, (x, half), {"delta": 0.5}),
        (nn.SmoothL1Loss, (x, half), {"beta": 0.5}),
        (nn.BCELoss, (unit, positive), {"weight": w}),
        (nn.BCEWithLogitsLoss, (x, positive), {"weight": w, "pos_weight": w}),
    ]
    for kind, arrays, settings in pairs:
        own, their = (
            {k: tensor(v) if isinstance(v, np.ndarray) else v for k, v in settings.items()}
            for tensor in (fc.tensor, torch.tensor)
        )
        for reduction in REDUCTIONS:
            layer = kind(reduction=reduction, **own)
            twin = getattr(torch.nn, kind.__name__)(reduction=reduction, **their)
            y = layer(*map(fc.tensor, arrays))
            expected = twin(*map(torch.tensor, arrays))
            assert_matches(y.data, expected.numpy(), "float32", terms=64, repeat=kind.__name__)
            assert list(layer.state_dict()) == list(twin.state_dict())
