"""Activations, softmax and log-softmax, forward and backward."""

from __future__ import annotations

import numpy as np
import pytest

from fastconv import reference
from fastconv.testing import (
    LAYOUTS,
    assert_exact,
    assert_matches,
    exact_integers,
    lay_out,
    normal,
)

NAMES = ("relu", "sigmoid", "tanh")
DTYPES = ("float32", "float64")
SHAPES = [(), (1,), (3,), (15,), (17,), (1000,), (2, 3), (3, 0, 2), (2, 5, 7, 3), (2, 2, 3, 2, 3)]


def units_in_last_place(actual, expected):
    """|actual - expected| in units of the last place of the expected value, in actual's dtype."""
    spacing = np.spacing(np.abs(expected).astype(actual.dtype)).astype(np.longdouble)
    return np.max(np.abs(actual.astype(np.longdouble) - expected) / spacing)


def whole_range(dtype):
    """Both signs of everything from denormals to far beyond saturation."""
    largest = 80 if dtype == "float32" else 700
    size = np.concatenate([np.logspace(-300, -3, 200), np.linspace(1e-3, largest, 40001)])
    size = size.astype(dtype)
    return np.concatenate([size, -size, [0.0]]).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_every_value_is_within_four_units_in_the_last_place(cpu, name, dtype):
    x = whole_range(dtype)
    expected = getattr(reference, name)(x.astype(np.longdouble))
    normal_range = np.abs(expected) >= np.finfo(dtype).tiny
    y = getattr(cpu.ops, name)(x)
    assert y.dtype == dtype
    assert units_in_last_place(y[normal_range], expected[normal_range]) <= 4
    np.testing.assert_allclose(y, expected.astype(float), rtol=0, atol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
def test_limits(backend, dtype):
    x = np.array([np.inf, -np.inf, np.nan, 1e30, -1e30, 0.0], dtype)
    with np.errstate(all="ignore"):
        assert_exact(backend.ops.relu(x), np.array([np.inf, 0, np.nan, 1e30, 0, 0], dtype), dtype)
        assert_exact(backend.ops.sigmoid(x), np.array([1, 0, np.nan, 1, 0, 0.5]), dtype)
        assert_exact(backend.ops.tanh(x), np.array([1, -1, np.nan, 1, -1, 0]), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_any_shape(backend, name, shape, dtype):
    x, grad = normal(shape, 1, dtype), normal(shape, 2, dtype)
    y = getattr(backend.ops, name)(x)
    assert_matches(np.asarray(y), getattr(reference, name)(x.astype(np.longdouble)), dtype)
    dx = getattr(backend.ops, f"{name}_backward")(grad, y)
    wide = np.asarray(y, np.longdouble)
    assert_matches(np.asarray(dx), getattr(reference, f"{name}_backward")(grad, wide), dtype)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", NAMES)
def test_any_layout(backend, name, layout):
    x = lay_out(normal((3, 5, 6, 7), 1), layout)
    grad = lay_out(normal((3, 5, 6, 7), 2), layout)
    y = getattr(backend.ops, name)(x)
    dx = getattr(backend.ops, f"{name}_backward")(grad, y)
    assert_matches(y, getattr(reference, name)(x.astype(float)), np.float32)
    assert_matches(dx, getattr(reference, f"{name}_backward")(grad, y.astype(float)), np.float32)
    if layout == "channels_last" and backend.name != "reference":
        assert np.moveaxis(y, 1, -1).flags.c_contiguous
        assert np.moveaxis(dx, 1, -1).flags.c_contiguous


@pytest.mark.parametrize("name", NAMES)
def test_gradient_and_output_may_lie_differently(backend, name):
    x, grad = normal((2, 5, 4, 3), 1), normal((2, 5, 4, 3), 2)
    y = getattr(reference, name)(x)
    expected = getattr(reference, f"{name}_backward")(grad, y.astype(float))
    for layout in LAYOUTS:
        dx = getattr(backend.ops, f"{name}_backward")(lay_out(grad, layout), y)
        assert_matches(dx, expected, np.float32, repeat=layout)


def test_relu_backward(backend):
    y = np.array([1, 0, 3, 0, np.nan], np.float32)
    dx = backend.ops.relu_backward(np.array([4, -1, 5, 9, 7], np.float32), y)
    assert dx.tolist() == [4, 0, 5, 0, 7]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize(
    "shape, dim",
    [
        ((4, 10), -1),
        ((4, 10), 0),
        ((1, 1), 1),
        ((7,), 0),
        ((64, 33), 1),
        ((2, 17, 5, 3), 1),
        ((2, 17, 5, 3), -2),
        ((2, 3, 1000), -1),
        ((0, 5), -1),
        ((2, 5, 0), 1),
    ],
)
def test_softmax(backend, name, shape, dim, dtype):
    x, grad = 5 * normal(shape, 1, dtype), normal(shape, 2, dtype)
    y = getattr(backend.ops, name)(x, dim)
    expected = getattr(reference, name)(x.astype(np.longdouble), dim)
    assert_matches(y, expected, dtype, terms=shape[dim])
    dx = getattr(backend.ops, f"{name}_backward")(grad, y, dim)
    expected = getattr(reference, f"{name}_backward")(grad, y.astype(np.longdouble), dim)
    assert_matches(dx, expected, dtype, terms=16 + shape[dim])


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_softmax_in_any_layout(backend, name, layout):
    x = lay_out(normal((3, 5, 6, 7), 1), layout)
    for dim in (1, 3):
        expected = getattr(reference, name)(x.astype(float), dim)
        assert_matches(getattr(backend.ops, name)(x, dim), expected, np.float32, terms=7)


def test_softmax_of_large_and_infinite_logits(backend):
    x = np.array([[1e4, 0, -1e4], [3e38, 3e38, -3e38], [0, -np.inf, 0]], np.float32)
    with np.errstate(over="ignore"):
        y = backend.ops.softmax(x)
    assert_exact(y, np.array([[1, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5]]), np.float32)
    log = backend.ops.log_softmax(np.array([[1e4, 0.0]], np.float32))
    assert_exact(log, np.array([[0, -1e4]]), np.float32)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "sigmoid", "tanh"])
def test_gradients_by_finite_differences(backend, name):
    x, grad, direction = (normal((3, 6), seed, np.float64) for seed in (1, 2, 3))
    forward = getattr(backend.ops, name)
    slope = np.vdot(grad, forward(x + 1e-6 * direction) - forward(x - 1e-6 * direction)) / 2e-6
    dx = getattr(backend.ops, f"{name}_backward")(grad, forward(x))
    assert slope == pytest.approx(np.vdot(dx, direction), rel=1e-7)


def test_relu_of_integers_is_exact(backend):
    x = exact_integers((1031,), 4)
    assert_exact(backend.ops.relu(x), np.maximum(x, 0), np.float32)


def test_relu_past_the_caches_keeps_nan_infinity_and_minus_zero(cpu):
    x = np.tile(normal((8191,), 1), 1100)
    x[:5] = x[-5:] = [np.nan, np.inf, -np.inf, -0.0, 0.0]
    y = cpu.ops.relu(x)
    assert_exact(y, reference.relu(x), np.float32)
    assert np.signbit(y[3])
    assert np.signbit(y[-2])
