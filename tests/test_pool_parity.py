"""Max pooling in one and three dimensions and over covering windows gives PyTorch's results."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv as fc
from fastconv.nn import functional as F
from fastconv.testing import exact_integers, lay_out

torch = pytest.importorskip("torch")

SIZES = {1: (19,), 2: (11, 8), 3: (7, 5, 6)}


def compare(name, x, arguments, layout):
    """Values and indices, and the gradient of a weighting of the values."""
    theirs = torch.from_numpy(x).requires_grad_()
    expected, places = getattr(torch.nn.functional, name)(theirs, *arguments, return_indices=True)
    ours = fc.tensor(lay_out(x, layout), requires_grad=True)
    got, indices = getattr(F, name)(ours, *arguments, return_indices=True)
    np.testing.assert_array_equal(got.data, expected.detach().numpy())
    np.testing.assert_array_equal(indices.data, places.numpy())
    weights = exact_integers(got.shape, 9, x.dtype)
    expected.backward(torch.from_numpy(weights))
    got.backward(fc.tensor(weights))
    np.testing.assert_array_equal(ours.grad.data, theirs.grad.numpy())


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("window", [(2, None, 0, 1), (3, 2, 1, 1), (3, 1, 1, 2)])
@pytest.mark.parametrize("dims", [1, 3])
def test_max_pool(dims, window, ceil_mode, layout):
    x = exact_integers((2, 17, *SIZES[dims]), 1)
    compare(f"max_pool{dims}d", x, (*window, ceil_mode), layout)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_adaptive(dims, size, layout):
    x = exact_integers((2, 17, *SIZES[dims]), 2)
    x[0, 3, 2] = np.nan
    compare(f"adaptive_max_pool{dims}d", x, (size,), layout)
