"""The fully connected layer, forward and backward."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastconv import reference
from fastconv.testing import (
    LAYOUTS,
    assert_exact,
    assert_matches,
    check,
    descriptor_set,
    exact_integers,
    lay_out,
    normal,
)

PASSES = ("forward", "backward_input", "backward_weight")
CORNERS = (
    "linear:n0i5o3",
    "linear:n1i1o1",
    "linear:n1i3o17",
    "linear:n2i15o33",
    "linear:n3i17o15",
    "linear:n5i33o1",
    "linear:n6i1o65",
    "linear:n7i129o64",
    "linear:n33i16o16",
    "linear:n65i70o130",
    "linear:n4i1000o3",
    "linear:n300i9o7",
)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("pass_name", PASSES)
@pytest.mark.parametrize("descriptor", CORNERS)
def test_corners_in_every_layout(backend, descriptor, pass_name, dtype):
    for layout in LAYOUTS:
        check(backend.ops, descriptor, pass_name, layout, dtype)


LARGE = ("linear:n128i9216o40", "linear:n9i300o4096", "linear:n256i1024o512")
LAYERS = [d for d in descriptor_set("linear") if "o4096" not in d] + list(LARGE)


@pytest.mark.parametrize("pass_name", PASSES)
@pytest.mark.parametrize("descriptor", LAYERS)
def test_network_layers(cpu, descriptor, pass_name):
    check(cpu.ops, descriptor, pass_name, "contiguous", "float32", seed=7)


@given(
    sizes=st.tuples(st.integers(0, 40), st.integers(1, 150), st.integers(1, 150)),
    pass_name=st.sampled_from(PASSES),
    layout=st.sampled_from(sorted(LAYOUTS)),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 2**31),
)
def test_random_problems(backend, sizes, pass_name, layout, dtype, seed):
    n, i, o = sizes
    check(backend.ops, f"linear:n{n}i{i}o{o}", pass_name, layout, dtype, seed)


@pytest.mark.parametrize("rows", [1, 16, 40])
def test_no_outputs_have_a_zero_gradient(backend, rows):
    grad, weight = np.zeros((rows, 0), np.float32), np.zeros((0, 33), np.float32)
    expected = np.zeros((rows, 33), np.float32)
    assert_exact(backend.ops.linear_backward_input(grad, weight), expected, np.float32)


@pytest.mark.parametrize("lead", [(), (1,), (4,), (2, 3), (2, 0, 3), (1, 2, 1, 2)])
def test_leading_dimensions(backend, lead):
    shapes = [(*lead, 5), (7, 5), (7,)]
    x, weight, bias = (exact_integers(shape, i) for i, shape in enumerate(shapes))
    y = backend.ops.linear(x, weight, bias)
    assert_exact(y, reference.linear(x.astype(float), weight, bias), np.float32)
    grad = exact_integers((*lead, 7), 4)
    expected = reference.linear_backward(grad.astype(float), x, weight)
    for got, want in zip(backend.ops.linear_backward(grad, x, weight), expected, strict=True):
        assert_exact(got, want, np.float32)


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("shape", [(1, 40, 10), (3, 129, 65), (64, 400, 120)])
def test_fused_bias_and_activation(backend, shape, activation, with_bias):
    rows, features, outputs = shape
    x, weight = exact_integers((rows, features), 1) / 8, exact_integers((outputs, features), 2) / 8
    bias = exact_integers((outputs,), 3) / 8 if with_bias else None
    y = backend.ops.linear(x, weight, bias, activation=activation)
    expected = reference.linear(x.astype(float), weight, bias, activation=activation)
    if activation == "relu":
        assert_exact(y, expected, np.float32)
    else:
        assert_matches(y, expected, np.float32, terms=1)


def test_without_bias(backend):
    x, weight, grad = (exact_integers(s, i) for i, s in enumerate([(4, 5), (3, 5), (4, 3)]))
    dw, db = backend.ops.linear_backward_weight(grad, x, bias=False)
    assert db is None
    assert backend.ops.linear_backward(grad, x, weight, bias=False)[2] is None
    assert_exact(dw, grad.T.astype(float) @ x, np.float32)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 4000, 30), (20, 700, 50)])
def test_rounding_stays_within_the_tolerance(backend, shape, dtype):
    rows, features, outputs = shape
    x, weight = normal((rows, features), 1, dtype), normal((outputs, features), 2, dtype)
    grad = normal((rows, outputs), 3, dtype)
    wide = [a.astype(np.longdouble) for a in (grad, x, weight)]
    assert_matches(backend.ops.linear(x, weight), wide[1] @ wide[2].T, dtype, features)
    terms = (outputs, rows, rows)
    expected = reference.linear_backward(*wide)
    results = backend.ops.linear_backward(grad, x, weight)
    for got, want, count in zip(results, expected, terms, strict=True):
        assert_matches(got, want, dtype, count)


def test_transposed_weight_is_read_as_it_lies(backend):
    x, weight = exact_integers((6, 9), 1), exact_integers((9, 4), 2)
    assert_exact(backend.ops.linear(x, weight.T), x.astype(float) @ weight, np.float32)
    y = backend.ops.linear(lay_out(x, "reversed"), lay_out(weight.T, "strided"))
    assert_exact(y, x.astype(float) @ weight, np.float32)
