"""Pooling on the emulator: every type, layout and order, windows that reach far over the edges."""

from __future__ import annotations

import numpy as np
import pytest
from emulator import backend as emulated
from emulator import cupy_stand_in as cupy
from test_cuda_kernels import DTYPES, ORDERS, dtype_of, near, on_the_emulator, unit_of

from fastconv import ops, reference
from fastconv.testing import lay_out, normal

__all__ = ["on_the_emulator"]  # a fixture of every test here
LAYOUTS = ("contiguous", "channels_last")


def start(order):
    emulated.library().emulator_set_order(ORDERS[order], 7)


def integers(shape, seed, kind, most=9):
    return np.random.default_rng(seed).integers(-most, most + 1, shape).astype(kind)


# Operation, shape without channels, arguments: plain windows and those of any kind.
MAXIMA = (
    ("max_pool2d", (3, 9, 8), (2, None, 0, 1, False)),
    ("max_pool2d", (2, 9, 8), (3, 2, 1, 1, False)),
    ("max_pool2d", (1, 9, 8), (3, 1, 1, 1, True)),
    ("max_pool2d", (1, 9, 8), ((3, 2), 1, 1, 2, False)),
    ("max_pool1d", (2, 31), (3, 2, 1, 2, True)),
    ("max_pool3d", (2, 5, 4, 6), (2, None, 0, 1, False)),
    ("max_pool3d", (1, 5, 6, 7), ((2, 3, 2), (1, 2, 3), (1, 1, 0), (2, 1, 3), True)),
    ("adaptive_max_pool2d", (2, 7, 5), ((3, 8),)),
    ("adaptive_max_pool3d", (1, 3, 5, 4), ((2, 5, 1),)),
    ("adaptive_max_pool1d", (2, 12), (4,)),
)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", MAXIMA, ids=str)
def test_max_pool(case, dtype, order):
    """Vectors of channels and single ones, several maps a block; exact integers."""
    start(order)
    kind, (name, (images, *extents), window) = dtype_of(dtype), case
    known = () if name.startswith("adaptive") else window
    for channels in (3, 16):
        shape = (images, channels, *extents)
        x = integers(shape, 1, kind)
        expected, places = getattr(reference, name)(x.astype(np.float64), *window)
        grad = integers(expected.shape, 2, kind, 3)
        slopes = reference.max_pool2d_backward(grad.astype(np.float64), places, shape)
        for layout in LAYOUTS:
            y, indices = getattr(ops, name)(cupy.on_device(lay_out(x, layout)), *window)
            assert y.dtype == kind and np.array_equal(y.get().astype(np.float64), expected)
            assert np.array_equal(indices.get(), places)
            there = cupy.on_device(lay_out(grad, layout))
            dx = getattr(ops, f"{name}_backward")(there, indices, shape, *known)
            assert np.array_equal(dx.get().astype(np.float64), slopes)
            if name.startswith("max"):  # in the order of the results
                dx = getattr(ops, f"{name}_backward")(there, indices, shape)
                assert np.array_equal(dx.get().astype(np.float64), slopes)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shape", [(1, 1, 401, 337), (2, 1, 3, 199, 233)])
def test_more_chunks_than_blocks(shape, order):
    """The emulator's four multiprocessors get 64 blocks a map."""
    start(order)
    name = f"max_pool{len(shape) - 2}d"
    x = integers(shape, 1, "float32", 99)
    y, indices = getattr(ops, name)(cupy.asarray(x), 1)
    assert np.array_equal(y.get(), x)
    assert np.array_equal(indices.get().reshape(len(x), -1)[-1], np.arange(x[0].size))
    dx = getattr(ops, f"{name}_backward")(y, indices, shape, 1)
    assert np.array_equal(dx.get(), x)


@pytest.mark.parametrize("kernel", [2**22, 2**30, 2**31 - 1])
def test_windows_far_larger_than_the_input(kernel):
    """A window's cells outside of the input are not visited: 2**93 of them would take a while."""
    whole = integers((1, 2, 2, 3, 2), 1, "float32")
    for x in (whole, whole[:, :, 0].copy(), whole[:, :, 0, 0].copy()):
        pool = getattr(ops, f"max_pool{x.ndim - 2}d")
        back = getattr(ops, f"max_pool{x.ndim - 2}d_backward")
        flat = x.reshape(2, -1)
        for padding in (0, kernel // 2):
            window = (kernel, kernel, padding, 1, True)
            y, indices = pool(cupy.asarray(x), *window)
            assert np.array_equal(y.get().ravel(), flat.max(1))
            assert np.array_equal(indices.get().ravel(), flat.argmax(1))
            dx = back(y, indices, x.shape, *window).get().reshape(2, -1)
            want = np.zeros_like(flat)
            want[(0, 1), flat.argmax(1)] = flat.max(1)
            assert np.array_equal(dx, want)
        window = (1, 1, 0, kernel)  # that far apart
        y, indices = pool(cupy.asarray(x), *window)
        assert np.array_equal(y.get(), x)
        assert np.array_equal(back(y, indices, x.shape, *window).get(), x)


def test_gradients_beside_their_windows_are_left_out():
    """Indices that no window holds, and those outside the plane."""
    grad = cupy.asarray(np.ones((1, 1, 2, 2), np.float32))
    places = cupy.asarray(np.array([[[[0, 0], [-1, 99]]]]))
    dx = ops.max_pool2d_backward(grad, places, (1, 1, 4, 4), 2).get()
    assert dx[0, 0, 0, 0] == 1 and dx.sum() == 1


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_average_pool(dtype, order):
    """Windows of one size, over the edge and not, and windows that cover the input."""
    start(order)
    kind, unit = dtype_of(dtype), unit_of(dtype)
    calls = [("avg_pool2d", (2, 5, 9, 8), (3, 2, 1, True, False))]
    calls += [("avg_pool3d", (2, 3, 4, 5, 6), (2, 1, 1, False, True, 5))]
    calls += [("adaptive_avg_pool2d", (2, 5, 9, 8), (size,)) for size in (1, (4, 11))]
    for name, shape, window in calls:
        x = normal(shape, 1, "float64").astype(kind)
        expected = getattr(reference, name)(x.astype(np.float64), *window)
        grad = normal(expected.shape, 2, "float64").astype(kind)
        known = window if name.startswith("avg") else ()
        back = f"{name}_backward"
        slopes = getattr(reference, back)(grad.astype(np.float64), shape, *known)
        axes = (0, *range(2, len(shape)), 1)
        turned = lambda a: cupy.asarray(a.transpose(axes).copy()).transpose(np.argsort(axes))  # noqa: B023, E731
        for send in (cupy.asarray, turned):
            got = getattr(ops, name)(send(x), *window)
            assert got.dtype == kind and near(got.get(), expected, unit), (name, window)
            dx = getattr(ops, back)(send(grad), shape, *known)
            assert near(dx.get(), slopes, 2 * unit), (name, window)


# Shape without channels, output size: of a plane, by 8 lanes, by a warp, in chunks; of rows that
# do not follow each other, and of windows that overlap.
LARGE = (
    ((3, 7, 7), 1), ((2, 16, 19), 1), ((1, 101, 103), 1), ((2, 50, 61), (2, 2)),
    ((1, 131, 128), (2, 1)), ((1, 9, 12, 15), (1, 1, 1)), ((1, 40, 21, 18), (3, 1, 1)),
    ((2, 9000), 2),
)  # fmt: skip


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", LARGE, ids=str)
def test_windows_that_threads_share(case, dtype, order):
    """Near 100, where a running sum of as many would be off by many units."""
    start(order)
    kind, unit, ((images, *extents), size) = dtype_of(dtype), unit_of(dtype), case
    name = f"adaptive_avg_pool{len(extents)}d"
    for channels in (1, 3):
        x = (normal((images, channels, *extents), 1, "float64") + 100).astype(kind)
        expected = getattr(reference, name)(x.astype(np.float64), size)
        for layout in LAYOUTS:
            got = getattr(ops, name)(cupy.on_device(lay_out(x, layout)), size)
            assert got.dtype == kind and near(got.get(), expected, unit, 0), layout


@pytest.mark.parametrize("order", ORDERS)
def test_shared_windows_over_the_edge(order):
    """Exact sums: clipped rows, several slices, every place of a lane in its row."""
    start(order)
    for shape, window in (
        ((2, 33, 70, 41), ((32, 32), (7, 5), (16, 15))),
        ((1, 3, 20, 9, 40), ((8, 4, 32), (8, 3, 16), (4, 2, 1))),
        ((1, 2, 3, 2, 700), ((2, 2, 512), 1, (1, 1, 256))),
    ):
        name = f"avg_pool{len(shape) - 2}d"
        x = integers(shape, 3, "float32")
        expected = getattr(reference, name)(x.astype(np.float64), *window)
        for layout in LAYOUTS:
            got = getattr(ops, name)(cupy.on_device(lay_out(x, layout)), *window)
            assert np.array_equal(got.get(), expected), (shape, layout)
