"""Local response normalisation: kernels, tape, layer."""

from __future__ import annotations

import numpy as np
import pytest
from gradcheck import check_gradients
from hypothesis import given, settings
from hypothesis import strategies as st

import fastconv as fc
from fastconv import nn, ops, reference
from fastconv.nn import functional as F
from fastconv.testing import LAYOUTS, assert_exact, assert_matches, lay_out, normal

ALEXNET = {"size": 5, "alpha": 5e-4, "beta": 0.75, "k": 2.0}
# Strong enough that every term counts.
STRONG = {"size": 4, "alpha": 1.7, "beta": 0.75, "k": 0.3}
ANY = {"size": 3, "alpha": 2.0, "beta": 0.6, "k": 1.1}

# Tails of vectors, several pieces of a plane, one channel, planes of one pixel, fewer channels than
# the window, results that go past the caches, nothing at all.
SHAPES = (
    (2, 7, 5, 5), (1, 96, 9, 9), (3, 40, 1, 1), (5, 33), (2, 3, 40, 41), (1, 1, 7, 6), (2, 5, 11),
    (1, 70, 3, 4, 5), (0, 4, 3, 3), (2, 4, 0, 3),
)  # fmt: skip


def both_passes(module, x, grad, settings):
    return (
        module.local_response_norm(x, **settings),
        module.local_response_norm_backward(grad, x, **settings),
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("given", [ALEXNET, STRONG, ANY], ids=["alexnet", "strong", "any power"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_the_definition(cpu, shape, given, dtype):
    x, grad = normal(shape, 0, dtype) * 3, normal(shape, 1, dtype)
    wide = both_passes(reference, x.astype(np.float64), grad.astype(np.float64), given)
    for layout in LAYOUTS:
        placed = [lay_out(array, layout) for array in (x, grad)]
        for result, value in zip(both_passes(cpu.ops, *placed, given), wide, strict=True):
            assert_matches(result, value, dtype, given["size"], f"{shape} {layout}")


def test_exact_where_every_number_is_a_power_of_two(backend):
    """Squares of 0 and 4 over four channels: s = 16 inside, whose power is 1/8."""
    x = np.full((2, 9, 5, 7), 4, np.float32)
    for layout in ("contiguous", "channels_last"):
        y = backend.ops.local_response_norm(lay_out(x, layout), 4, alpha=1.0, beta=0.75, k=0.0)
        assert_exact(y[:, 2:-1], np.full((2, 6, 5, 7), 0.5), np.float32)
        edges = 4 * np.array([0.5, 0.75, 0.75]) ** -0.75 / 8
        np.testing.assert_allclose(y[0, [0, 1, -1], 0, 0], edges, rtol=3e-7)


def test_the_papers_sum_is_the_mean_of_five_times_its_alpha(cpu):
    x = normal((2, 12, 6, 6), 0, "float64")
    expected = np.empty_like(x)
    for i in range(12):  # section 3.3 of Krizhevsky et al. (2012)
        near = x[:, max(0, i - 2) : min(11, i + 2) + 1]
        expected[:, i] = x[:, i] / (2 + 1e-4 * (near**2).sum(1)) ** 0.75
    np.testing.assert_allclose(cpu.ops.local_response_norm(x, **ALEXNET), expected, rtol=1e-14)


@settings(max_examples=30)
@given(
    st.integers(0, 3),
    st.integers(1, 70),
    st.lists(st.integers(1, 20), max_size=2),
    st.integers(1, 40),
    st.sampled_from([0.75, 0.5, 1.0, 2.3, 0.0, -0.5]),
    st.sampled_from(sorted(LAYOUTS)),
)
def test_any_shape(cpu, batch, channels, spatial, size, beta, layout):
    x, grad = (normal((batch, channels, *spatial), seed, "float64") for seed in (1, 2))
    given = {"size": size, "alpha": 1.3, "beta": beta, "k": 0.9}
    placed = [lay_out(array, layout) for array in (x, grad)]
    expected = both_passes(reference, x, grad, given)
    for result, value in zip(both_passes(cpu.ops, *placed, given), expected, strict=True):
        np.testing.assert_allclose(result, value, rtol=1e-12, atol=1e-13)


def test_large_responses_keep_their_digits_for_any_power(cpu):
    x = (normal((1, 8, 4, 4), 0, "float32") * 1e9).astype(np.float32)
    given = {"size": 3, "alpha": 1.0, "beta": 1.9, "k": 1.0}
    expected = reference.local_response_norm(x.astype(np.float64), **given)
    assert_matches(cpu.ops.local_response_norm(x, **given), expected, "float32", 3)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_the_same_bits_for_any_number_of_threads(restore_threads, layout):
    x, grad = (lay_out(normal((3, 48, 60, 61), seed, "float32"), layout) for seed in (0, 1))
    results = []
    for threads in (1, 2, 5):
        fc.set_num_threads(threads)
        results.append(both_passes(ops, x, grad, STRONG))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert_exact(b, a, np.float32)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_results_that_go_past_the_caches_are_the_same(cpu, layout):
    x, grad = (lay_out(normal((2, 9, 500, 501), seed, "float32"), layout) for seed in (0, 1))
    together = both_passes(cpu.ops, x, grad, ALEXNET)
    for i in range(2):
        alone = both_passes(cpu.ops, x[i : i + 1], grad[i : i + 1], ALEXNET)
        for a, b in zip(together, alone, strict=True):
            assert_exact(a[i : i + 1], b, np.float32)


def test_results_lie_as_the_input_does(cpu):
    x, grad = normal((2, 5, 4, 3), 0, "float32"), normal((2, 5, 4, 3), 1, "float32")
    last = lay_out(x, "channels_last")
    for result in both_passes(cpu.ops, last, grad, STRONG):
        assert result.strides == last.strides


def test_nan_and_infinity_stay_in_their_windows(cpu):
    x = np.ones((1, 9, 2, 2), np.float32)
    x[0, 1, 0, 0], x[0, 7, 1, 1] = np.nan, np.inf
    for layout in ("contiguous", "channels_last"):
        y = cpu.ops.local_response_norm(lay_out(x, layout), **ANY)
        assert np.isnan(y[0, :3, 0, 0]).all() and np.isfinite(y[0, 3:, 0, 0]).all()
        assert np.isnan(y[0, 7, 1, 1]) and (y[0, [6, 8], 1, 1] == 0).all()
        assert np.isfinite(y[0, :6, 1, 1]).all()


@pytest.mark.parametrize("given", [STRONG, ANY], ids=["three quarters", "any power"])
def test_gradient_by_finite_differences(given):
    def function(x):
        return F.local_response_norm(x, **given)

    check_gradients(function, normal((2, 6, 2, 3), 0, "float64"))


def test_layer():
    layer = nn.LocalResponseNorm(5, alpha=5e-4, k=2)
    assert repr(layer) == "LocalResponseNorm(5, alpha=0.0005, beta=0.75, k=2)"
    assert layer.state_dict() == {}
    x = normal((2, 7, 3, 3), 0, "float32")
    assert_exact(layer(fc.tensor(x)).data, ops.local_response_norm(x, **ALEXNET), np.float32)


X = np.zeros((2, 3, 4, 4), np.float32)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: ops.local_response_norm(X, 0), ValueError, "size must be at least 1, got 0"),
        (lambda: ops.local_response_norm(X, 2.0), TypeError, "size must be an integer"),
        (lambda: ops.local_response_norm(X, 5, k=-1), ValueError, "k must be at least 0"),
        (
            lambda: ops.local_response_norm(X, 5, float("nan")),
            ValueError,
            "alpha must be at least 0, got nan",
        ),
        (
            lambda: ops.local_response_norm(X[0, 0, 0], 5),
            ValueError,
            "local_response_norm: input has shape (4,), expected (N, C)",
        ),
        (
            lambda: ops.local_response_norm(X.astype(np.int32), 5),
            TypeError,
            "local_response_norm: x",
        ),
        (
            lambda: ops.local_response_norm_backward(X[:1], X, 5),
            ValueError,
            "local_response_norm_backward: grad has shape (1, 3, 4, 4), expected (2, 3, 4, 4)",
        ),
        (
            lambda: F.local_response_norm(X, 5),
            TypeError,
            "local_response_norm: input must be a Tensor",
        ),
        (lambda: nn.LocalResponseNorm(0), ValueError, "LocalResponseNorm: size must be at least 1"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)


@pytest.mark.parametrize("size", [2**62, 10**6])
def test_a_window_larger_than_all_channels(cpu, size):
    x = normal((2, 5, 3, 3), 0, "float64")
    given = {"size": size, "alpha": float(size), "beta": 0.75, "k": 1.0}
    expected = x * (1 + (x * x).sum(1, keepdims=True)) ** -0.75
    np.testing.assert_allclose(cpu.ops.local_response_norm(x, **given), expected, rtol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("given", [ALEXNET, STRONG, ANY], ids=["alexnet", "strong", "any power"])
def test_equals_pytorch(given, dtype):
    torch = pytest.importorskip("torch")
    x, grad = normal((2, 20, 7, 6), 0, dtype), normal((2, 20, 7, 6), 1, dtype)
    theirs = torch.from_numpy(x.copy()).requires_grad_()
    y = torch.nn.LocalResponseNorm(**given)(theirs)
    y.backward(torch.from_numpy(grad.copy()))
    ours = fc.tensor(x, requires_grad=True)
    result = nn.LocalResponseNorm(**given)(ours)
    result.backward(grad)
    assert_matches(result.data, y.detach().numpy().astype(np.float64), dtype, 10)
    assert_matches(ours.grad.data, theirs.grad.numpy().astype(np.float64), dtype, 10)
