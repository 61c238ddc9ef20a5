"""What CUDA kernels have that CPU kernels have not: 16-bit types, vectors that want alignment,
results that no order of threads may change, instances that all must have run."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from emulator import backend as emulated
from emulator import cupy_stand_in as cupy

from fastconv import _core, ops, reference
from fastconv.testing import arrays_of, lay_out, normal, parse_descriptor

ORDERS = {"forward": 0, "reverse": 1, "shuffled": 2}
DTYPES = ("float32", "float64", "float16", "bfloat16")


@pytest.fixture(autouse=True)
def on_the_emulator() -> Iterator[None]:
    emulated.register()
    yield
    emulated.library().emulator_set_order(0, 1)
    _core.register_cuda_backend(None)


def dtype_of(name: str) -> np.dtype:
    """NumPy has no bfloat16 of its own."""
    return np.dtype(getattr(pytest.importorskip("ml_dtypes"), name) if name == "bfloat16" else name)


def unit_of(name: str) -> float:
    """Half the distance from 1 to the next number, and the error of float32's own functions."""
    return {"float32": 4 * 2**-24, "float64": 4 * 2**-53, "float16": 2**-11, "bfloat16": 2**-8}[
        name
    ]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh"])
def test_activation(name, dtype, offset, order):
    """Rounded once, whether arrays begin at a multiple of 16 bytes or not."""
    emulated.library().emulator_set_order(ORDERS[order], 3)
    kind, unit = dtype_of(dtype), unit_of(dtype)
    denormal = 2**-25 if dtype == "float16" else 0  # half of float16's smallest
    for count in (1, 7, 8, 1025):
        x = cupy.asarray(3 * normal((count + offset,), 1, "float64").astype(kind))[offset:]
        grad = cupy.asarray(normal((count + offset,), 2, "float64").astype(kind))[offset:]
        y = getattr(ops, name)(x)
        assert y.dtype == kind
        wide = [array.get().astype(np.longdouble) for array in (x, grad, y)]
        expected = getattr(reference, name)(wide[0])
        assert (np.abs(wide[2] - expected) <= unit * np.abs(expected) + denormal).all()
        dx = getattr(ops, f"{name}_backward")(grad, y).get()
        expected = getattr(reference, f"{name}_backward")(wide[1], wide[2])
        cancelled = 2**-60 * np.abs(wide[1]) if name == "tanh" else 0  # 1 - y y, in the reference
        assert (np.abs(dx - expected) <= unit * np.abs(expected) + denormal + cancelled).all()


CURVES = {
    "leaky_relu": {"negative_slope": 0.25},
    "elu": {"alpha": 1.75},
    "hardtanh": {"min_val": -0.5, "max_val": 1.5},
    "silu": {},
    "softplus": {"beta": 2.0, "threshold": 3.0},
    "gelu": {},
    "gelu, tanh": {"approximate": "tanh"},
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CURVES)
def test_curve(case, dtype, offset, order):
    """Rounded once, of what is computed in float32 or wider; aligned to 16 bytes or not."""
    emulated.library().emulator_set_order(ORDERS[order], 3)
    kind, unit, wide = dtype_of(dtype), unit_of(dtype), unit_of("float64")
    wide = wide if dtype == "float64" else unit_of("float32")
    name, parameters = case.partition(",")[0], CURVES[case]
    # Half of the 16-bit types' smallest numbers; what an exponential rounds to float32's.
    denormal = {"float16": 2**-25, "bfloat16": 2**-134}.get(dtype, 2**-145)
    for count in (1, 7, 8, 1025):
        x = cupy.asarray(3 * normal((count + offset,), 1, "float64").astype(kind))[offset:]
        grad = cupy.asarray(normal((count + offset,), 2, "float64").astype(kind))[offset:]
        y = getattr(ops, name)(x, **parameters)
        dx = getattr(ops, f"{name}_backward")(grad, x, **parameters)
        assert y.dtype == dx.dtype == kind
        x, grad, y, dx = (array.get().astype(np.longdouble) for array in (x, grad, y, dx))
        expected = getattr(reference, name)(x, **parameters)
        own = 2**-52 * x * x  # the reference's distribution rounds x / sqrt(2)
        if case == "gelu, tanh":  # an exponent is rounded
            own = wide * (1.6 * np.abs(x) + 0.072 * np.abs(x) ** 3)
        assert (np.abs(y - expected) <= (unit + 2 * wide + own) * np.abs(expected) + denormal).all()
        expected = getattr(reference, f"{name}_backward")(grad, x, **parameters)
        bound = unit * np.abs(expected) + 2 * wide * np.abs(grad) + denormal  # slopes with roots
        assert (np.abs(dx - expected) <= bound).all()


UPDATES = {  # every combination of states that a rule has a kernel for
    "sgd_update": ((), {"weight_decay": 0.1}),
    "sgd_update, momentum": (("momentum_buffers",), {"momentum": 0.9, "weight_decay": 0.1}),
    "adam_update": (("exp_avgs", "exp_avg_sqs"), {"step": 1}),
    "adam_update, amsgrad": (("exp_avgs", "exp_avg_sqs", "max_exp_avg_sqs"), {"step": 1}),
    "adagrad_update": (("state_sums",), {"step": 1}),
    "adadelta_update": (("square_avgs", "acc_deltas"), {}),
    "rmsprop_update": (("square_avgs",), {}),
    "rmsprop_update, centered": (("square_avgs", "grad_avgs"), {}),
    "rmsprop_update, momentum": (("square_avgs", "momentum_buffers"), {"momentum": 0.9}),
    "rmsprop_update, both": (
        ("square_avgs", "grad_avgs", "momentum_buffers"),
        {"momentum": 0.9},
    ),
    "lamb_update": (("exp_avgs", "exp_avg_sqs"), {"step": 1, "weight_decay": 0.1}),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rule", UPDATES)
def test_updates_of_more_arrays_than_a_launch_takes(rule, dtype, order):
    """70 arrays, one of several chunks, empty ones among them; all rounded once."""
    emulated.library().emulator_set_order(ORDERS[order], 5)
    kind, unit = dtype_of(dtype), unit_of(dtype)
    names, options = UPDATES[rule]
    shapes = [(i % 5, i) for i in range(69)] + [(9001,)]
    draw = lambda seed: [normal(s, seed, "float64").astype(kind) for s in shapes]  # noqa: E731
    parameters, grads = draw(1), draw(2)
    there = {"parameters": parameters, "grads": grads, **{name: draw(3) for name in names}}
    for name in names:
        there[name] = [np.abs(array) for array in there[name]]
    wide = {name: [a.astype(np.float64) for a in arrays] for name, arrays in there.items()}
    if "grad_avgs" in there:  # the variance is not negative
        wide["square_avgs"] = [a + 25 for a in wide["square_avgs"]]
        there["square_avgs"] = [a.astype(kind) for a in wide["square_avgs"]]
        wide["square_avgs"] = [a.astype(np.float64) for a in there["square_avgs"]]
    sent = {name: [cupy.asarray(a) for a in arrays] for name, arrays in there.items()}
    function = rule.partition(",")[0]
    getattr(ops, function)(**sent, lr=0.1, **options)
    getattr(reference, function)(**wide, lr=0.1, **options)
    for name, arrays in sent.items():
        for got, want in zip(arrays, wide[name], strict=True):
            bound = 4 * unit * (np.abs(want) + 1)
            assert (np.abs(got.get().astype(np.float64) - want) <= bound).all(), name


@pytest.mark.parametrize("dtype", DTYPES)
def test_total_norm(dtype):
    kind = dtype_of(dtype)
    arrays = [normal((i, 700), i, "float64").astype(kind) for i in range(70)]
    norm = ops.total_norm([cupy.asarray(a) for a in arrays])
    assert norm.dtype == kind
    exact = np.sqrt(sum(np.sum(np.square(a.astype(np.float64))) for a in arrays))
    assert abs(float(norm.get()) - exact) <= 2 * unit_of(dtype) * exact


def near(got, want, unit, scale=1.0):
    """Rounded once, with a little for the sum: both as float64."""
    bound = 4 * unit * (np.abs(want) + scale)
    return (np.abs(np.asarray(got, np.float64) - want) <= bound).all()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape, dim", [((5, 10), 1), ((3, 2049), 1), ((2, 7, 9), 1)])
def test_softmax(shape, dim, dtype, order):
    """A warp a row, a block a row, a thread a column."""
    emulated.library().emulator_set_order(ORDERS[order], 7)
    kind, unit = dtype_of(dtype), unit_of(dtype)
    x, grad = (normal(shape, seed, "float64").astype(kind) for seed in (1, 2))
    there, g = cupy.asarray(x), cupy.asarray(grad)
    for name in ("softmax", "log_softmax"):
        y = getattr(ops, name)(there, dim)
        assert near(y.get(), getattr(reference, name)(x.astype(np.float64), dim), unit)
        kept = y.get().astype(np.float64)
        dx = getattr(ops, f"{name}_backward")(g, y, dim).get()
        wide = grad.astype(np.float64)
        expected = getattr(reference, f"{name}_backward")(wide, kept, dim)
        assert near(dx, expected, unit)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows, classes", [(9, 10), (3, 2050)])
@pytest.mark.parametrize("target_dtype", ["int32", "int64"])
def test_cross_entropy(target_dtype, rows, classes, dtype, order):
    """A target that names no class shows as NaN, in its own row alone."""
    emulated.library().emulator_set_order(ORDERS[order], 7)
    kind, unit = dtype_of(dtype), unit_of(dtype)
    x = normal((rows, classes), 1, "float64").astype(kind)
    labels = np.random.default_rng(0).integers(0, classes, rows).astype(target_dtype)
    there, target, wide = cupy.asarray(x), cupy.asarray(labels), x.astype(np.float64)
    for reduction in ("none", "mean", "sum"):
        expected = reference.cross_entropy(wide, labels, reduction=reduction)
        loss = ops.cross_entropy(there, target, reduction=reduction)
        assert loss.dtype == kind and near(loss.get(), expected, unit, scale=0)
        grad = normal(loss.shape, 3, "float64").astype(kind)
        expected = reference.cross_entropy_backward(
            grad.astype(np.float64), wide, labels, reduction=reduction
        )
        dx = ops.cross_entropy_backward(cupy.asarray(grad), there, target, reduction=reduction)
        assert near(dx.get(), expected, unit)
    labels[1], labels[2] = -1, classes
    losses = ops.cross_entropy(there, cupy.asarray(labels), reduction="none").get()
    assert np.isnan(losses.astype(np.float64)).tolist() == [i in (1, 2) for i in range(rows)]
    ones = cupy.asarray(np.ones(rows, kind))
    dx = ops.cross_entropy_backward(ones, there, cupy.asarray(labels), reduction="none").get()
    assert np.isnan(dx.astype(np.float64)).all(1).tolist() == [i in (1, 2) for i in range(rows)]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("activation", [None, "relu"])
def test_batch_norm(activation, training, dtype, order):
    """Planes and rows of channels, several chunks, vectors and single numbers."""
    emulated.library().emulator_set_order(ORDERS[order], 9)
    kind, unit = dtype_of(dtype), unit_of(dtype)
    for shape in ((3, 5, 4, 3), (2, 40, 8, 4), (2, 2, 100, 90), (700, 8), (9, 3, 7)):
        draw = lambda seed, size: normal(size, seed, "float64").astype(kind)  # noqa: E731
        channels = shape[1:2]
        x, grad = 2 * draw(1, shape) + draw(2, shape) + kind.type(3), draw(3, shape)
        weight, bias, mean, var = draw(4, channels), draw(5, channels), draw(6, channels), None
        var = np.abs(draw(7, channels)) + kind.type(1)
        wide = [a.astype(np.float64) for a in (x, mean, var, weight, bias, grad)]
        y, *kept = reference.batch_norm(*wide[:5], training, activation=activation)
        for last in {False, len(shape) == 4}:
            turn = lambda a: cupy.asarray(a.transpose(0, 2, 3, 1).copy()).transpose(0, 3, 1, 2)  # noqa: E731
            send = turn if last else cupy.asarray
            there = [cupy.asarray(a) for a in (mean, var, weight, bias)]
            got, *statistics = ops.batch_norm(send(x), *there, training, activation=activation)
            assert near(got.get(), y, 4 * unit), (shape, last)
            for mine, expected in zip((*statistics, *there[:2]), (*kept, *wide[1:3]), strict=True):
                assert near(mine.get(), expected, 4 * unit), (shape, last)
            given = [s.get().astype(np.float64) for s in statistics]
            expected = reference.batch_norm_backward(
                wide[5], wide[0], wide[3], wide[4], *given, training, activation=activation
            )
            results = ops.batch_norm_backward(
                send(grad), send(x), *there[2:], *statistics, training, activation=activation
            )
            for mine, want in zip(results, expected, strict=True):
                scale = max(1.0, np.abs(want).max())
                assert near(mine.get(), want, 8 * unit, scale), (shape, last)


def test_the_kernels_are_found():
    """By their names, which ``pytest --every-kernel`` relies on."""
    name = "fastconv::cuda::activation_kernel<float, fastconv::cuda::Relu, 4>"
    assert name in emulated.kernels_held()
    ops.relu(cupy.asarray(normal((64,), 1)))
    assert name in emulated.kernels_launched()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "descriptor",
    ["n2c3h7w6k5r3s2sh2p1q0", "n3g2c4h9k6r3dh2p3", "n2c8h3k9r1", "n9c2h5k1r2", "n1g2c4h5k4r3"],
)
def test_convolution(descriptor, dtype, layout, order):
    """Exact sums of small integers, in every type."""
    emulated.library().emulator_set_order(ORDERS[order], 5)
    problem, kind = parse_descriptor(descriptor), dtype_of(dtype)
    host = [a.astype(kind) for a in arrays_of(problem, 3, "float32")]
    wide = [a.astype("float64") for a in host]
    x, grad = (cupy.on_device(lay_out(a, layout)) for a in host[:2])
    weight, bias = (cupy.on_device(a) for a in host[2:])
    y = ops.conv_forward(problem, x, weight, bias, "relu")
    dw, db = ops.conv_backward_weight(problem, grad, x)
    expected_dw, expected_db = reference.conv_backward_weight(problem, wide[1], wide[0])
    results = [
        (y, reference.conv_forward(problem, wide[0], *wide[2:], "relu")),
        (
            ops.conv_backward_input(problem, grad, weight),
            reference.conv_backward_input(problem, *wide[1:3]),
        ),
        (dw, expected_dw),
        (db, expected_db),
    ]
    for got, want in results:
        np.testing.assert_array_equal(got.get(), want.astype(kind))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape, weight, groups",
    [
        ((2, 16, 4, 3), (16, 16, 3, 3), 1),
        ((2, 8, 4, 3), (8, 1, 1, 2), 8),
        ((1, 3, 2, 3, 2), (3, 4, 1, 2, 2), 1),
    ],
)
def test_transposed_convolution(shape, weight, groups, dtype):
    """Tiles, groups and volumes, with positions that no tap reaches: bias and activation alone."""
    kind, name = dtype_of(dtype), f"conv_transpose{len(shape) - 2}d"
    draw = np.random.default_rng(1).integers
    x, w, b = (draw(-3, 4, s).astype(kind) for s in (shape, weight, (weight[1] * groups,)))
    wide = [a.astype(np.float64) for a in (x, w, b)]
    expected = reference.conv_transpose2d(*wide, 2, 0, 1, groups, activation="relu")
    for layout in ("contiguous", "channels_last"):
        sent = [cupy.on_device(a) for a in (lay_out(x, layout), w, b)]
        y = getattr(ops, name)(*sent, 2, 0, 1, groups, activation="relu")
        np.testing.assert_array_equal(y.get(), expected.astype(kind))


def test_linear_without_features():
    x, weight = (cupy.asarray(np.zeros((n, 0), np.float32)) for n in (3, 4))
    bias = np.arange(4, dtype=np.float32)
    y = ops.linear(x, weight, cupy.asarray(bias))
    assert np.array_equal(y.get(), np.tile(bias, (3, 1)))
    grad = cupy.asarray(np.ones((3, 4), np.float32))
    assert ops.linear_backward_input(grad, weight).shape == (3, 0)
    dw, db = ops.linear_backward_weight(grad, x)
    assert dw.shape == (4, 0) and np.array_equal(db.get(), np.full(4, 3, np.float32))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_dropout(dtype, order):
    """The zeros of the key in every type; doubling is exact."""
    emulated.library().emulator_set_order(ORDERS[order], 5)
    x = normal((3, 700), 1, "float64").astype(dtype_of(dtype))
    y = ops.dropout(cupy.asarray(x), 0.5, 9).get()
    np.testing.assert_array_equal(
        y, reference.dropout(x.astype(np.float64), 0.5, 9).astype(x.dtype)
    )
