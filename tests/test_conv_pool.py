"""Convolution and max pooling in one operation: the bits of the two, piece by piece or at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastconv
from fastconv import _core, reference
from fastconv.testing import assert_exact, exact_integers, lay_out, normal

LAYOUTS = ("contiguous", "channels_last")
# (N, C, H, W), (K, C/groups, R, S), stride, padding, dilation, groups, then the pooling's kernel,
# stride, padding, dilation, ceil mode. Maps of less than 4 MB are one piece.
SMALL = [
    ((3, 1, 28, 28), (6, 1, 5, 5), 1, 2, 1, 1, 2, None, 0, 1, False),
    ((2, 6, 14, 14), (16, 6, 5, 5), 1, 0, 1, 1, 2, None, 0, 1, False),
    ((17, 3, 12, 9), (20, 3, 3, 3), 1, 1, 1, 1, 3, 2, 1, 1, True),
    ((1, 3, 33, 31), (8, 3, 7, 7), 2, 3, 1, 1, 3, 2, 1, 1, False),
    ((2, 6, 11, 13), (12, 3, 3, 3), 1, 1, 1, 2, (3, 2), (1, 2), (1, 0), (2, 1), False),
    ((2, 8, 9, 9), (8, 1, 3, 3), 1, 1, 1, 8, 2, 1, 0, 1, False),
    ((0, 3, 8, 8), (4, 3, 3, 3), 1, 1, 1, 1, 2, None, 0, 1, False),
]
# Larger ones: pieces of images (one, or a block of batch-lanes'), and of rows; windows that overlap
# and that hang over the edges; every algorithm.
LARGE = [
    ((3, 3, 112, 117), (96, 3, 5, 5), 1, 2, 1, 1, 3, 2, 1, 1, True),
    ((33, 1, 90, 89), (6, 1, 5, 5), 1, 2, 1, 1, 2, None, 0, 1, False),
    ((18, 5, 57, 57), (20, 5, 5, 5), 1, 2, 1, 1, 3, 2, 0, 1, False),
    ((31, 20, 61, 63), (20, 20, 5, 5), 1, 2, 1, 1, 3, 2, 0, 1, False),
    ((2, 32, 161, 167), (64, 32, 3, 3), 1, 1, 1, 1, 3, 2, 1, 1, False),
    ((1, 3, 301, 302), (64, 3, 7, 7), 2, 3, 1, 1, 3, 2, 1, 1, False),
    ((1, 48, 187, 190), (50, 48, 3, 3), 1, 1, 2, 1, (7, 2), (3, 2), (3, 0), 1, False),
    ((8, 32, 112, 112), (64, 32, 3, 3), 2, 1, 1, 1, 2, None, 0, 1, False),
    ((1, 64, 203, 201), (64, 1, 3, 3), 1, 1, 1, 64, 2, None, 0, 1, True),
    ((1, 8, 40, 3500), (16, 8, 3, 3), 1, 1, 1, 1, 2, None, 0, 1, False),
]


def arguments(case):
    shape, weight, *rest = case
    return shape, weight, tuple(rest[:4]), tuple(rest[4:])


def values(draw, shape, weight, dtype):
    return [draw(s, i, dtype) for i, s in enumerate((shape, weight, weight[:1]))]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", SMALL, ids=str)
def test_exact_values(backend, case, dtype):
    shape, weight, convolution, pooling = arguments(case)
    x, w, b = values(exact_integers, shape, weight, dtype)
    y = reference.conv2d(*values(exact_integers, shape, weight, "float64"), *convolution)
    expected, places = reference.max_pool2d(y, *pooling)
    for layout in LAYOUTS:
        window = (lay_out(x, layout), w, b, convolution, pooling)
        actual = backend.ops.conv2d_max_pool2d(*window, algorithm="direct")
        assert_exact(actual, expected, dtype)
        actual, indices = backend.ops.conv2d_max_pool2d(
            *window, algorithm="direct", return_indices=True
        )
        assert_exact(actual, expected, dtype)
        assert np.array_equal(indices, places)
        assert indices.dtype == np.int64


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", [*SMALL, *LARGE], ids=str)
def test_the_bits_of_the_two_operations(cpu, case, layout):
    shape, weight, convolution, pooling = arguments(case)
    x, w, b = values(normal, shape, weight, "float32")
    for result in LAYOUTS:
        x, activation = lay_out(x, layout), "relu" if result == layout else "tanh"
        y = cpu.ops.conv2d(x, w, b, *convolution, activation=activation, memory_format=result)
        expected, places = cpu.ops.max_pool2d(y, *pooling)
        problem = (x, w, b, convolution, pooling)
        options = {"activation": activation, "memory_format": result}
        actual = cpu.ops.conv2d_max_pool2d(*problem, **options)
        assert actual.strides == expected.strides or not actual.size
        assert np.array_equal(actual, expected)
        actual, indices = cpu.ops.conv2d_max_pool2d(*problem, **options, return_indices=True)
        assert np.array_equal(actual, expected) and np.array_equal(indices, places)
        assert indices.strides == places.strides or not actual.size


@pytest.mark.parametrize("algorithm", ["direct", "winograd"])
@pytest.mark.parametrize("k, c, h, w", [(64, 16, 200, 180), (33, 5, 150, 300), (256, 70, 130, 140)])
def test_pieces_of_either_algorithm(cpu, k, c, h, w, algorithm):
    x, weight, bias = values(normal, (2, c, h, w), (k, c, 3, 3), "float32")
    for layout in LAYOUTS:
        x = lay_out(x, layout)
        y = cpu.ops.conv2d(x, weight, bias, padding=1, algorithm=algorithm)
        expected = cpu.ops.max_pool2d(y, 3, 2, return_indices=False)
        actual = cpu.ops.conv2d_max_pool2d(
            x, weight, bias, (1, 1, 1, 1), (3, 2, 0, 1, False), algorithm=algorithm
        )
        assert np.array_equal(actual, expected)


@st.composite
def cases(draw):
    number = lambda low, high: draw(st.integers(low, high))  # noqa: E731
    n, c, k = number(1, 40), number(1, 8), number(1, 80)
    r, p, stride = number(1, 5), number(0, 2), number(1, 2)
    size = number(max(1, r - 2 * p) + 24, 64), number(max(1, r - 2 * p) + 24, 64)
    window = number(1, 4)
    pooling = (window, number(1, 4), number(0, window // 2), number(1, 2), draw(st.booleans()))
    return (n, c, *size), (k, c, r, r), (stride, p, 1, 1), pooling


@given(case=cases(), layout=st.sampled_from(LAYOUTS))
def test_any_problem(cpu, case, layout):
    shape, weight, convolution, pooling = case
    x, w, b = values(normal, shape, weight, "float32")
    x = lay_out(x, layout)
    y = cpu.ops.conv2d(x, w, b, *convolution)
    expected = cpu.ops.max_pool2d(y, *pooling, return_indices=False)
    assert np.array_equal(cpu.ops.conv2d_max_pool2d(x, w, b, convolution, pooling), expected)


@pytest.mark.parametrize("case", [LARGE[1], LARGE[3], LARGE[4]], ids=str)
def test_any_number_of_threads(cpu, restore_threads, case):
    shape, weight, convolution, pooling = arguments(case)
    x, w, b = values(normal, shape, weight, "float32")
    expected = None
    for threads in (1, 2, 5):
        fastconv.set_num_threads(threads)
        y = cpu.ops.conv2d_max_pool2d(x, w, b, convolution, pooling)
        expected = y if expected is None else expected
        assert np.array_equal(y, expected)


def test_a_piece_is_all_that_is_kept_of_the_map(cpu):
    x, w, b = values(normal, (8, 3, 224, 224), (64, 3, 3, 3), "float32")
    before = _core.memory_stats()["in_use"]
    _core.memory_reset_peak()
    y = cpu.ops.conv2d_max_pool2d(x, w, b, (1, 1, 1, 1))
    assert _core.memory_stats()["peak"] - before < y.nbytes + 8e6  # the map has 103 MB


def test_errors_name_the_operation_at_fault(cpu):
    x, w = np.zeros((1, 3, 8, 8), np.float32), np.zeros((4, 3, 3, 3), np.float32)
    with pytest.raises(ValueError, match=r"conv2d: .*\(4, 2, 3, 3\)"):
        cpu.ops.conv2d_max_pool2d(x, w[:, :2])
    with pytest.raises(ValueError, match=r"max_pool2d: .*\(1, 4, 6, 6\)"):
        cpu.ops.conv2d_max_pool2d(x, w, pooling=(7, None, 0, 1, False))
    with pytest.raises(ValueError, match="conv2d: bias"):
        cpu.ops.conv2d_max_pool2d(x, w, w[0, 0, 0])
    with pytest.raises(TypeError, match="max_pool2d: kernel_size"):
        cpu.ops.conv2d_max_pool2d(x, w, pooling=(2.0, None, 0, 1, False))
    with pytest.raises(ValueError, match=r"^conv2d_max_pool2d: convolution must be .*\(1, 0\)"):
        cpu.ops.conv2d_max_pool2d(x, w, None, (1, 0))
    with pytest.raises(TypeError, match=r"^conv2d_max_pool2d: pooling must be .*, got 2"):
        cpu.ops.conv2d_max_pool2d(x, w, pooling=2)
    with pytest.raises(ValueError, match="winograd"):
        cpu.ops.conv2d_max_pool2d(x, w, None, (2, 0, 1, 1), algorithm="winograd")
