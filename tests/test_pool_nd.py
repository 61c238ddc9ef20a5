"""Max pooling in one and three dimensions, and over windows that cover the input."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import fastconv as fc
from fastconv import memory, nn, ops, reference
from fastconv.nn import functional as F
from fastconv.testing import LAYOUTS, assert_exact, check, exact_integers, lay_out

ROWS = (
    "pool:n1c1w1s1",
    "pool:n0c3w6s2",
    "pool:n2c5w70s2",
    "pool:n2c70w9s3sw2p1",
    "pool:n3c17w40s3sw1p1ceil1",
    "pool:n2c3w31s4sw3dw2pw2",
)
VOLUMES = (
    "pool:n1c1d1t1",
    "pool:n0c3d6t2",
    "pool:n2c5d6h7w40t2",
    "pool:n2c3d5h6w7t3sd2p1",
    "pool:n1c65d4h5w6t2r3s2sd1sh2sw1pd1ph1pw0ceil1",
    "pool:n1c19d7t2sd2dd2pd1ceil1",
)
COVERED = (
    ((2, 3, 9, 7), (3, 2)),
    ((2, 33, 7, 7), (None, 3)),
    ((1, 2, 5, 6), (13, 7)),
    ((1, 70, 6, 5), 1),
    ((2, 5, 100), 7),
    ((1, 3, 5, 6, 40), (2, 6, 30)),
    ((0, 3, 6, 6), 2),
)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("pass_name", ["forward", "backward_input"])
@pytest.mark.parametrize("descriptor", ROWS)
def test_one_dimension(backend, descriptor, pass_name, dtype):
    for layout in LAYOUTS:
        check(backend.ops, descriptor, pass_name, layout, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("pass_name", ["forward", "backward_input"])
@pytest.mark.parametrize("descriptor", VOLUMES)
def test_three_dimensions(backend, descriptor, pass_name, dtype):
    for layout in LAYOUTS:
        check(backend.ops, descriptor, pass_name, layout, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", COVERED, ids=str)
def test_windows_that_cover_the_input(backend, case, dtype):
    shape, size = case
    name = f"adaptive_max_pool{len(shape) - 2}d"
    x = exact_integers(shape, 1, dtype)
    if x.size:
        x[0, 0, 1], x[0, -1] = np.nan, -np.inf
    expected = getattr(reference, name)(x, size)
    grad = exact_integers(expected[0].shape, 2, dtype)
    slopes = getattr(reference, f"{name}_backward")(grad, expected[1], shape)
    for layout in LAYOUTS:
        y, indices = getattr(backend.ops, name)(lay_out(x, layout), size)
        assert_exact(y, expected[0], np.dtype(dtype), layout)
        assert_exact(indices, expected[1], np.int64, layout)
        alone = getattr(backend.ops, name)(lay_out(x, layout), size, return_indices=False)
        np.testing.assert_array_equal(alone, y)
        dx = getattr(backend.ops, f"{name}_backward")(lay_out(grad, layout), indices, shape)
        assert_exact(dx, slopes, np.dtype(dtype), layout)


@pytest.mark.parametrize("size", [1, 3, 6])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_even_windows_that_cover_the_input(backend, layout, size):
    x = exact_integers((2, 70, 6, 12), 1)
    for name, array in (("adaptive_max_pool2d", x), ("adaptive_max_pool1d", x[:, :, 1])):
        expected = getattr(reference, name)(array, size)
        for got, wanted in zip(
            getattr(backend.ops, name)(lay_out(array, layout), size), expected, strict=True
        ):
            assert_exact(got, wanted, wanted.dtype, f"{name} {layout}")


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_windows_far_larger_than_the_input(cpu, layout):
    x = lay_out(np.full((1, 2, 1, 1, 1), 3, np.float32), layout)
    for padding in (0, 2**21):
        y, indices = cpu.ops.max_pool3d(x, 2**22, padding=padding, ceil_mode=True)
        assert (y == 3).all() and not indices.any()


@pytest.mark.parametrize(
    "name, shape, arguments",
    [
        ("adaptive_max_pool1d", (64, 1, 2**17), (1,)),
        ("adaptive_max_pool1d", (64, 1, 2**17 + 1), (2,)),
        ("max_pool3d", (1, 64, 32, 32, 30), (2,)),
    ],
)
def test_large_planes_are_not_turned(cpu, name, shape, arguments):
    x = exact_integers(shape, 1)
    gc.collect()
    memory.reset_peak()
    before = memory.stats()["in_use"]
    y, indices = getattr(cpu.ops, name)(x, *arguments)
    held = memory.stats()["peak"] - before
    assert held < 2 * (y.nbytes + indices.nbytes) + 2**16
    np.testing.assert_array_equal(
        np.take_along_axis(x.reshape(64, -1), indices.reshape(64, -1), 1), y.reshape(64, -1)
    )
    if name == "max_pool3d":
        blocks = x.reshape(64, 16, 2, 16, 2, 15, 2)
        np.testing.assert_array_equal(blocks.max((2, 4, 6)), y[0])
    else:
        np.testing.assert_array_equal(x.max(-1), y.max(-1))


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_gradients_go_to_the_maxima(dims):
    values = exact_integers((2, 3, 6, 5, 4)[: dims + 2], 3, np.float64)
    calls = {
        f"max_pool{dims}d": (3, 2, 1),
        f"adaptive_max_pool{dims}d": (3,),
    }
    for name, arguments in calls.items():
        x = fc.tensor(values, requires_grad=True)
        y, indices = getattr(F, name)(x, *arguments, return_indices=True)
        assert indices.data.dtype == np.int64
        weights = exact_integers(y.shape, 4, np.float64)
        y.backward(fc.tensor(weights))
        places = indices.data.reshape(2, 3, -1)
        won = np.zeros((2, 3, values[0, 0].size))
        for n, c in np.ndindex(2, 3):
            np.add.at(won[n, c], places[n, c], weights[n, c].ravel())
        np.testing.assert_array_equal(x.grad.data.reshape(won.shape), won)
        np.testing.assert_array_equal(getattr(F, name)(fc.tensor(values), *arguments).data, y.data)


def test_layers():
    x = fc.tensor(exact_integers((2, 3, 6, 6, 6), 5))
    y, indices = nn.MaxPool3d((1, 2, 2), return_indices=True)(x)
    assert y.shape == indices.shape == (2, 3, 6, 3, 3)
    np.testing.assert_array_equal(nn.AdaptiveMaxPool3d((None, 3, 3))(x).data, y.data)
    row = x[:, :, 0, 0]
    assert nn.MaxPool1d(3, 2, 1)(row).shape == (2, 3, 3)
    assert nn.AdaptiveMaxPool1d(4)(row).shape == (2, 3, 4)
    plane, places = nn.AdaptiveMaxPool2d((2, None), return_indices=True)(x[:, :, 0])
    assert plane.shape == places.shape == (2, 3, 2, 6)
    assert "kernel_size=2" in repr(nn.MaxPool1d(2)) and "output_size=2" in repr(
        nn.AdaptiveMaxPool2d(2)
    )


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda x: ops.max_pool1d(x, 2), "max_pool1d: input has shape (2, 3, 8, 8), expected 3"),
        (lambda x: ops.max_pool3d(x, 2), "max_pool3d: input has shape (2, 3, 8, 8), expected 5"),
        (lambda x: ops.adaptive_max_pool2d(x, 0), "output_size must be at least 1, got (0, 0)"),
        (lambda x: nn.MaxPool1d((1, 2)), "MaxPool1d: kernel_size must be"),
        (lambda x: nn.MaxPool3d(2, dilation=0), "MaxPool3d: dilation must be at least 1"),
        (lambda x: nn.AdaptiveMaxPool2d((1, 2, 3)), "output_size must have 2 values"),
        (
            lambda x: ops.adaptive_max_pool2d_backward(
                np.ones((1, 1, 1, 2), np.float32), np.array([[[[0, -1]]]]), (1, 1, 3, 5)
            ),
            "adaptive_max_pool2d_backward: index -1 at (0, 0, 0, 1) is outside the input plane",
        ),
        (
            lambda x: ops.max_pool1d_backward(
                np.ones((1, 1, 2), np.float32), np.array([[[0, 8]]]), (1, 1, 8)
            ),
            "max_pool1d_backward: index 8 at (0, 0, 1) is outside the input plane (8,)",
        ),
        (
            lambda x: ops.adaptive_max_pool2d_backward(
                x, np.zeros(x.shape, np.int64), (2, 4, 16, 16)
            ),
            "adaptive_max_pool2d_backward: grad has shape (2, 3, 8, 8), expected (2, 4, 8, 8)",
        ),
        (
            lambda x: ops.adaptive_max_pool1d_backward(x, np.zeros(x.shape, np.int64), (2, 3, 8)),
            "adaptive_max_pool1d_backward: grad has shape (2, 3, 8, 8), expected 3 dimensions",
        ),
    ],
)
def test_wrong_values(call, text):
    with pytest.raises(ValueError) as raised:
        call(np.zeros((2, 3, 8, 8), np.float32))
    assert text in str(raised.value)
