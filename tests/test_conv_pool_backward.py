"""Gradients of a convolution behind max pooling: from the chosen cells, or of its whole map."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastconv
from fastconv import _core, nn, ops, reference
from fastconv.testing import assert_exact, exact_integers, lay_out, normal

LAYOUTS = ("contiguous", "channels_last")
HALVES = (2, None, 0, 1, False)
# (N, C, H, W), (K, C/groups, R, S), stride, padding, dilation, groups, then the pooling's kernel,
# stride, padding, dilation, ceil mode.
CASES = [
    ((8, 1, 12, 11), (6, 1, 5, 5), 1, 2, 1, 1, *HALVES),
    ((9, 6, 10, 10), (5, 6, 5, 5), 1, 0, 1, 1, *HALVES),
    ((8, 3, 12, 14), (8, 3, 5, 5), 1, ((3, 0), (1, 4)), 1, 1, *HALVES),
    ((8, 15, 12, 12), (8, 15, 3, 3), 1, 1, 1, 1, 3, 2, 1, 1, True),
    ((8, 3, 43, 39), (32, 3, 11, 11), 4, 2, 1, 1, 3, 2, 0, 1, False),
    ((10, 17, 13, 13), (9, 17, 3, 5), (2, 1), (1, 2), (2, 1), 1, 2, 2, 0, 1, False),
    ((8, 40, 9, 9), (24, 40, 3, 3), 1, 1, 1, 1, 3, 3, 0, 1, False),
    ((8, 8, 9, 9), (40, 8, 7, 7), 1, 9, 1, 1, 4, 4, 1, 1, False),
    ((8, 27, 9, 9), (4, 27, 3, 5), 1, (1, 2), 1, 1, *HALVES),
    ((3, 4, 8, 8), (4, 4, 3, 3), 1, 1, 1, 1, *HALVES),
    ((8, 4, 8, 8), (4, 2, 3, 3), 1, 1, 1, 2, *HALVES),
    ((0, 3, 8, 8), (4, 3, 3, 3), 1, 1, 1, 1, *HALVES),
]


def arguments(case):
    shape, weight, *rest = case
    return shape, weight, tuple(rest[:4]), tuple(rest[4:])


def prepared(case, dtype, draw=exact_integers):
    """grad, of which some are 0 as behind a ReLU, indices, x, weight."""
    shape, weight, convolution, pooling = arguments(case)
    x, w = draw(shape, 0, dtype), draw(weight, 1, dtype)
    map_ = reference.conv2d(x.astype("float64"), w.astype("float64"), None, *convolution)
    y, indices = reference.max_pool2d(map_ + normal(map_.shape, 2, "float64"), *pooling)
    grad = draw(y.shape, 3, dtype)
    grad[normal(y.shape, 4, "float32") < 0] = 0
    return grad, indices, x, w


def implementations(case, algorithm="auto"):
    shape, weight, convolution, pooling = arguments(case)
    problem = ops.conv_problem(shape, weight, *convolution)
    return [
        _core.conv_max_pool_backward_implementation(problem, f"backward_{of}", pooling, algorithm)
        for of in ("input", "weight")
    ]


def test_the_choice_for_layers_that_matter():
    lenet = [
        ((64, 1, 28, 28), (6, 1, 5, 5), 1, 2, 1, 1, *HALVES),
        ((64, 6, 14, 14), (16, 6, 5, 5), 1, 0, 1, 1, *HALVES),
    ]
    cifar = [
        ((64, 3, 32, 32), (16, 3, 5, 5), 1, 2, 1, 1, *HALVES),
        ((64, 16, 16, 16), (20, 16, 5, 5), 1, 2, 1, 1, *HALVES),
        ((64, 20, 8, 8), (20, 20, 5, 5), 1, 2, 1, 1, *HALVES),
    ]
    middle = ((32, 32, 16, 16), (32, 32, 3, 3), 1, 1, 1, 1, *HALVES)
    vgg = ((32, 64, 32, 32), (64, 64, 3, 3), 1, 1, 1, 1, *HALVES)
    assert [implementations(case)[1] for case in lenet + cifar] == ["sparse"] * 5
    assert implementations(lenet[1])[0] == "sparse"
    assert implementations(cifar[1]) == implementations(cifar[2]) == ["sparse", "sparse"]
    assert implementations(middle) == ["spread", "sparse"]  # Winograd's dx is the faster one
    assert implementations(middle, "direct") == ["sparse", "sparse"]
    assert implementations(lenet[1], "winograd") == implementations(vgg) == ["spread", "spread"]
    # Most pixels would be copied in vain.
    wasted = ((8, 64, 56, 56), (64, 64, 1, 1), 2, 0, 1, 1, *HALVES)
    assert implementations(wasted) == ["spread", "spread"]
    chosen = [implementations(case, "direct") for case in CASES]
    assert [weight for _, weight in chosen] == ["sparse"] * 9 + ["spread"] * 3
    assert [image for image, _ in chosen].count("sparse") >= 4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_exact_gradients(backend, case, dtype):
    _, _, convolution, pooling = arguments(case)
    grad, indices, x, w = prepared(case, dtype)
    wide = [a.astype("float64") for a in (grad, x, w)]
    expected = reference.conv2d_max_pool2d_backward(
        wide[0], indices, *wide[1:], convolution, pooling
    )
    for layout in LAYOUTS:
        g, i = (
            lay_out(grad, layout),
            lay_out(indices.astype("float64"), LAYOUTS[dtype == "float64"]),
        )
        actual = backend.ops.conv2d_max_pool2d_backward(
            g, i.astype("int64"), lay_out(x, layout), w, convolution, pooling, algorithm="direct"
        )
        for a, e in zip(actual, expected, strict=True):
            assert_exact(a, e, dtype)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_gradient_that_is_not_wanted(cpu, layout):
    case = CASES[1]
    shape, weight, convolution, pooling = arguments(case)
    grad, indices, x, w = prepared(case, "float32")
    grad, x = lay_out(grad, layout), lay_out(x, layout)
    problem = ops.conv_problem(shape, weight, *convolution)
    dx, dw, db = ops.conv_max_pool_backward(problem, grad, indices, x, w, pooling)
    assert np.array_equal(grad.sum((0, 2, 3)), db)
    only = ops.conv_max_pool_backward(problem, grad, indices, None, w, pooling)
    assert np.array_equal(only[0], dx) and only[1] is only[2] is None
    assert (
        only[0].strides
        == ops.conv_backward_input(
            problem, lay_out(np.zeros(problem.output_shape, "float32"), layout), w
        ).strides
    )
    only = ops.conv_max_pool_backward(problem, grad, indices, x, None, pooling, bias=False)
    assert np.array_equal(only[1], dw) and only[0] is only[2] is None


@st.composite
def cases(draw):
    number = lambda low, high: draw(st.integers(low, high))  # noqa: E731
    n, c, k = number(8, 12), number(1, 20), number(1, 24)
    r, s, p, stride, window = number(1, 7), number(1, 7), number(0, 3), number(1, 3), number(2, 4)
    dilation = number(1, 2)
    reach = (dilation * (r - 1) + 1, s)  # of a kernel; the map is to hold a window
    least = [max(1, cells + stride * (window - 1) - 2 * p) for cells in reach]
    shape = (n, c, *(number(size, size + 12) for size in least))
    pooling = (window, number(2, 5), number(0, window // 2), 1, draw(st.booleans()))
    return (shape, (k, c, r, s), stride, p, (dilation, 1), 1, *pooling)


@given(case=cases(), layout=st.sampled_from(LAYOUTS), algorithm=st.sampled_from(["auto", "direct"]))
def test_any_problem(cpu, case, layout, algorithm):
    _, _, convolution, pooling = arguments(case)
    grad, indices, x, w = prepared(case, "float32")
    expected = reference.conv2d_max_pool2d_backward(
        *(a.astype("float64") if a.dtype == "float32" else a for a in (grad, indices, x, w)),
        convolution,
        pooling,
    )
    actual = cpu.ops.conv2d_max_pool2d_backward(
        lay_out(grad, layout), indices, lay_out(x, layout), w, convolution, pooling,
        algorithm="direct",
    )  # fmt: skip
    for a, e in zip(actual, expected, strict=True):
        assert_exact(a, e, "float32")
    by_choice = cpu.ops.conv2d_max_pool2d_backward(
        grad, indices, x, w, convolution, pooling, algorithm=algorithm
    )
    for a, e in zip(by_choice, expected, strict=True):
        assert np.linalg.norm(a - e) <= 1e-5 * np.linalg.norm(e) + 1e-6


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_where_it_belongs(cpu, value):
    """A gradient reaches the cells that its window saw, whatever it is, and no others."""
    case = CASES[1]
    _, _, convolution, pooling = arguments(case)
    grad, indices, x, w = prepared(case, "float32")
    w[w == 0] = 1
    grad[3, 2, 1, 2] = value
    dx, dw, db = cpu.ops.conv2d_max_pool2d_backward(
        grad, indices, x, w, convolution, pooling, algorithm="direct"
    )
    y, x0 = divmod(int(indices[3, 2, 1, 2]), 6)
    seen = np.zeros(dx.shape, bool)
    seen[3, :, y : y + 5, x0 : x0 + 5] = True
    assert np.isfinite(dx[~seen]).all() and not np.isfinite(dx[seen]).any()
    others = [k for k in range(5) if k != 2]
    assert np.isfinite(dw[others]).all() and np.isfinite(db[others]).all()
    assert not np.isfinite(db[2])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", [CASES[1], CASES[4]], ids=str)
def test_any_number_of_threads(cpu, restore_threads, case, dtype):
    _, _, convolution, pooling = arguments(case)
    arrays, expected = prepared(case, dtype, normal), None
    for threads in (1, 2, 5):
        fastconv.set_num_threads(threads)
        gradients = cpu.ops.conv2d_max_pool2d_backward(*arrays, convolution, pooling)
        expected = gradients if expected is None else expected
        assert all(np.array_equal(a, b) for a, b in zip(gradients, expected, strict=True))


def test_layers_in_a_row_have_the_gradients_of_layers_one_by_one():
    fastconv.manual_seed(0)
    for layout in LAYOUTS:
        fused = nn.Sequential(nn.Conv2d(2, 5, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        x = fastconv.tensor(lay_out(normal((9, 2, 8, 10), 0, "float32"), layout), True)
        fused(x).sum().backward()
        gradients = [x.grad.numpy(), *(p.grad.numpy() for p in fused.parameters())]
        x.grad = None
        fused.zero_grad()
        y = x
        for layer in fused:
            y = layer(y)
        y.sum().backward()
        for a, b in zip(
            gradients, [x.grad.numpy(), *(p.grad.numpy() for p in fused.parameters())], strict=True
        ):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_errors(cpu):
    case = CASES[1]
    shape, weight, convolution, pooling = arguments(case)
    grad, indices, x, w = prepared(case, "float32")
    backward = cpu.ops.conv2d_max_pool2d_backward
    outside = indices.copy()
    outside[8, 4, 2, 1] = 36
    with pytest.raises(
        ValueError, match=r"^conv2d_max_pool2d_backward: index 36 at \(8, 4, 2, 1\) is outside"
    ):
        backward(grad, outside, x, w, convolution, pooling)
    outside[8, 4, 2, 1] = -1
    with pytest.raises(ValueError, match=r"index -1 at \(8, 4, 2, 1\) is outside"):
        backward(grad, outside, x, w, convolution, pooling)
    with pytest.raises(ValueError, match=r"conv2d_max_pool2d_backward: grad .*\(9, 5, 3, 2\)"):
        backward(grad[..., :2], indices, x, w, convolution, pooling)
    with pytest.raises(ValueError, match=r"conv2d_max_pool2d_backward: indices .*\(9, 5, 3, 2\)"):
        backward(grad, indices[..., :2], x, w, convolution, pooling)
    with pytest.raises(TypeError, match="conv2d_max_pool2d_backward: x"):
        backward(grad, indices, x.astype("float64"), w, convolution, pooling)
    with pytest.raises(TypeError, match="conv2d_max_pool2d_backward: indices"):
        backward(grad, indices.astype("int16"), x, w, convolution, pooling)
    with pytest.raises(ValueError, match=r"conv2d_max_pool2d_backward: .*\(5, 4, 5, 5\)"):
        backward(grad, indices, x, w[:, :4], convolution, pooling)
    problem = ops.conv_problem(shape, weight, *convolution)
    with pytest.raises(ValueError, match=r"conv2d_max_pool2d_backward: x .*\(9, 5, 10, 10\)"):
        ops.conv_max_pool_backward(problem, grad, indices, x[:, :5], w, pooling)
    with pytest.raises(ValueError, match=r'conv2d_max_pool2d_backward: algorithm "winograd"'):
        backward(grad, indices, x, w[..., :4], convolution, pooling, algorithm="winograd")
    with pytest.raises(TypeError, match="conv2d_max_pool2d_backward: ceil_mode"):
        backward(grad, indices, x, w, convolution, (2, None, 0, 1, "no"))
    with pytest.raises(ValueError, match=r"conv2d_max_pool2d_backward: .*pooling"):
        ops.conv_max_pool_backward(problem, grad, indices, x, w, (2, 2))
