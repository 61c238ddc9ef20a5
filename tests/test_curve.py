"""Activations with parameters: values, derivatives, limits, layouts."""

from __future__ import annotations

import numpy as np
import pytest

from fastconv import ops, reference
from fastconv.testing import LAYOUTS, assert_exact, assert_matches, lay_out, normal

CASES = [
    ("leaky_relu", {}),
    ("leaky_relu", {"negative_slope": 0.25}),
    ("elu", {}),
    ("elu", {"alpha": 1.75}),
    ("hardtanh", {}),
    ("hardtanh", {"min_val": 0.0, "max_val": 0.5}),
    ("silu", {}),
    ("softplus", {}),
    ("softplus", {"beta": 2.0, "threshold": 1.5}),
    ("gelu", {}),
    ("gelu", {"approximate": "tanh"}),
]
DTYPES = ("float32", "float64")
SHAPES = [(), (1,), (15,), (17,), (1000,), (3, 0, 2), (2, 5, 7, 3), (2, 2, 3, 2, 3)]
INF, NAN = np.inf, np.nan


def identity(value):
    return value if isinstance(value, str) else "-".join(map(str, value.values()))


each_case = pytest.mark.parametrize("name, parameters", CASES, ids=identity)


def pair(library, name):
    return getattr(library, name), getattr(library, f"{name}_backward")


def units_in_last_place(actual, expected):
    spacing = np.spacing(np.abs(expected).astype(actual.dtype)).astype(np.longdouble)
    return np.max(np.abs(actual.astype(np.longdouble) - expected) / spacing)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@each_case
def test_any_shape(backend, name, parameters, shape, dtype):
    x, grad = 3 * normal(shape, 1, dtype), normal(shape, 2, dtype)
    forward, backward = pair(backend.ops, name)
    expected, expected_backward = pair(reference, name)
    wide = x.astype(float)
    assert_matches(np.asarray(forward(x, **parameters)), expected(wide, **parameters), dtype)
    dx = backward(grad, x, **parameters)
    assert_matches(np.asarray(dx), expected_backward(grad, wide, **parameters), dtype, terms=4)


@each_case
def test_any_layout(backend, name, parameters):
    forward, backward = pair(backend.ops, name)
    expected, expected_backward = pair(reference, name)
    x, grad = normal((3, 5, 6, 7), 1), normal((3, 5, 6, 7), 2)
    for layout in LAYOUTS:
        y = forward(lay_out(x, layout), **parameters)
        assert_matches(y, expected(x.astype(float), **parameters), np.float32, repeat=layout)
        for other in LAYOUTS:
            dx = backward(lay_out(grad, layout), lay_out(x, other), **parameters)
            wanted = expected_backward(grad, x.astype(float), **parameters)
            assert_matches(dx, wanted, np.float32, terms=4, repeat=f"{layout} {other}")
        if layout == "channels_last" and backend.name != "reference":
            assert np.moveaxis(y, 1, -1).flags.c_contiguous
            assert np.moveaxis(dx, 1, -1).flags.c_contiguous


@each_case
def test_gradients_by_finite_differences(backend, name, parameters):
    forward, backward = pair(backend.ops, name)
    x, grad, direction = (normal((3, 60), seed, np.float64) for seed in (1, 2, 3))
    above, below = (forward(x + step * direction, **parameters) for step in (1e-6, -1e-6))
    slope = np.vdot(grad, above - below) / 2e-6
    dx = backward(grad, x, **parameters)
    assert slope == pytest.approx(np.vdot(dx, direction), rel=1e-7)


LIMITS = {
    "leaky_relu": ([INF, -INF, NAN, 1e30, -0.25, 0], [1, 0.25, 0.25, 1, 0.25, 0.25]),
    "elu": ([INF, -1, NAN, 1e30, np.expm1(-1), 0], [1, 0, NAN, 1, np.exp(-1), 1]),
    "hardtanh": ([1, -1, NAN, 1, -1, 0], [0, 0, 0, 0, 0, 1]),
    "silu": ([INF, 0, NAN, 1e30, None, 0], [1, 0, NAN, 1, None, 0.5]),
    "softplus": ([INF, 0, NAN, 1e30, None, np.log(2)], [1, 0, NAN, 1, None, 0.5]),
    "gelu": ([INF, 0, NAN, 1e30, None, 0], [1, 0, NAN, 1, None, 0.5]),
    "gelu_tanh": ([INF, 0, NAN, 1e30, None, 0], [1, 0, NAN, 1, None, 0.5]),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", LIMITS)
def test_limits(backend, case, dtype):
    name, tanh, _ = case.partition("_tanh")
    parameters = {"approximate": "tanh"} if tanh else {}
    parameters = {"negative_slope": 0.25} if name == "leaky_relu" else parameters
    x = np.array([INF, -INF, NAN, 1e30, -1, 0], dtype)
    forward, backward = pair(backend.ops, name)
    with np.errstate(all="ignore"):
        y, dx = forward(x, **parameters), backward(np.ones_like(x), x, **parameters)
    for actual, wanted in zip((y, dx), LIMITS[case], strict=True):
        known = [i for i, value in enumerate(wanted) if value is not None]
        wanted = np.array([wanted[i] for i in known])
        np.testing.assert_allclose(actual[known], wanted, rtol=4 * np.finfo(dtype).eps)


def test_softplus_does_not_overflow_under_any_threshold(backend):
    x = np.array([-1e4, -50, 50, 1e4, INF], np.float32)
    y = backend.ops.softplus(x, 1.0, np.inf)
    np.testing.assert_allclose(y, [0, np.exp(-50.0), 50, 1e4, INF], rtol=1e-6, atol=1e-38)
    dx = backend.ops.softplus_backward(np.ones_like(x), x, 1.0, np.inf)
    np.testing.assert_allclose(dx, [0, np.exp(-50.0), 1, 1, 1], rtol=1e-6, atol=1e-38)


def test_small_arguments_stay_exact(cpu):
    x = np.array([-1e-10, -1e-20, 1e-7], np.float32)
    assert_exact(cpu.ops.elu(x), x, np.float32)
    np.testing.assert_array_equal(cpu.ops.gelu(x)[1], x[1] / 2)


SMOOTH = {
    "elu": ({}, -80),
    "silu": ({}, -80),
    "softplus": ({"threshold": INF}, -80),
    "gelu": ({}, -12.9),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_float32_values_are_within_five_units_in_the_last_place(cpu, name):
    parameters, lowest = SMOOTH[name]
    x = np.concatenate([np.linspace(lowest, 20, 60001), np.logspace(-30, 0, 500)])
    x = np.concatenate([x, -np.logspace(-30, 0, 500)]).astype(np.float32)
    y = getattr(cpu.ops, name)(x, **parameters)
    assert units_in_last_place(y, getattr(reference, name)(x.astype(float), **parameters)) <= 5


@pytest.mark.parametrize("dtype", DTYPES)
def test_results_below_the_normal_range_are_rounded_once(cpu, dtype):
    """exp(x), where it is denormal or rounds to 0, within one unit of the smallest number."""
    lowest, highest = (-104.5, -87) if dtype == "float32" else (-746, -708)
    x = np.linspace(lowest, highest, 5001).astype(dtype)
    expected = np.exp(x.astype(np.longdouble))
    for y in (cpu.ops.elu_backward(np.ones_like(x), x), cpu.ops.sigmoid(x)):
        assert units_in_last_place(y, expected) <= 1
    assert cpu.ops.sigmoid(x[:1])[0] == 0


@pytest.mark.parametrize("name", ["elu", "silu", "softplus", "gelu", "sigmoid", "tanh"])
def test_every_nan_stays(cpu, name):
    bits = [0x7FC00000, 0xFFC00000, 0x7FC00001, 0x7F800001, 0x7FFFFFFF, 0xFFFFFFFF]
    x = np.array(bits * 5, np.uint32).view(np.float32)
    forward, backward = pair(cpu.ops, name)
    assert np.isnan(forward(x)).all()
    assert np.isnan(backward(np.ones_like(x), x)).all()


def test_float64_gelu_is_within_four_units_in_the_last_place(cpu):
    mpmath = pytest.importorskip("mpmath")
    x = np.concatenate([np.linspace(-37.5, 9, 1501), np.logspace(-300, 0, 50)])
    with mpmath.workdps(40):
        exact = [mpmath.mpf(v) * mpmath.ncdf(mpmath.mpf(v)) for v in x]
        error = [abs((mpmath.mpf(y) - e) / e) for y, e in zip(cpu.ops.gelu(x), exact, strict=True)]
    assert max(error) <= 4 * np.finfo(float).eps


@each_case
def test_large_arrays_go_past_the_caches_with_the_same_bits(cpu, name, parameters):
    forward, backward = pair(cpu.ops, name)
    x = np.tile(normal((8191,), 1, np.float64), 600)[:-3]
    small = x[: 8191 * 2]
    y, dx = forward(x, **parameters), backward(x, x, **parameters)
    assert_exact(y[: small.size], forward(small, **parameters), np.float64)
    assert_exact(dx[: small.size], backward(small, small, **parameters), np.float64)
    assert_exact(y[-8188:], y[:8188], np.float64)


WRONG = [
    (lambda x: ops.elu_backward(x, x[:2]), ValueError, "elu_backward: grad has shape (3,), exp"),
    (lambda x: ops.elu(x, "1"), TypeError, "elu: alpha must be a number, got str"),
    (lambda x: ops.softplus(x, 1, None), TypeError, "softplus: threshold must be a number, got"),
    (lambda x: ops.leaky_relu(x, True), TypeError, "leaky_relu: negative_slope must be a number"),
    (lambda x: ops.hardtanh(x, np.nan, 1), ValueError, "hardtanh: min_val nan and max_val 1 must"),
    (lambda x: ops.hardtanh_backward(x, x, 0, np.nan), ValueError, "hardtanh_backward: min_val 0"),
    (lambda x: ops.softplus(x, 0), ValueError, "softplus: beta must be finite and not 0, got 0"),
    (lambda x: ops.softplus(x, np.float32("nan")), ValueError, "softplus: beta must be finite"),
    (lambda x: ops.softplus_backward(x, x, 0.0), ValueError, "softplus_backward: beta must be"),
    (lambda x: ops.hardtanh(x, 2, 1), ValueError, "hardtanh: min_val 2 is above max_val 1"),
    (lambda x: ops.gelu(x, "erf"), ValueError, 'gelu: approximate must be "none" or "tanh", got'),
    (lambda x: ops.gelu([1.0]), TypeError, "gelu: x must be a NumPy array"),
    (lambda x: ops.silu(x.astype(int)), TypeError, "silu: x must be float32 or float64, got int"),
    (lambda x: ops.silu_backward(x, x.astype(float)), TypeError, "silu_backward: x is float64 but"),
]


@pytest.mark.parametrize("call, kind, text", WRONG, ids=[w[2][:30] for w in WRONG])
def test_errors(call, kind, text):
    with pytest.raises(kind) as raised:
        call(np.zeros(3, np.float32))
    assert text in str(raised.value)
