"""Average pooling, adaptive and global too: kernels against the definition, in every layout."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastconv
from fastconv import reference
from fastconv.testing import LAYOUTS, assert_exact, assert_matches, exact_integers, lay_out, normal

# Shape, then the arguments. Divisors of 2**k: every result is exact.
EXACT = (
    ((2, 3, 8, 8), (2,)),
    ((1, 70, 7, 9), (2, 1)),
    ((3, 5, 9, 70), ((4, 2), (3, 2), (1, 1))),
    ((2, 17, 12, 12), (4, 4, 2, True)),
    ((2, 19, 11, 6), (2, 3, 1, True, True)),
    ((1, 2, 40, 41), (8, 1, 4)),
    ((1, 2, 3, 2100), ((1, 2), (1, 1))),
    ((1, 1, 2, 4200), ((2, 4), 2, (1, 2))),
    ((1, 1, 2, 4200), ((2, 64), (1, 50))),
    ((1, 1, 3, 5000), ((2, 4096), (1, 200), (0, 100))),
    ((1, 1100, 4, 4), (2, 1)),
    ((1, 3, 16, 16), (16,)),
    ((2, 67, 4, 8), ((4, 8),)),
    ((1, 1, 9, 9), (1,)),
    ((2, 6, 5, 5), (1, 2)),
    ((2, 6, 7, 7), (1, 3)),
    ((2, 5, 33), (4, 2, 2)),
    ((1, 2, 30000), (8192, 8192)),
    ((2, 3, 5, 6, 7), (2, 1, 1)),
    ((1, 18, 4, 4, 4), (4,)),
    ((2, 70, 7, 14), (2,)),
    ((1, 3, 30, 15), (2,)),
    ((2, 5, 4, 9, 6), (2,)),
    ((0, 3, 6, 6), (2,)),
    ((5, 70, 15, 14), (2,)),  # chunks begin between the rows of a window
    ((2, 35, 9, 24), (2, 2, (1, 0), False, False)),
    ((2, 35, 9, 24), (2, 2, (1, 0))),
    ((3, 37, 23, 57), (4, 2, 1)),
    ((2, 3, 40, 30), ((8, 2), 1, (4, 1))),
    ((1, 3, 21, 256), (2, 1)),
    ((1, 3, 40, 20), ((2, 16), (5, 2), (0, 8))),
    ((2, 1100, 8, 8), (8,)),
    ((1, 300, 4, 16), ((4, 16),)),
    ((3, 67, 2, 512), ((2, 512),)),
)
ANY = (
    ((2, 5, 9, 9), (3, 2, 1)),
    ((2, 5, 9, 9), (3, 2, 1, True, False)),
    ((2, 33, 10, 11), (3, 1, 1, False, False)),
    ((1, 4, 14, 40), (5, 2, 2, True)),
    ((2, 3, 13, 13), ((3, 5), 3, (0, 2), True, True, 7)),
    ((2, 3, 13, 13), (3, 3, 1, False, False, -5)),
    ((2, 3, 13, 31), ((3, 2), 2, (1, 0))),
    ((2, 3, 13, 13), ((3, 2), (1, 2), (1, 0), True, False)),
    ((1, 3, 60, 60), (40, 7, 20)),
    ((1, 3, 2500), (33, 2, 16)),
    ((2, 4, 6, 7, 8), ((3, 2, 3), (2, 1, 2), (1, 0, 1), True, False)),
)
ADAPTIVE = (
    ((2, 3, 8, 8), 1),
    ((2, 3, 9, 7), (3, 2)),
    ((2, 33, 7, 7), (None, 3)),
    ((1, 2, 5, 6), (13, 7)),
    ((1, 3, 100), 7),
    ((1, 1, 3), 5000),
    ((1, 1, 6000), 2),
    ((2, 4, 5, 6, 7), (2, 6, 3)),
    ((0, 3, 6, 6), 2),
)


def name_of(kind, shape):
    return f"{kind}{len(shape) - 2}d"


def grad_of(shape, seed, dtype, exact, offset=0):
    return exact_integers(shape, seed, dtype) if exact else normal(shape, seed, dtype) + offset


def terms_of(kind, shape, out_shape, arguments):
    """Cells of a window, or windows that hold a cell: whichever are more."""
    if kind == "avg_pool":
        return int(np.prod(np.broadcast_to(arguments[0], len(shape) - 2)))
    pairs = list(zip(shape[2:], out_shape[2:], strict=True))
    return max(math.prod(a // b + 2 for a, b in pairs), math.prod(b // a + 2 for a, b in pairs))


@functools.lru_cache(maxsize=4)
def given_and_expected(kind, shape, arguments, dtype, exact, offset=0):
    """x and the gradient at the output; the output and the gradient at x in float64."""
    name, known = name_of(kind, shape), arguments if kind == "avg_pool" else ()
    x = grad_of(shape, 1, dtype, exact, offset)
    y = getattr(reference, name)(x.astype(np.float64), *arguments)
    grad = grad_of(y.shape, 2, dtype, exact, offset)
    back = getattr(reference, f"{name}_backward")
    return x, grad, y, back(grad.astype(np.float64), shape, *known)


def compare(ops, kind, shape, arguments, dtype, layout, exact, offset=0):
    """Forward and backward of one problem against the reference in float64."""
    name, known = name_of(kind, shape), arguments if kind == "avg_pool" else ()
    x, grad, expected, slopes = given_and_expected(kind, shape, arguments, dtype, exact, offset)
    y = getattr(ops, name)(lay_out(x, layout), *arguments)
    dx = getattr(ops, f"{name}_backward")(lay_out(grad, layout), shape, *known)
    label = f"{name} {shape} {arguments} {layout}"
    for got, want in ((y, expected), (dx, slopes)):
        if exact:
            assert_exact(got, want, np.dtype(dtype), label)
        else:
            assert_matches(
                got, want, dtype, terms_of(kind, shape, expected.shape, arguments), label
            )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", EXACT, ids=str)
def test_exact_values(backend, case, dtype):
    for layout in LAYOUTS:
        compare(backend.ops, "avg_pool", *case, dtype, layout, True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", ANY, ids=str)
def test_any_divisor(backend, case, dtype):
    for layout in ("contiguous", "channels_last"):
        compare(backend.ops, "avg_pool", *case, dtype, layout, False)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", ADAPTIVE, ids=str)
def test_adaptive(backend, case, dtype):
    shape, size = case
    for layout in ("contiguous", "channels_last"):
        compare(backend.ops, "adaptive_avg_pool", shape, (size,), dtype, layout, False)


@st.composite
def problems(draw):
    number = lambda low, high: draw(st.integers(low, high))  # noqa: E731
    dims = number(1, 3)
    kernel = tuple(number(1, 6) for _ in range(dims))
    padding = tuple(number(0, k // 2) for k in kernel)
    sizes = tuple(number(k, 40 if dims < 3 else 9) for k in kernel)
    stride = tuple(number(1, 4) for _ in range(dims))
    divisor = draw(st.sampled_from([None, None, 3, -2]))
    arguments = (kernel, stride, padding, draw(st.booleans()), draw(st.booleans()), divisor)
    return (number(0, 3), number(1, 40), *sizes), arguments


@given(
    problem=problems(),
    layout=st.sampled_from(sorted(LAYOUTS)),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_random_problems(backend, problem, layout, dtype):
    """Off zero: a mean of few cells that cancels has no relative error to speak of."""
    compare(backend.ops, "avg_pool", *problem, dtype, layout, False, offset=2)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_large_results_go_past_the_caches(cpu, layout):
    """Results of more than 32 MB, whose rows begin anywhere in a vector; some of their planes."""
    shape, some = (1, 17, 501, 503), (0, slice(0, None, 8))
    x = lay_out(exact_integers(shape, 1, np.float64), layout)
    y, part = cpu.ops.avg_pool2d(x, 2, 1)[some], x[some]
    rows = part[:, :-1] + part[:, 1:]
    np.testing.assert_array_equal(y, (rows[..., :-1] + rows[..., 1:]) / 4)
    grad = lay_out(exact_integers((1, 17, 250, 251), 2, np.float64), layout)
    dx = cpu.ops.avg_pool2d_backward(grad, shape, 2)[some]
    np.testing.assert_array_equal(dx[:, :-1:2, :-1:2], grad[some] / 4)
    np.testing.assert_array_equal(dx[:, 1:-1:2, 1:-1:2], grad[some] / 4)
    assert not dx[..., -1].any() and not dx[:, -1].any()
    whole = exact_integers((1, 17, 1, 1), 3, np.float64)
    spread = cpu.ops.adaptive_avg_pool2d_backward(whole, shape, memory_format=layout)[some]
    share = 1 / np.float64(shape[2] * shape[3])
    np.testing.assert_array_equal(spread, np.broadcast_to(whole[some] * share, spread.shape))


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("kind", ["avg_pool", "adaptive_avg_pool"])
def test_any_number_of_threads(cpu, restore_threads, kind, layout):
    x = lay_out(normal((3, 70, 61, 63), 1), layout)
    window = (3, 2, 1) if kind == "avg_pool" else ((5, 9),)
    again = window if kind == "avg_pool" else ()
    results = []
    for threads in (1, 2, 5):
        fastconv.set_num_threads(threads)
        y = getattr(cpu.ops, f"{kind}2d")(x, *window)
        results.append((y, getattr(cpu.ops, f"{kind}2d_backward")(y, x.shape, *again)))
    for y, dx in results[1:]:
        assert np.array_equal(y, results[0][0]) and np.array_equal(dx, results[0][1])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_results_lie_as_the_input(backend, layout):
    x = lay_out(exact_integers((2, 5, 8, 8), 1), layout)
    y = backend.ops.avg_pool2d(x, 2)
    dx = backend.ops.avg_pool2d_backward(lay_out(np.ones_like(y), layout), x.shape, 2)
    for result in (y, dx, backend.ops.adaptive_avg_pool2d(x, 3)):
        last = np.moveaxis(result, 1, -1).flags.c_contiguous
        assert last if layout == "channels_last" else result.flags.c_contiguous
    for wanted in ("contiguous", "channels_last"):
        dx = backend.ops.adaptive_avg_pool2d_backward(
            y[:, :, :1, :1], x.shape, memory_format=wanted
        )
        last = wanted == "channels_last"
        assert (np.moveaxis(dx, 1, -1) if last else dx).flags.c_contiguous


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_nan_and_infinity_stay_in_their_windows(backend, layout):
    x = np.zeros((1, 18, 9, 40), np.float32)
    x[0, :, 4, 20], x[0, :, 0, 0] = np.inf, np.nan
    for window in ((3, 1, 1), (2, 2), (3, 3)):
        y = backend.ops.avg_pool2d(lay_out(x, layout), *window)
        expected = reference.avg_pool2d(x, *window)
        np.testing.assert_array_equal(np.isnan(y), np.isnan(expected))
        np.testing.assert_array_equal(np.isinf(y), np.isinf(expected))


@pytest.mark.parametrize("shape", [(1, 2, 1000, 1000), (1, 32, 300, 300)])
def test_means_of_many_cells_are_accurate(cpu, shape):
    """A running sum of as many float32 would be off by a hundredth part of a thousand."""
    x = normal(shape, 1) + np.float32(100)
    for layout in ("contiguous", "channels_last"):
        for size in (1, 2):
            y = cpu.ops.adaptive_avg_pool2d(lay_out(x, layout), size)
            expected = reference.adaptive_avg_pool2d(x.astype(np.float64), size)
            assert_matches(y, expected, np.float32, 64, f"{layout} {size}")


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_gradient_by_finite_differences(backend, dims):
    x = normal((2, 3, 7, 6, 5)[: dims + 2], 5, np.float64)
    for kind, window in (("avg_pool", (3, 2, 1, True, False)), ("adaptive_avg_pool", (3,))):
        pool = getattr(backend.ops, f"{kind}{dims}d")
        back = getattr(backend.ops, f"{kind}{dims}d_backward")
        y = pool(x, *window)
        grad, direction = normal(y.shape, 6, np.float64), normal(x.shape, 7, np.float64)
        slope = np.vdot(grad, pool(x + direction, *window) - pool(x - direction, *window)) / 2
        dx = back(grad, x.shape, *(window if kind == "avg_pool" else ()))
        assert slope == pytest.approx(np.vdot(dx, direction), rel=1e-10)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_nothing_of_any_length(cpu, layout):
    """The windows of so long a row could not be written down."""
    x, grad = (np.zeros((0, 1, length), np.float32) for length in (2**50, 2**49))
    assert cpu.ops.avg_pool1d(x, 2).shape == grad.shape
    assert cpu.ops.avg_pool1d_backward(grad, x.shape, 2, memory_format=layout).shape == x.shape


def zeros(*shape):
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda ops: ops.avg_pool2d(zeros(2, 3, 8), 2), "avg_pool2d: input has shape (2, 3, 8)"),
        (lambda ops: ops.avg_pool1d(zeros(2, 3, 8), 9), "avg_pool1d: kernel_size (9,) is larger"),
        (lambda ops: ops.avg_pool3d(zeros(2, 3, 8), 2), "avg_pool3d: input has shape (2, 3, 8)"),
        (
            lambda ops: ops.avg_pool2d(zeros(1, 1, 4, 4), 2, divisor_override=0),
            "avg_pool2d: divisor_override must not be 0",
        ),
        (
            lambda ops: ops.avg_pool2d_backward(zeros(1, 1, 3, 3), (1, 1, 8, 8), 2),
            "avg_pool2d_backward: grad has shape (1, 1, 3, 3), expected (1, 1, 4, 4)",
        ),
        (
            lambda ops: ops.adaptive_avg_pool2d(zeros(1, 1, 4, 4), (1, 2, 3)),
            "adaptive_avg_pool2d: output_size must be an integer or a tuple of 2 integers",
        ),
        (
            lambda ops: ops.adaptive_avg_pool2d(zeros(1, 1, 4, 4), 0),
            "adaptive_avg_pool2d: output_size must be at least 1, got (0, 0)",
        ),
        (
            lambda ops: ops.adaptive_avg_pool1d(zeros(1, 1, 4), 2**40),
            "adaptive_avg_pool1d: output_size must be at most 2147483647",
        ),
        (
            lambda ops: ops.adaptive_avg_pool2d_backward(zeros(1, 1, 4, 4), (1, 1, 8)),
            "adaptive_avg_pool2d_backward: input has shape (1, 1, 8)",
        ),
        (
            lambda ops: ops.adaptive_avg_pool2d_backward(zeros(1, 1, 4, 4), (1, 2, 8, 8)),
            "adaptive_avg_pool2d_backward: grad has shape (1, 1, 4, 4), expected (1, 2, 4, 4)",
        ),
    ],
)
def test_wrong_values(cpu, call, text):
    with pytest.raises(ValueError) as raised:
        call(cpu.ops)
    assert text in str(raised.value)


@pytest.mark.parametrize(
    "call",
    [
        lambda ops: ops.avg_pool2d(np.zeros((1, 1, 4, 4), np.int64), 2),
        lambda ops: ops.avg_pool2d(zeros(1, 1, 4, 4), 2.0),
        lambda ops: ops.avg_pool2d(zeros(1, 1, 4, 4), 2, divisor_override=1.5),
        lambda ops: ops.adaptive_avg_pool2d(zeros(1, 1, 4, 4), "1"),
        lambda ops: ops.adaptive_avg_pool2d(zeros(1, 1, 4, 4), (None, 1.5)),
    ],
)
def test_wrong_types(cpu, call):
    with pytest.raises(TypeError, match="avg_pool2d: "):
        call(cpu.ops)
