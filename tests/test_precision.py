"""How float32 numbers are multiplied: a process's setting that every call carries along."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv
from fastconv import _core, ops
from fastconv.config import float32_precision
from fastconv.testing import arrays_of, parse_descriptor, run


@pytest.fixture
def tf32():
    fastconv.set_float32_precision("tf32")
    yield
    fastconv.set_float32_precision("highest")


def test_float32_means_float32_at_first():
    assert float32_precision() == "highest"


def test_unknown_precisions_are_refused():
    with pytest.raises(ValueError, match=r"precision must be one of .* 'high'"):
        fastconv.set_float32_precision("high")
    x = np.zeros((1, 1), np.float32)
    with pytest.raises(ValueError, match='linear: precision must be "highest" or "tf32"'):
        _core.linear(x, x, None, None, "medium")


@pytest.mark.parametrize("pass_name", ["forward", "backward_input", "backward_weight"])
@pytest.mark.parametrize("descriptor", ["n2c5h6k7r3p1", "linear:n3i5o4"])
def test_the_cpu_computes_in_float32_always(tf32, descriptor, pass_name):
    problem = parse_descriptor(descriptor)
    arrays = [a.astype(np.float32) * 1.0001 for a in arrays_of(problem, 1)]
    actual = run(ops, problem, pass_name, arrays)
    fastconv.set_float32_precision("highest")
    for got, want in zip(actual, run(ops, problem, pass_name, arrays), strict=True):
        assert np.array_equal(got, want)
