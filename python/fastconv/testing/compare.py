"""How results are compared: the one place of tolerances."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray


def tolerance(dtype: Any, terms: int) -> float:
    """Bound of the relative L2 error of results that are sums of `terms` products.

    Rounding errors of a sum behave like a random walk: their root mean square grows with the square
    root of the number of additions (Higham, Accuracy and Stability of Numerical Algorithms, 2002,
    section 2.8). The constant covers the operands' own rounding and what follows the sum.
    """
    return float(np.finfo(dtype).eps) * (4 + float(np.sqrt(terms)))


# Bounds of the relative L2 error of Winograd's convolution of random numbers of mean 0, in units of
# the dtype's epsilon; numbers of one sign come out nearer. They hold for any number of channels:
# what rounds most are the transforms. The direct algorithms stay below 3.
WINOGRAD_EPS = {
    "winograd-4x4-2x2": 8.0,
    "winograd-2x2-3x3": 5.0,
    "winograd-4x4-3x3": 12.0,
    "winograd-3x3-4x4": 12.0,
    "winograd-2x2-5x5": 12.0,
    "winograd-lanes-4x4-2x2": 8.0,
    "winograd-lanes-2x2-3x3": 5.0,
    "winograd-lanes-4x4-3x3": 12.0,
    "winograd-lanes-3x3-4x4": 12.0,
    "winograd-lanes-2x2-5x5": 12.0,
}


def relative_l2(actual: Array, expected: Array) -> float:
    """||actual - expected|| / ||expected||, in float64; the plain norm where `expected` is zero."""
    difference = np.linalg.norm((np.asarray(actual, np.float64) - expected).ravel())
    norm = np.linalg.norm(np.asarray(expected, np.float64).ravel())
    return float(difference / norm) if norm else float(difference)


def _first_difference(actual: Array, expected: Array) -> str:
    different = ~((actual == expected) | (np.isnan(actual) & np.isnan(expected)))
    where = tuple(int(i) for i in np.unravel_index(np.argmax(different), different.shape))
    count = int(different.sum())
    return (
        f"{count} of {different.size} cells differ, first at {where}: "
        f"got {actual[where]!r}, expected {expected[where]!r}"
    )


def _check_kind(actual: Any, expected: Array, dtype: Any, repeat: str) -> None:
    assert isinstance(actual, np.ndarray), f"got {type(actual).__name__}, not an array\n{repeat}"
    assert actual.shape == expected.shape, f"{actual.shape} != {expected.shape}\n{repeat}"
    assert actual.dtype == dtype, f"dtype {actual.dtype}, expected {dtype}\n{repeat}"


def assert_exact(actual: Array, expected: Array, dtype: Any, repeat: str = "") -> None:
    """Equal cell by cell, NaN to NaN; `expected` may be of a wider dtype."""
    _check_kind(actual, expected, np.dtype(dtype), repeat)
    if not np.array_equal(actual, expected, equal_nan=actual.dtype.kind == "f"):
        raise AssertionError(f"{_first_difference(actual, expected)}\n{repeat}")


def assert_matches(
    actual: Array, expected: Array, dtype: Any, terms: int = 1, repeat: str = ""
) -> None:
    """Relative L2 error within `tolerance(dtype, terms)`; NaN and infinities where expected."""
    _check_kind(actual, expected, np.dtype(dtype), repeat)
    finite = np.isfinite(expected)
    if not np.array_equal(actual[~finite], expected[~finite], equal_nan=True):
        raise AssertionError(
            f"not finite: {_first_difference(actual[~finite], expected[~finite])}\n{repeat}"
        )
    error, bound = relative_l2(actual[finite], expected[finite]), tolerance(dtype, terms)
    if not error <= bound:
        raise AssertionError(
            f"relative L2 error {error:.3g} > {bound:.3g} ({terms} terms)\n"
            f"{_first_difference(actual, expected.astype(dtype))}\n{repeat}"
        )


def assert_mostly_nonzero(array: Array, share: float = 0.4, repeat: str = "") -> None:
    """A comparison of zeros with zeros shows nothing: `share` of the cells must differ from 0."""
    nonzero = np.count_nonzero(array)
    if nonzero < share * array.size:
        raise AssertionError(f"only {nonzero} of {array.size} cells are not zero\n{repeat}")
