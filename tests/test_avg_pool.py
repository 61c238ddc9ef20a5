"""Means over windows: the divisors, how results lie, special values, errors."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv as fc
from fastconv import _core, nn
from fastconv.nn import functional as F
from fastconv.reference.layout import lies_channels_last
from fastconv.testing import LAYOUTS, exact_integers, lay_out, normal, parse_descriptor

WAYS = (
    ("pool:n64c512h7r7", True, "planes", "planes"),
    ("pool:n64c256h14r2", True, "pairs", "pairs"),
    ("pool:n64c256h15r2ph1pw0", True, "pairs", "pairs"),
    ("pool:n64c256h15r2ph1pw0", False, "pairs", "pairs"),  # windows of one row and of two
    ("pool:n64c256h14r3sh2p1", True, "turned", "turned"),
    ("pool:n64c64h56r2", True, "rows", "rows"),
    ("pool:n64c64h56r3sh2p1", True, "rows", "alike"),
    ("pool:n64c64h56r3sh1p1", True, "rows", "alike"),
    ("pool:n64c64h56r3sh1p1", False, "rows", "rows"),
    ("pool:n1c64h512r3sh2p1", True, "rows", "rows"),
)


@pytest.mark.parametrize("descriptor, include_pad, forward, backward", WAYS)
def test_which_kernel_runs(descriptor, include_pad, forward, backward):
    problem = parse_descriptor(descriptor)
    for pass_name, way in (("forward", forward), ("backward_input", backward)):
        for dtype in ("float32", "float64"):
            given = (problem, pass_name, dtype)
            assert _core.avg_pool_implementation(*given, count_include_pad=include_pad) == way
            assert _core.avg_pool_implementation(*given, "channels_last") == "channels_last"


def test_average_by_definition():
    x = fc.tensor(exact_integers((1, 1, 5, 4), 3, np.float64))
    y = F.avg_pool2d(x, 3, 2, 1, ceil_mode=True).data
    outside = F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False).data
    assert y.shape == (1, 1, 3, 3)
    # The last window across has one column inside, one of padding, and one beyond it.
    assert y[0, 0, 1, 2] == x.data[0, 0, 1:4, 3:].sum() / 6
    assert outside[0, 0, 1, 2] == x.data[0, 0, 1:4, 3:].sum() / 3
    assert y[0, 0, 0, 0] == x.data[0, 0, :2, :2].sum() / 9
    assert outside[0, 0, 0, 0] == x.data[0, 0, :2, :2].sum() / 4


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_numbers(layout):
    plain = exact_integers((2, 5, 8, 9), 1)
    results = []
    for array in (plain, lay_out(plain, layout)):
        x = fc.tensor(array, requires_grad=True)
        y = F.avg_pool2d(x, 3, 2, 1)
        z = F.adaptive_avg_pool2d(x, (3, 1))
        (y.sum() + (z * z).sum()).backward()
        results.append((y.data, z.data, x.grad.data))
        last = layout == "channels_last" and array is not plain
        assert lies_channels_last(y.data) == lies_channels_last(x.grad.data) == last
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_gradient_of_a_plane_lies_as_the_plane():
    x = fc.tensor(lay_out(normal((2, 5, 6, 6), 1), "channels_last"), requires_grad=True)
    F.adaptive_avg_pool2d(x, 1).sum().backward()
    assert lies_channels_last(x.grad.data)
    np.testing.assert_array_equal(x.grad.data, np.full(x.shape, np.float32(1) / np.float32(36)))


def test_an_infinity_stays_in_its_windows():
    x = np.zeros((1, 1, 7, 7), np.float32)
    x[0, 0, 3, 3] = np.inf
    y = F.adaptive_avg_pool2d(fc.tensor(x), 4).data[0, 0]
    assert np.isinf(y[1:3, 1:3]).all() and np.count_nonzero(y) == 4


def test_empty_batch():
    x = fc.tensor(np.zeros((0, 3, 6, 6), np.float32), requires_grad=True)
    F.avg_pool2d(x, 2).sum().backward()
    assert x.grad.shape == (0, 3, 6, 6)
    assert F.adaptive_avg_pool2d(x, 1).shape == (0, 3, 1, 1)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_means_are_of_floating_numbers(dtype):
    x = fc.tensor(np.ones((1, 1, 2, 2), dtype))
    for name in ("avg_pool2d", "adaptive_avg_pool2d"):
        with pytest.raises(TypeError, match=f"^{name}: input must be float32 .* got {dtype}"):
            getattr(F, name)(x, 2)


X = fc.tensor(np.zeros((2, 3, 8, 8), np.float32))


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda: F.avg_pool2d(X, 9), "avg_pool2d: kernel_size (9, 9) is larger"),
        (lambda: F.avg_pool2d(X, 2, padding=2), "avg_pool2d: padding (2, 2) must be at most"),
        (lambda: F.avg_pool2d(X, 0), "avg_pool2d: kernel_size must be at least 1"),
        (lambda: F.avg_pool2d(X, 2, divisor_override=0), "divisor_override must not be 0"),
        (lambda: F.avg_pool1d(X, 2), "avg_pool1d: input has shape (2, 3, 8, 8), expected 3"),
        (lambda: F.avg_pool3d(X, 2), "avg_pool3d: input has shape (2, 3, 8, 8), expected 5"),
        (lambda: F.adaptive_avg_pool2d(X, 0), "output_size must be at least 1, got (0, 0)"),
        (lambda: F.adaptive_avg_pool2d(X, 2**40), "adaptive_avg_pool2d: output_size must be at"),
        (
            lambda: F.adaptive_avg_pool2d(X, (1, 2, 3)),
            "output_size must be an integer or a tuple of 2",
        ),
        (lambda: F.adaptive_avg_pool1d(X, 1), "adaptive_avg_pool1d: input has shape (2, 3, 8, 8)"),
        (lambda: nn.AvgPool2d(0), "AvgPool2d: kernel_size must be at least 1"),
        (lambda: nn.AvgPool1d((1, 2)), "AvgPool1d: kernel_size must be"),
        (lambda: nn.AvgPool3d(2, divisor_override=0), "divisor_override must not be 0"),
        (lambda: nn.AdaptiveAvgPool2d((1, 2, 3)), "output_size must have 2 values"),
        (lambda: nn.AdaptiveAvgPool2d(0), "output_size must be at least 1"),
    ],
)
def test_wrong_values(call, text):
    with pytest.raises(ValueError) as raised:
        call()
    assert text in str(raised.value)


@pytest.mark.parametrize(
    "call",
    [
        lambda: F.avg_pool2d(np.zeros((1, 1, 4, 4), np.float32), 2),
        lambda: F.avg_pool2d(X, 2.0),
        lambda: F.avg_pool2d(X, 2, divisor_override=1.5),
        lambda: F.adaptive_avg_pool2d(X, "1"),
        lambda: nn.AdaptiveAvgPool2d(1.5),
    ],
)
def test_wrong_types(call):
    with pytest.raises(TypeError):
        call()
