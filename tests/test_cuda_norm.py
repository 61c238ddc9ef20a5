"""Normalisation of groups, layers and responses on the emulator: every type, layout and order."""

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

# (shape, groups): vectors and single numbers of planes or channels; rows for a warp, for a block,
# of two chunks; channels without planes.
GROUPED = (
    ((2, 16, 4, 4), 2), ((3, 6, 5, 7), 2), ((1, 8, 48, 46), 1), ((1, 3, 75, 77), 1),
    ((2, 6, 40, 27), 1), ((40, 4, 3, 5), 4), ((5, 12), 4), ((4, 16, 1, 1), 1),
)  # fmt: skip
# (shape, normalized dimensions)
LAYERED = (((40, 10), 1), ((3, 5, 192), 1), ((2, 3, 4, 5), 3), ((2, 2056), 1), ((1, 2049), 1))


def start(order):
    emulated.library().emulator_set_order(ORDERS[order], 9)


def arrays(shape, weights, kind, affine=True):
    """x, the gradient, weight and bias."""
    draw = lambda seed, size: normal(size, seed, "float64").astype(kind)  # noqa: E731
    weight, bias = (draw(3, weights), draw(4, weights)) if affine else (None, None)
    return draw(1, shape) + kind.type(0.75), draw(2, shape), weight, bias


def send(array, layout="contiguous"):
    return None if array is None else cupy.on_device(lay_out(array, layout))


def widened(values):
    return [None if value is None else value.astype(np.float64) for value in values]


def compare(operation, sent, wide, settings, unit, note):
    """Both passes; the second from the statistics that the first kept."""
    (x, grad, weight, bias), backward = sent, f"{operation}_backward"
    y, *kept = getattr(ops, operation)(x, settings, weight, bias)
    want, *statistics = getattr(reference, operation)(wide[0], settings, *wide[2:])
    assert y.dtype == x.dtype and y.strides == x.strides
    assert near(y.get(), want, 4 * unit), note
    for mine, expected in zip(kept, statistics, strict=True):
        assert near(mine.get(), expected, 4 * unit), note
    given = [value.get().astype(np.float64) for value in kept]
    expected = getattr(reference, backward)(wide[1], wide[0], settings, wide[2], *given)
    results = getattr(ops, backward)(grad, x, settings, weight, *kept)
    for mine, want in zip(results, expected, strict=True):
        assert near(mine.get(), want, 8 * unit, max(1.0, np.abs(want).max())), note


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "groups"), GROUPED, ids=str)
def test_group_norm(shape, groups, dtype, order):
    start(order)
    for affine in (True, False) if order == "forward" else (True,):
        host = arrays(shape, shape[1:2], dtype_of(dtype), affine)
        for layout in LAYOUTS if np.prod(shape[2:]) > 1 else LAYOUTS[:1]:
            sent = [send(a, layout) for a in host[:2]] + [send(a) for a in host[2:]]
            note = (shape, groups, layout, affine)
            compare("group_norm", sent, widened(host), groups, unit_of(dtype), note)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "count"), LAYERED, ids=str)
def test_layer_norm(shape, count, dtype, order):
    start(order)
    normalized = shape[len(shape) - count :]
    for affine in (True, False) if order == "forward" else (True,):
        host = arrays(shape, normalized, dtype_of(dtype), affine)
        sent = [send(a) for a in host]
        compare("layer_norm", sent, widened(host), normalized, unit_of(dtype), (shape, affine))


def test_normalisation_of_nothing():
    for shape, groups in (((0, 4, 3, 3), 2), ((2, 4, 0, 3), 2)):
        x, grad, *weights = (send(a) for a in arrays(shape, (4,), np.dtype(np.float32)))
        y, mean, invstd = ops.group_norm(x, groups, *weights, eps=0.25)
        assert y.shape == shape and np.array_equal(mean.get(), np.zeros((shape[0], groups)))
        assert np.array_equal(invstd.get(), np.full((shape[0], groups), 2))
        dx, dw, db = ops.group_norm_backward(grad, x, groups, weights[0], mean, invstd)
        assert dx.shape == shape and not dw.get().any() and not db.get().any()
    y, mean, _ = ops.layer_norm(send(np.zeros((3, 0), np.float32)), (0,))
    assert y.shape == (3, 0) and np.array_equal(mean.get(), np.zeros(3))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_mean_far_from_zero_costs_no_digits(dtype, layout):
    x = (normal((2, 8, 48, 47), 3, dtype) + 1000).astype(dtype)
    for groups in (1, 4):
        exact = x.astype(np.longdouble).reshape(2, groups, -1)
        _, mean, invstd = ops.group_norm(send(x, layout), groups, eps=0)
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(mean.get(), exact.mean(2).astype(float), rtol=eps)
        np.testing.assert_allclose(invstd.get(), 1 / exact.std(2).astype(float), rtol=4 * eps)


@pytest.mark.parametrize("operation", ["group_norm", "layer_norm", "batch_norm"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_statistics_that_16_bits_do_not_hold(dtype, operation):
    """1 / sqrt(eps) beyond float16's largest number; a mean between bfloat16's numbers."""
    kind, unit = dtype_of(dtype), unit_of(dtype)
    for host, eps in ((np.zeros((1, 64)), 1e-12), (normal((1, 2048), 6, "float64") + 100.2, 1e-5)):
        x, grad = host.astype(kind), normal(host.shape, 7, "float64").astype(kind) / kind.type(64)
        if operation == "batch_norm":
            x, grad = x.T.copy(), grad.T.copy()
            before, after = (None,) * 4 + (True, 0.1, eps), (None, None)
        else:
            setting = 1 if operation == "group_norm" else x.shape[1:]
            before, after = (setting, None, None, eps), (setting, None)
        wide = widened((x, grad))
        y, *kept = getattr(ops, operation)(send(x), *before)
        want, *statistics = getattr(reference, operation)(wide[0], *before)
        assert y.dtype == kind and all(value.dtype == np.float32 for value in kept)
        bound = unit * np.abs(want) + 4e-5  # of a float32 mean of about 100
        assert (np.abs(y.get().astype(np.float64) - want) <= bound).all()
        for mine, expected in zip(kept, statistics, strict=True):
            np.testing.assert_allclose(mine.get(), expected, rtol=2**-22)
        backward, training = f"{operation}_backward", (True,) * (operation == "batch_norm")
        results = getattr(ops, backward)(send(grad), send(x), *after, *kept, *training)
        expected = getattr(reference, backward)(*wide[::-1], *after, *statistics, *training)
        for mine, want in zip(results, expected, strict=True):
            got = mine.get().astype(np.float64)
            assert np.isfinite(got).all() and near(got, want, unit, np.abs(want).max() / 8)


def test_kept_statistics_of_another_type():
    x = send(np.ones((2, 8), np.float16))
    y, mean, invstd = ops.group_norm(x, 2)
    with pytest.raises(TypeError, match="group_norm_backward: mean must be float32, got float16"):
        ops.group_norm_backward(y, x, 2, None, mean.astype(np.float16), invstd)
    with pytest.raises(ValueError, match="group_norm_backward: invstd"):
        ops.group_norm_backward(y, x, 2, None, mean, invstd[:1])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_bits_wherever_arrays_begin(layout):
    """16 bytes apart or not: vectors and single numbers would be added up in other orders."""
    shape = (2, 8, 12, 8)
    x, grad, weight, bias = (send(a, layout) for a in arrays(shape, (8,), np.dtype(np.float32)))

    def shifted(array):
        return cupy.asarray(np.concatenate([np.zeros(1, np.float32), array.get().ravel()]))[1:]

    def elsewhere(array):
        if layout == "contiguous":
            return shifted(array).reshape(array.shape)
        return shifted(array.transpose(0, 2, 3, 1)).reshape(2, 12, 8, 8).transpose(0, 3, 1, 2)

    y, *kept = ops.group_norm(x, 1, weight, bias)
    results = [y, *kept, *ops.group_norm_backward(grad, x, 1, weight, *kept)]
    y, *kept = ops.group_norm(elsewhere(x), 1, shifted(weight), shifted(bias))
    others = [y, *kept]
    others += ops.group_norm_backward(elsewhere(grad), elsewhere(x), 1, shifted(weight), *kept)
    for one, other in zip(results, others, strict=True):
        assert one.get().tobytes() == other.get().tobytes()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nan_stays_in_its_group(layout):
    x = normal((2, 6, 4, 3), 0, "float32")
    x[1, 3, 2, 2] = np.nan
    y = ops.group_norm(send(x, layout), 3)[0].get()
    assert np.isnan(y[1, 2:4]).all() and np.isnan(y).sum() == 24


def test_only_the_gradients_asked_for():
    x, grad, weight, bias = (send(a) for a in arrays((3, 4, 5, 5), (4,), np.dtype(np.float32)))
    _, *kept = ops.group_norm(x, 2, weight, bias)
    full = ops.group_norm_backward(grad, x, 2, weight, *kept)
    for mask in ((True, False, False), (False, True, False), (False, False, True)):
        some = ops.group_norm_backward(grad, x, 2, weight, *kept, output_mask=mask)
        for wanted, part, whole in zip(mask, some, full, strict=True):
            assert (part is not None) == wanted
            assert part is None or np.array_equal(part.get(), whole.get())


RESPONSES = {
    "alexnet": {"size": 5, "alpha": 5e-4, "beta": 0.75, "k": 2.0},
    "strong": {"size": 4, "alpha": 1.7, "beta": 0.75, "k": 0.3},
    "any power": {"size": 3, "alpha": 2.0, "beta": 0.6, "k": 1.1},
    "wider than the channels": {"size": 10**6, "alpha": 1e6, "beta": 1.0, "k": 1.0},
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", RESPONSES)
def test_local_response_norm(name, dtype, order):
    start(order)
    given, unit = RESPONSES[name], unit_of(dtype)
    for shape in ((2, 7, 5, 5), (3, 40, 1, 1), (5, 9), (1, 3, 4, 2, 5), (1, 1, 7, 6), (0, 3, 2, 2)):
        x, grad, *_ = arrays(shape, (1,), dtype_of(dtype))
        wide = widened((x, grad))
        y = reference.local_response_norm(wide[0], **given)
        dx = reference.local_response_norm_backward(wide[1], wide[0], **given)
        for layout in LAYOUTS if len(shape) > 2 else LAYOUTS[:1]:
            there = [send(a, layout) for a in (x, grad)]
            got = ops.local_response_norm(there[0], **given)
            assert near(got.get(), y, 2 * unit, 0.125), (shape, layout)
            got = ops.local_response_norm_backward(there[1], there[0], **given)
            assert near(got.get(), dx, 4 * unit), (shape, layout)


@pytest.mark.parametrize("name, settings", [("group_norm", 2), ("layer_norm", (5,))])
def test_errors_name_the_operation(name, settings):
    """Memory of the host makes any launch fail."""
    x, statistics = np.ones((3, 4, 5), np.float32), np.ones((3, 2), np.float32)
    if name == "layer_norm":
        statistics = np.ones((3, 4), np.float32)
    wrong = cupy.ndarray(x)
    with pytest.raises(RuntimeError, match=f"^{name}: CUDA error"):
        getattr(ops, name)(wrong, settings)
    kept = cupy.asarray(statistics)
    with pytest.raises(RuntimeError, match=f"^{name}_backward: CUDA error"):
        getattr(ops, f"{name}_backward")(cupy.asarray(x), wrong, settings, None, kept, kept)
