"""Gradients by central finite differences in float64, to hold the tape's against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import fastconv as fc

STEP = 1e-5


def numeric_gradients(function: Callable[..., Any], arrays: list[Any], grad: Any) -> list[Any]:
    """d sum(grad * function(*arrays)) / d array for each array, element by element."""

    def value(changed: list[Any]) -> float:
        with fc.no_grad(), fc.threads(1):
            return float(np.sum(grad * function(*[fc.tensor(a) for a in changed]).data))

    results = []
    for i, array in enumerate(arrays):
        result = np.empty_like(array)
        for place in np.ndindex(array.shape):
            moved = [np.array(a) for a in arrays]
            moved[i][place] = array[place] + STEP
            above = value(moved)
            moved[i][place] = array[place] - STEP
            result[place] = (above - value(moved)) / (2 * STEP)
        results.append(result)
    return results


def check_gradients(function: Callable[..., Any], *arrays: Any) -> None:
    """The tape's gradients of ``function`` at float64 arrays equal the numeric ones.

    Truncation is about STEP**2, rounding about 1e-16 / STEP: 1e-7 of values near 1 covers both.
    Each array is also left out of the differentiation once: the others' gradients stay the same,
    its own is not computed.
    """
    rng = np.random.default_rng(1)
    inputs = [fc.tensor(np.array(a, np.float64), requires_grad=True) for a in arrays]
    out = function(*inputs)
    grad = rng.standard_normal(out.shape)
    out.backward(grad)
    numeric = numeric_gradients(function, [np.array(a, np.float64) for a in arrays], grad)
    for tensor, expected in zip(inputs, numeric, strict=True):
        assert tensor.grad.shape == tensor.shape
        assert tensor.grad.dtype == np.float64
        np.testing.assert_allclose(tensor.grad.data, expected, rtol=1e-6, atol=1e-7)
        assert np.any(expected != 0) or expected.size == 0
    for left_out in range(len(arrays) if len(arrays) > 1 else 0):
        again = [fc.tensor(t.data, requires_grad=i != left_out) for i, t in enumerate(inputs)]
        function(*again).backward(grad)
        for i, (new, old) in enumerate(zip(again, inputs, strict=True)):
            if i == left_out:
                assert new.grad is None
            else:
                np.testing.assert_allclose(new.grad.data, old.grad.data, rtol=1e-12, atol=1e-14)
