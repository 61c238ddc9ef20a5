"""Convolution: where results lie, and inputs that lie in unlike ways."""

from __future__ import annotations

import numpy as np
import pytest

from fastconv import reference
from fastconv.testing import (
    LAYOUTS,
    arrays_of,
    assert_exact,
    exact_integers,
    expected_results,
    lay_out,
    parse_descriptor,
)


def channels_last(array):
    return lay_out(array, "channels_last")


def lies_last(array):
    return np.moveaxis(array, 1, -1).flags.c_contiguous


@pytest.mark.parametrize("descriptor", ["n2c5h9k6r3p1", "n2c3h11k17r3sh2p1", "n1g4c4h7k8r3p1"])
@pytest.mark.parametrize("wanted", [None, "contiguous", "channels_last"])
@pytest.mark.parametrize("x_layout", ["contiguous", "channels_last", "fortran"])
def test_result_lies_as_asked_or_as_the_input(backend, descriptor, wanted, x_layout):
    problem = parse_descriptor(descriptor)
    x, grad, weight, bias = arrays_of(problem, 3, np.float32)
    y = backend.ops.conv_forward(
        problem, lay_out(x, x_layout), weight, bias, memory_format=wanted, algorithm="direct"
    )
    dx = backend.ops.conv_backward_input(
        problem, lay_out(grad, x_layout), weight, memory_format=wanted, algorithm="direct"
    )
    last = wanted == "channels_last" or (wanted is None and x_layout == "channels_last")
    for result, pass_name in [(y, "forward"), (dx, "backward_input")]:
        assert lies_last(result) if last else result.flags.c_contiguous
        assert_exact(result, expected_results(descriptor, pass_name, 3)[0], np.float32)


@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("dtype, side", [(np.float32, 330), (np.float64, 235)])
def test_results_that_exceed_the_caches_are_exact(cpu, dtype, side, activation):
    """More than 32 MB are written past the caches where panels are narrow."""
    x = channels_last(exact_integers((1, 16, side, side), 1, dtype))
    weight, bias = exact_integers((64, 16, 1, 1), 2, dtype), exact_integers((64,), 3, dtype)
    y = cpu.ops.conv2d(x, weight, bias, activation=activation)
    expected = np.tensordot(x[0], weight[:, :, 0, 0], (0, 1)).transpose(2, 0, 1)[None]
    expected = expected + bias[:, None, None]
    assert x.nbytes + y.nbytes > 32 << 20
    assert_exact(y, np.maximum(expected, 0) if activation else expected, dtype)


def test_what_is_both_counts_as_contiguous(backend):
    x = channels_last(exact_integers((2, 1, 4, 4), 1))
    y = backend.ops.conv2d(x, exact_integers((3, 1, 3, 3), 2), padding=1)
    assert y.flags.c_contiguous and not lies_last(y)


@pytest.mark.parametrize("grad_layout", LAYOUTS)
@pytest.mark.parametrize("x_layout", LAYOUTS)
def test_weight_gradient_of_mixed_layouts(backend, x_layout, grad_layout):
    descriptor = "n3c5h8k18r3p1"
    problem = parse_descriptor(descriptor)
    x, grad, *_ = arrays_of(problem, 5, np.float32)
    x, grad = lay_out(x, x_layout), lay_out(grad, grad_layout)
    results = backend.ops.conv_backward_weight(problem, grad, x, algorithm="direct")
    for got, want in zip(results, expected_results(descriptor, "backward_weight", 5), strict=True):
        assert_exact(got, want, np.float32)


@pytest.mark.parametrize("last", [False, True])
def test_broadcast_inputs(backend, last):
    row = exact_integers((1, 3, 1, 9), 1)
    x = np.broadcast_to(row, (4, 3, 7, 9))
    weight = np.broadcast_to(exact_integers((1, 3, 1, 3), 2), (5, 3, 3, 3))
    wanted = "channels_last" if last else "contiguous"
    y = backend.ops.conv2d(x, weight, padding=1, memory_format=wanted)
    assert_exact(y, reference.conv2d(x.astype(np.float64), weight, padding=1), np.float32)
    ones = np.broadcast_to(np.float32(1), y.shape)
    dx = backend.ops.conv2d_backward_input(ones, weight, x.shape, padding=1)
    assert_exact(dx, reference.conv2d_backward_input(ones, weight, x.shape, padding=1), np.float32)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_weight_lies_in_either_format(cpu, rank, dtype):
    x = exact_integers((2, 19) + (5,) * rank, 1, dtype)
    weight = exact_integers((33, 19) + (3,) * rank, 2, dtype)
    conv = getattr(cpu.ops, f"conv{rank}d")
    assert_exact(conv(x, channels_last(weight)), conv(x, weight), dtype)


def test_indices_lie_in_either_format(cpu):
    x = exact_integers((3, 21, 6, 8), 1)
    y, indices = cpu.ops.max_pool2d(x, 2, return_indices=True)
    backward = cpu.ops.max_pool2d_backward
    assert_exact(
        backward(y, channels_last(indices), x.shape, 2), backward(y, indices, x.shape, 2), "float32"
    )
