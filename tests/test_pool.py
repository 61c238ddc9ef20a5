"""Max pooling with indices, and its backward pass."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastconv import reference
from fastconv.testing import (
    LAYOUTS,
    assert_exact,
    check,
    descriptor_set,
    exact_integers,
    lay_out,
    normal,
    with_batch,
)

CORNERS = (
    "pool:n1c1h1r1",
    "pool:n0c3h6r2",
    "pool:n2c3h5r5",
    "pool:n2c5h7r3sh1",
    "pool:n2c5h7r2",
    "pool:n2c5h7r2ceil1",
    "pool:n2c17h9r3sh2p1",
    "pool:n2c17h10r3sh2p1ceil1",
    "pool:n2c3h9w14r3s2sh2sw3ph1pw0",
    "pool:n1c33h11r3sh2dh2p1",
    "pool:n1c16h8r2sh3",
    "pool:n3c1h40r2",
    "pool:n1c4h3w70r3s4sh1sw2ph1pw2",
    "pool:n2c64h6r4sh1p2",
    "pool:n1c2h6r2sh5ceil1",
)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("pass_name", ["forward", "backward_input"])
@pytest.mark.parametrize("descriptor", CORNERS)
def test_corners_in_every_layout(backend, descriptor, pass_name, dtype):
    for layout in LAYOUTS:
        check(backend.ops, descriptor, pass_name, layout, dtype)


@pytest.mark.parametrize("pass_name", ["forward", "backward_input"])
@pytest.mark.parametrize("descriptor", [with_batch(d, 2) for d in descriptor_set("pool")])
def test_network_layers(cpu, descriptor, pass_name):
    for layout in ("contiguous", "channels_last"):
        check(cpu.ops, descriptor, pass_name, layout, "float32", seed=7)


@st.composite
def pool_descriptors(draw):
    number = lambda low, high: draw(st.integers(low, high))  # noqa: E731
    r, s, dh, dw = number(1, 4), number(1, 4), number(1, 2), number(1, 2)
    ph, pw = number(0, r // 2), number(0, s // 2)
    # At least the dilation: no window lies in the padding alone.
    h = number(max(dh, dh * (r - 1) + 1 - ph), 14)
    w = number(max(dw, dw * (s - 1) + 1 - pw), 14)
    return (
        f"pool:n{number(0, 3)}c{number(1, 40)}h{h}w{w}r{r}s{s}sh{number(1, 4)}sw{number(1, 4)}"
        f"dh{dh}dw{dw}ph{ph}pw{pw}ceil{number(0, 1)}"
    )


@given(
    descriptor=pool_descriptors(),
    pass_name=st.sampled_from(["forward", "backward_input"]),
    layout=st.sampled_from(sorted(LAYOUTS)),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 2**31),
)
def test_random_problems(backend, descriptor, pass_name, layout, dtype, seed):
    check(backend.ops, descriptor, pass_name, layout, dtype, seed)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_first_maximum_wins(backend, layout, dtype):
    x = lay_out(np.full((1, 19, 6, 6), 3, dtype), layout)
    y, indices = backend.ops.max_pool2d(x, 3, 2, 1)
    assert (y == 3).all()
    assert indices.dtype == np.int64
    assert indices[0, 18].tolist() == [[0, 1, 3], [6, 7, 9], [18, 19, 21]]


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_negative_infinity_wins_nothing_from_the_padding(backend, layout):
    x = lay_out(np.full((2, 20, 5, 5), -np.inf, np.float32), layout)
    y, indices = backend.ops.max_pool2d(x, 3, 2, 1)
    assert (y == -np.inf).all()
    assert indices[1, 19].tolist() == [[0, 1, 3], [5, 6, 8], [15, 16, 18]]


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_last_nan_wins(backend, layout, dtype):
    x = exact_integers((2, 18, 8, 8), 3, dtype)
    x[0, :, 1, 1] = x[0, :, 2, 2] = x[1, 5:9, 4] = np.nan
    x[0, :, 0, 2] = np.inf
    y, indices = backend.ops.max_pool2d(lay_out(x, layout), 3, 2, 1)
    expected, expected_indices = reference.max_pool2d(x, 3, 2, 1)
    assert np.isnan(y).any()
    assert_exact(y, expected, dtype)
    assert_exact(indices, expected_indices, np.int64)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_results_lie_as_the_input(backend, layout):
    x = lay_out(exact_integers((2, 5, 8, 8), 1), layout)
    y, indices = backend.ops.max_pool2d(x, 2)
    dx = backend.ops.max_pool2d_backward(lay_out(np.ones_like(y), layout), indices, x.shape)
    for result in (y, indices, dx):
        last = np.moveaxis(result, 1, -1).flags.c_contiguous
        assert last if layout == "channels_last" else result.flags.c_contiguous


def test_without_indices(backend):
    x = exact_integers((2, 5, 8, 8), 1)
    alone = backend.ops.max_pool2d(x, 3, 2, 1, return_indices=False)
    assert isinstance(alone, np.ndarray)
    np.testing.assert_array_equal(alone, backend.ops.max_pool2d(x, 3, 2, 1)[0])


def test_backward_takes_gradient_and_indices_that_lie_differently(backend):
    x = exact_integers((2, 6, 9, 9), 1)
    y, indices = backend.ops.max_pool2d(x, 3, 2)
    grad = exact_integers(y.shape, 2)
    expected = reference.max_pool2d_backward(grad.astype(float), indices, x.shape)
    for grad_layout in LAYOUTS:
        for index_layout in ("contiguous", "channels_last", "fortran"):
            laid = np.empty_like(lay_out(y, index_layout), dtype=np.int64)
            laid[...] = indices
            for window in ((), (3, 2)):
                turned = lay_out(grad, grad_layout)
                dx = backend.ops.max_pool2d_backward(turned, laid, x.shape, *window)
                assert_exact(dx, expected, np.float32, f"{grad_layout} {index_layout} {window}")


def test_backward_checks_the_windows(cpu):
    grad, places = np.zeros((1, 1, 3, 3), np.float32), np.zeros((1, 1, 3, 3), np.int64)
    with pytest.raises(ValueError, match=r"^max_pool2d_backward: grad has shape \(1, 1, 3, 3\)"):
        cpu.ops.max_pool2d_backward(grad, places, (1, 1, 8, 8), 2)


def test_gradient_by_finite_differences(backend):
    x = normal((2, 3, 7, 7), 5, np.float64)
    y, indices = backend.ops.max_pool2d(x, 3, 2, 1)
    grad, direction = normal(y.shape, 6, np.float64), normal(x.shape, 7, np.float64)
    step = 1e-6 * direction
    ahead = backend.ops.max_pool2d(x + step, 3, 2, 1, return_indices=False)
    behind = backend.ops.max_pool2d(x - step, 3, 2, 1, return_indices=False)
    slope = np.vdot(grad, ahead - behind) / 2e-6
    dx = backend.ops.max_pool2d_backward(grad, indices, x.shape)
    assert slope == pytest.approx(np.vdot(dx, direction), rel=1e-7)
