"""Dropout: the zeros of a key, the same in every layout, on every device and for every thread."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn, ops, reference
from fastconv.nn import functional as F
from fastconv.reference.dropout import philox
from fastconv.testing import LAYOUTS, assert_exact, lay_out, normal

SHAPES = [(), (1,), (255,), (256,), (1031,), (3, 5, 7, 6), (0, 4), (2, 33000)]


def test_philox_gives_the_published_words():
    """Of Random123's known answers (Salmon et al., 2011): counter and key 0, all bits set."""
    assert [hex(w) for w in philox(np.zeros(1, np.uint64), 0)[:, 0]] == [
        *("0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8")
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_definition(backend, shape, dtype):
    x = np.asarray(normal(shape, 1, dtype))
    for p, key in ((0.5, 0), (0.1, 2**63 + 5), (0.999, 7)):
        y = backend.ops.dropout(x, p, key)
        assert_exact(y, reference.dropout(x, p, key), dtype)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(backend, layout):
    x = lay_out(normal((3, 5, 7, 6), 1), layout)
    y = backend.ops.dropout(x, 0.3, 5)
    assert_exact(y, reference.dropout(x, 0.3, 5), np.float32)
    same = backend.ops.dropout(x, 0.3, 5, memory_format="channels_last")
    assert_exact(same, reference.dropout(x, 0.3, 5, memory_format="channels_last"), np.float32)


def test_share_and_mean():
    y = ops.dropout(np.ones(1_000_000, np.float32), 0.3, 1)
    assert (y == 0).mean() == pytest.approx(0.3, abs=2e-3)
    assert y.mean() == pytest.approx(1, abs=5e-3)
    other = ops.dropout(np.ones(1_000_000, np.float32), 0.3, 2)
    both = ((y == 0) & (other == 0)).mean()
    assert both == pytest.approx(0.09, abs=2e-3)


def test_threads(restore_threads):
    x = normal((100_003,), 1)
    results = []
    for count in (1, 2, 5):
        fc.set_num_threads(count)
        results.append(ops.dropout(x, 0.5, 9))
    assert all(np.array_equal(results[0], other) for other in results)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_the_gradient_has_the_same_zeros(layout):
    fc.manual_seed(3)
    x = fc.tensor(lay_out(normal((2, 3, 4, 5), 1), layout), requires_grad=True)
    y = F.dropout(x, 0.4)
    y.backward(fc.tensor(np.ones(x.shape, np.float32)))  # contiguous whatever x is
    np.testing.assert_array_equal(x.grad.data == 0, y.data == 0)
    np.testing.assert_allclose(x.grad.data[y.data != 0], 1 / 0.6, rtol=1e-6)


def test_layers():
    fc.manual_seed(1)
    layer, x = nn.Dropout(0.5), fc.tensor(np.ones((4, 6, 3, 3), np.float32))
    first, second = layer(x).data, layer(x).data
    assert not np.array_equal(first, second)
    fc.manual_seed(1)
    np.testing.assert_array_equal(layer(x).data, first)
    layer.eval()
    assert layer(x) is x and repr(layer) == "Dropout(p=0.5)"
    planes = nn.Dropout2d(0.5)(x).data.reshape(24, 9)
    assert set(planes.sum(1)) == {0.0, 18.0}
    assert (F.dropout(x, 1.0).data == 0).all()


def test_what_is_refused():
    x = np.ones(3, np.float32)
    with pytest.raises(ValueError, match=r"^dropout: p must be in \[0, 1\), got 1"):
        ops.dropout(x, 1.0, 0)
    with pytest.raises(TypeError):
        ops.dropout(x, 0.5, -1)
    with pytest.raises(ValueError, match=r"^Dropout: p must be in \[0, 1\], got 2"):
        nn.Dropout(2)
    with pytest.raises(ValueError, match=r"^dropout2d: input has shape \(3,\)"):
        F.dropout2d(fc.tensor(x))
