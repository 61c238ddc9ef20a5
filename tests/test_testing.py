"""The helpers of the tests see what they are there to see."""

from __future__ import annotations

import subprocess
import sys
import types

import numpy as np
import pytest

from fastconv import ops
from fastconv.testing import (
    LAYOUTS,
    Poisoned,
    assert_exact,
    assert_matches,
    assert_mostly_nonzero,
    check,
    exact_integers,
    lay_out,
    relative_l2,
    tolerance,
)


def wrong(function):
    """`fastconv.ops` with the results of convolution's forward pass changed by `function`."""

    def conv_forward(*arguments, out=None, **settings):
        y = ops.conv_forward(*arguments, out=out, **settings)
        return function(y)

    return types.SimpleNamespace(conv_forward=conv_forward)


def off_by_one(y):
    y[0, 0, 0, 0] += 1
    return y


def beyond_the_end(y):
    y.base[-67] = 0
    return y


@pytest.mark.parametrize(
    "function, said",
    [
        (off_by_one, "1 of 392 cells differ, first at (0, 0, 0, 0)"),
        (lambda y: y.copy(), "another array than out="),
        (beyond_the_end, "1 cells beside the result were written"),
    ],
)
def test_check_sees_a_wrong_result(function, said):
    check(ops, "n2c3h7k4r3p1", "forward")
    with pytest.raises(AssertionError) as raised:
        check(wrong(function), "n2c3h7k4r3p1", "forward")
    assert said in str(raised.value)
    assert "python -m fastconv.testing n2c3h7k4r3p1 --pass forward" in str(raised.value)


def test_the_repeat_line_repeats():
    command = "-m fastconv.testing n2c3h7k4r3p1 --pass forward --dtype float64 --seed 3"
    result = subprocess.run(
        [sys.executable, *command.split()], capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("ok ") == len(LAYOUTS) and "all exact" in result.stdout


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(3,), (3, 4), (2, 3, 4, 5), (0, 3, 4, 4)])
def test_layouts_keep_values(layout, shape):
    array = exact_integers(shape, 1)
    np.testing.assert_array_equal(lay_out(array, layout), array)


def test_layouts_differ():
    laid = {name: lay_out(exact_integers((2, 3, 4, 5), 1), name).strides for name in LAYOUTS}
    assert len(set(laid.values())) == len(LAYOUTS)
    assert min(laid["reversed"]) < 0


def test_integers_are_integers_within_bounds():
    array = exact_integers((10_000,), 1, np.float32, -2, 4)
    assert set(array.tolist()) == {-2, -1, 0, 1, 2, 3, 4}
    np.testing.assert_array_equal(array, exact_integers((10_000,), 1, np.float64, -2, 4))


def test_comparisons_fail_where_they_should():
    one, nan = np.ones(100, np.float32), np.full(100, np.nan, np.float32)
    assert_exact(nan, nan, np.float32)
    for expected, dtype in [(2 * one, np.float32), (nan, np.float32), (one, np.float64)]:
        with pytest.raises(AssertionError):
            assert_exact(one, expected, dtype)
        with pytest.raises(AssertionError):
            assert_matches(one, expected, dtype)
    assert_matches(one + np.float32(1e-7), one, np.float32)
    with pytest.raises(AssertionError, match="relative L2 error 1e-05"):
        assert_matches(one + np.float32(1e-5), one, np.float32)
    with pytest.raises(AssertionError, match="only 1 of 100 cells"):
        assert_mostly_nonzero(np.eye(10).ravel() * 0 + np.eye(1, 100)[0])


def test_the_poisoned_result_is_full_of_nan():
    for last in ("contiguous", "channels_last"):
        poisoned = Poisoned((2, 3, 4, 5), np.float64, last)
        assert poisoned.array.shape == (2, 3, 4, 5) and np.isnan(poisoned.array).all()
        poisoned.array[...] = 0
        poisoned.check()


def test_tolerance_grows_with_the_terms():
    assert tolerance("float32", 1) < tolerance("float32", 100) < 1e-4
    assert tolerance("float64", 100) < 1e-8 * tolerance("float32", 100)
    assert relative_l2(np.array([1.0, 1.0]), np.array([1.0, 0.0])) == 1
    assert relative_l2(np.array([3.0, 4.0]), np.zeros(2)) == 5
