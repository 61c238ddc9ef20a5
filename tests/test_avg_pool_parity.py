"""Means over windows give PyTorch's numbers and gradients."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import fastconv as fc
from fastconv.nn import functional as F
from fastconv.testing import assert_matches, lay_out, normal

torch = pytest.importorskip("torch")

SIZES = {1: (11,), 2: (11, 8), 3: (7, 5, 6)}


def compare(name, x, arguments, settings, layout="contiguous"):
    """Values, and the gradient of a random weighting of the values."""
    theirs = torch.from_numpy(x).requires_grad_()
    expected = getattr(torch.nn.functional, name)(theirs, *arguments, **settings)
    ours = fc.tensor(lay_out(x, layout), requires_grad=True)
    got = getattr(F, name)(ours, *arguments, **settings)
    label = f"{name} {arguments} {settings} {layout}"
    assert_matches(got.data, expected.detach().numpy(), x.dtype, 16, label)
    weights = normal(got.shape, 9, x.dtype)
    expected.backward(torch.from_numpy(weights))
    got.backward(fc.tensor(weights))
    assert_matches(ours.grad.data, theirs.grad.numpy(), x.dtype, 16, label)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("kernel, stride, padding", [(2, None, 0), (3, 2, 1), (3, 1, 1), (4, 3, 2)])
def test_average(dims, kernel, stride, padding):
    x = normal((2, 17, *SIZES[dims]), 1, np.float64)
    divisors = [None, 5, -2] if dims > 1 else [None]
    for ceil, include, divisor in itertools.product([False, True], [False, True], divisors):
        settings = {"ceil_mode": ceil, "count_include_pad": include}
        settings |= {"divisor_override": divisor} if divisor else {}
        for layout in ("contiguous", "channels_last"):
            compare(f"avg_pool{dims}d", x, (kernel, stride, padding), settings, layout)


@pytest.mark.parametrize("size", [1, 2, 3, 5, (None, 3, 2), (13, 1, 9)])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_adaptive(dims, size):
    size = size[:dims] if isinstance(size, tuple) else size
    if dims == 1 and isinstance(size, tuple):
        size = size[0] or SIZES[1][0]  # PyTorch takes no None here
    x = np.round(2 * normal((2, 17, *SIZES[dims]), 3))
    for layout in ("contiguous", "channels_last"):
        compare(f"adaptive_avg_pool{dims}d", x, (size,), {}, layout)


@pytest.mark.parametrize("shape", [(1, 3, 40, 40), (2, 80, 14, 14), (1, 2, 64, 65)])
def test_wide_and_narrow_maps_in_float32(shape):
    x = normal(shape, 4)
    for layout in ("contiguous", "channels_last"):
        for window in ((2, 2), (3, 2, 1), (3, 1, 1), (5, 4, 2, True, False)):
            compare("avg_pool2d", x, window, {}, layout)
        for size in (1, 7, (7, 1), (3, 14)):
            compare("adaptive_avg_pool2d", x, (size,), {}, layout)


@pytest.mark.parametrize(
    "layer, arguments, shape",
    [
        ("AvgPool1d", (3, 2, 1, True, False), (2, 3, 9)),
        ("AvgPool2d", (3, 2, 1, True, False, 7), (2, 3, 9, 9)),
        ("AvgPool3d", ((2, 3, 1), 2, 0, True), (2, 3, 5, 6, 7)),
        ("AdaptiveAvgPool1d", (4,), (2, 3, 9)),
        ("AdaptiveAvgPool2d", ((None, 4),), (2, 3, 9, 9)),
        ("AdaptiveAvgPool3d", (2,), (2, 3, 5, 6, 7)),
    ],
)
def test_layers(layer, arguments, shape):
    x = normal(shape, 5)
    expected = getattr(torch.nn, layer)(*arguments)(torch.from_numpy(x))
    got = getattr(fc.nn, layer)(*arguments)(fc.tensor(x))
    assert_matches(got.data, expected.numpy(), np.float32)
