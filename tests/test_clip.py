"""Clipping of gradients, as PyTorch does it."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn

SHAPES = [(4, 3), (5,), (2, 2, 3, 3)]


def pair(scale, seed=0):
    """The same parameters and gradients in both libraries."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    ours, theirs = [], []
    for shape in SHAPES:
        g = scale * rng.standard_normal(shape)
        ours.append(nn.Parameter(np.zeros(shape)))
        theirs.append(torch.nn.Parameter(torch.zeros(shape, dtype=torch.float64)))
        ours[-1].grad, theirs[-1].grad = fc.tensor(g.copy()), torch.tensor(g)
    ours.append(nn.Parameter(np.zeros(3)))  # without a gradient
    return ours, theirs, torch


@pytest.mark.parametrize("scale", [0.01, 10.0])
@pytest.mark.parametrize("norm_type", [2.0, float("inf")])
def test_norm(scale, norm_type):
    ours, theirs, torch = pair(scale)
    norm = nn.utils.clip_grad_norm_(ours, 1.0, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(theirs, 1.0, norm_type)
    assert norm.item() == pytest.approx(expected.item(), rel=1e-12)
    for p, q in zip(ours, theirs, strict=False):
        np.testing.assert_allclose(p.grad.data, q.grad.numpy(), rtol=1e-12)
    assert ours[-1].grad is None


def test_value():
    ours, theirs, torch = pair(1.0)
    nn.utils.clip_grad_value_(ours, 0.5)
    torch.nn.utils.clip_grad_value_(theirs, 0.5)
    for p, q in zip(ours, theirs, strict=False):
        np.testing.assert_array_equal(p.grad.data, q.grad.numpy())


def test_what_is_refused():
    p = nn.Parameter(np.zeros(3, np.float32))
    assert nn.utils.clip_grad_norm_(p, 1.0).item() == 0
    p.grad = fc.tensor(np.array([1, np.inf, 0], np.float32))
    with pytest.raises(RuntimeError, match="norm of the gradients is inf"):
        nn.utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)
    with pytest.raises(ValueError, match="norm_type must be 2 or infinity, got 3"):
        nn.utils.clip_grad_norm_([p], 1.0, 3)
