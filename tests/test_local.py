"""Locally connected layers: a convolution's windows, filters of their own at every place."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from gradcheck import check_gradients

import fastconv as fc
from fastconv import nn
from fastconv.models import summary
from fastconv.nn import functional as F
from fastconv.testing import exact_integers, lay_out, normal


def by_definition(x, weight, bias, stride, padding, dilation):
    """y[n,k,i,j] = b[k,i,j] + sum of w[i,j,k,c,r,s] x[n,c,i stride + r dilation - padding, ...]."""
    (oh, ow, outputs, _, r, s), (n, *_) = weight.shape, x.shape
    (top, left), (sh, sw), (dh, dw) = padding, stride, dilation
    around = np.pad(x, ((0, 0), (0, 0), (top, top), (left, left)))
    y = np.zeros((n, outputs, oh, ow))
    for i, j in itertools.product(range(oh), range(ow)):
        rows, columns = i * sh + dh * np.arange(r), j * sw + dw * np.arange(s)
        window = around[:, :, rows][:, :, :, columns]
        y[:, :, i, j] = np.tensordot(window, weight[i, j], axes=((1, 2, 3), (1, 2, 3)))
    return y + bias


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize(
    "x, kernel, outputs, stride, padding, dilation",
    [
        ((2, 3, 5, 6), (3, 2), 4, (1, 1), (0, 0), (1, 1)),
        ((1, 2, 7, 6), (3, 3), 1, (2, 1), (1, 2), (1, 1)),
        ((17, 1, 6, 6), (2, 3), 5, (1, 2), (0, 1), (2, 1)),
        ((0, 2, 4, 4), (2, 2), 3, (1, 1), (0, 0), (1, 1)),
    ],
)
def test_exact(x, kernel, outputs, stride, padding, dilation, layout):
    channels, size = x[1], x[2:]
    layer = nn.LocallyConnected2d(channels, outputs, size, kernel, stride, padding, dilation)
    layer.double()
    places = layer.output_shape(x)[2:]
    assert layer.weight.shape == (*places, outputs, channels, *kernel)
    layer.weight.data[...] = exact_integers(layer.weight.shape, 2)
    layer.bias.data[...] = exact_integers(layer.bias.shape, 3)
    image = exact_integers(x, 1, np.float64)
    y = layer(fc.tensor(lay_out(image, layout)))
    weight, bias = layer.weight.data, layer.bias.data
    np.testing.assert_array_equal(
        y.data, by_definition(image, weight, bias, stride, padding, dilation)
    )
    rectified = nn.Sequential(layer, nn.ReLU())(fc.tensor(image))
    np.testing.assert_array_equal(rectified.data, np.maximum(y.data, 0))


def test_filters_that_are_equal_make_a_convolution():
    x, filters = normal((3, 2, 8, 9), 1, np.float64), normal((4, 2, 3, 3), 2, np.float64)
    weight = np.broadcast_to(filters, (6, 7, *filters.shape))
    y = F.locally_connected2d(fc.tensor(x), fc.tensor(np.ascontiguousarray(weight)))
    np.testing.assert_allclose(y.data, fc.ops.conv2d(x, filters), rtol=1e-12)


def test_gradients_by_finite_differences():
    def function(x, weight, bias):
        return F.locally_connected2d(x, weight, bias, 1, 1, (1, 2), activation="tanh")

    shapes = ((2, 2, 3, 4), (4, 2, 2, 2, 2, 3), (2, 4, 2))
    check_gradients(function, *(normal(shape, i, np.float64) for i, shape in enumerate(shapes)))


def test_one_dimension():
    layer = nn.LocallyConnected1d(2, 3, 7, 3, stride=2, bias=False)
    assert layer.weight.shape == (3, 3, 2, 3) and layer.bias is None
    x = normal((4, 2, 7), 1)
    expected = [
        np.tensordot(x[:, :, 2 * i : 2 * i + 3], layer.weight.data[i], axes=((1, 2), (1, 2)))
        for i in range(3)
    ]
    np.testing.assert_allclose(
        layer(fc.tensor(x)).data, np.stack(expected, axis=-1), rtol=1e-5, atol=1e-6
    )
    check_gradients(
        lambda x, w: F.locally_connected1d(x, w, None, 2, "valid"),
        normal((2, 2, 5), 1, np.float64),
        normal((2, 3, 2, 3), 2, np.float64),
    )


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: F.locally_connected2d(fc.zeros(1, 2, 5, 5), fc.zeros(3, 3, 4, 2, 2, 2)),
            r"locally_connected2d: input \(1, 2, 5, 5\) has windows at \(4, 4\) places but weight "
            r"\(3, 3, 4, 2, 2, 2\) has filters for \(3, 3\)",
        ),
        (
            lambda: F.locally_connected2d(fc.zeros(1, 3, 5, 5), fc.zeros(4, 4, 4, 2, 2, 2)),
            r"locally_connected2d: input has 3 channels but weight \(4, 2, 2, 2\)",
        ),
        (
            lambda: F.locally_connected2d(fc.zeros(1, 2, 5, 5), fc.zeros(4, 2, 2, 2)),
            r"locally_connected2d: weight has shape \(4, 2, 2, 2\), expected 6 dimensions",
        ),
        (
            lambda: F.locally_connected1d(fc.zeros(1, 2, 5), fc.zeros(4, 3, 2, 2), fc.zeros(3)),
            r"locally_connected1d: bias has shape \(3,\), expected \(3, 4\)",
        ),
        (
            lambda: nn.LocallyConnected2d(1, 1, 4, 5),
            r"LocallyConnected2d: kernel \(5, 5\) with dilation \(1, 1\) is larger than the padded",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_parameters_are_counted_without_memory():
    """A picture of 200x200 and 40,000 hidden units: each sees all, or 10x10 pixels of its own."""
    tracemalloc.start()
    full = summary(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(40000, 40000, bias=False)), (1, 200, 200)
    )
    local = summary(lambda: nn.LocallyConnected2d(1, 1, 209, 10, bias=False), (1, 209, 209))
    shared = summary(lambda: nn.Conv2d(1, 100, 10, bias=False), (1, 200, 200))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert full.parameters == 1_600_000_000 and full.rows[-1].output_shape == (40000,)
    assert local.parameters == 4_000_000 and local.rows[0].output_shape == (1, 200, 200)
    assert shared.parameters == 10_000 and shared.rows[0].output_shape == (100, 191, 191)
    assert peak < 20e6


def test_summary_without_memory_equals_the_one_with():
    def build():
        return nn.Sequential(
            *(nn.Conv2d(2, 4, 3, 2, groups=2), nn.BatchNorm2d(4), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(100, 7), nn.Tanh()),
        )

    assert summary(build, (2, 11, 12)) == summary(build(), (2, 11, 12))
    with pytest.raises(ValueError, match="Linear: input has shape"):
        summary(build, (2, 11, 17))


@pytest.mark.parametrize("images", [0, 2])
def test_an_empty_batch_is_checked_as_any_other(images):
    x, weight = fc.zeros(images, 2, 3, 3), fc.zeros(2, 2, 4, 2, 2, 2)
    with pytest.raises(TypeError, match="weight is float64 but x is float32"):
        F.locally_connected2d(x, weight.double())
    with pytest.raises(TypeError, match="bias is float64 but x is float32"):
        F.locally_connected2d(x, weight, fc.zeros(4, 2, 2).double())
    with pytest.raises(ValueError, match=r"activation must be None, .* got 'tan'"):
        F.locally_connected2d(x, weight, activation="tan")
    with pytest.raises(TypeError, match="x must be float32 or float64, got int64"):
        F.locally_connected2d(x.long(), weight.long())
