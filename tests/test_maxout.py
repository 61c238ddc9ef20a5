"""Maxout: groups of neighbouring channels, indices forward, routes backward."""

from __future__ import annotations

import numpy as np
import pytest
from gradcheck import check_gradients

import fastconv as fc
from fastconv import nn, ops, reference
from fastconv.nn import functional as F
from fastconv.testing import LAYOUTS, assert_exact, exact_integers, lay_out

SHAPES = [
    ((4, 6), 3, 1),
    ((5, 12), 2, -1),
    ((6, 5), 2, 0),
    ((12,), 4, 0),
    ((2, 6, 5), 6, 1),
    ((2, 6, 5, 7), 2, 1),
    ((2, 6, 5, 7), 1, 1),
    ((2, 3, 4, 8), 4, 3),
    ((2, 6, 3, 2, 2), 3, 1),
    ((0, 6, 5, 7), 3, 1),
    ((2, 6, 0, 7), 3, 1),
    ((2, 0), 3, 1),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape, pieces, dim", SHAPES)
def test_equals_the_definition(cpu, shape, pieces, dim, dtype):
    x = exact_integers(shape, 1, dtype, -3, 3)
    if x.size:
        x.flat[3] = -np.inf
    for layout in LAYOUTS if len(shape) == 4 else ("contiguous",):
        y, indices = cpu.ops.maxout(lay_out(x, layout), pieces, dim)
        expected, places = reference.maxout(x, pieces, dim)
        assert_exact(y, expected, dtype, layout)
        assert_exact(indices, places, np.int64, layout)
        grad = exact_integers(y.shape, 2, dtype)
        dx = cpu.ops.maxout_backward(lay_out(grad, layout), indices, shape, dim)
        assert_exact(dx, reference.maxout_backward(grad, places, shape, dim), dtype, layout)
        if layout == "channels_last" and x.size:
            assert all(np.moveaxis(a, 1, -1).flags.c_contiguous for a in (y, indices, dx))


def test_the_first_maximum_wins_and_nan_over_all(cpu):
    x = np.array([[1, 1, -np.inf, -np.inf, 2, np.nan]], np.float32)
    y, indices = cpu.ops.maxout(x, 2)
    assert_exact(y, np.array([[1, -np.inf, np.nan]]), np.float32)
    assert indices.tolist() == [[0, 2, 5]]
    dx = cpu.ops.maxout_backward(np.array([[5, 6, 7]], np.float32), indices, (1, 6))
    assert dx.tolist() == [[5, 0, 6, 0, 0, 7]]


def test_layer_and_gradient():
    x = np.random.default_rng(1).permutation(np.arange(48.0)).reshape(2, 6, 2, 2)
    check_gradients(lambda t: F.maxout(t, 3), x)
    check_gradients(lambda t: F.maxout(t, 2, dim=-1), x)
    layer = nn.Maxout(3)
    assert repr(layer) == "Maxout(pieces=3, dim=1)"
    assert layer(fc.tensor(x)).shape == (2, 2, 2, 2)


WRONG = [
    (lambda x: ops.maxout(x, 4), ValueError, "maxout: pieces must divide dimension 1 of the input"),
    (lambda x: ops.maxout(x, 0), ValueError, "got 0 (input shape (2, 6))"),
    (lambda x: ops.maxout(x, 2, 2), ValueError, "maxout: dim 2 is out of range for shape (2, 6)"),
    (lambda x: ops.maxout(x, 2.0), TypeError, "maxout: pieces must be an integer, got float"),
    (lambda x: ops.maxout([1.0], 1), TypeError, "maxout: x must be a NumPy array or have"),
    (
        lambda x: ops.maxout_backward(x, x.astype(int), (2, 13)),
        ValueError,
        "maxout_backward: grad has shape (2, 6), expected (2, 13) with dimension 1 divided",
    ),
    (
        lambda x: ops.maxout_backward(x, x[:1].astype(int), (2, 12)),
        ValueError,
        "maxout_backward: indices has shape (1, 6), expected (2, 6)",
    ),
    (lambda x: nn.Maxout(0), ValueError, "Maxout: pieces must be at least 1, got 0"),
]


@pytest.mark.parametrize("call, kind, text", WRONG, ids=[w[2][:30] for w in WRONG])
def test_errors(call, kind, text):
    with pytest.raises(kind) as raised:
        call(np.zeros((2, 6), np.float32))
    assert text in str(raised.value)
