"""A line search for the strong Wolfe conditions (Nocedal and Wright, 2006, section 3.5)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

_DECREASE, _CURVATURE = 1e-4, 0.9  # the book's c1 and c2 for quasi-Newton methods
_MOST_EVALUATIONS = 25


class Point(NamedTuple):
    """Loss and gradient at a distance along the line."""

    loss: float
    gradient: Any
    length: float


def strong_wolfe(
    at: Callable[[float], Point], start: Point, direction: Any, length: float, least: float
) -> Point:
    """A point whose loss has fallen and whose slope has flattened enough; algorithm 3.5.

    at: evaluates a distance. start: the point at distance 0. length: the first that is tried.
    least: a bracket that the directional change makes shorter than this is given up.
    """
    slope0 = float(start.gradient @ direction)
    before = start._replace(length=0.0)
    for evaluation in range(_MOST_EVALUATIONS):
        here = at(length)
        slope = float(here.gradient @ direction)
        rises = here.loss > start.loss + _DECREASE * length * slope0
        if rises or not math.isfinite(here.loss) or (evaluation and here.loss >= before.loss):
            return _zoom(at, start, direction, before, here, least, evaluation)
        if abs(slope) <= -_CURVATURE * slope0:
            return here
        if slope >= 0:
            return _zoom(at, start, direction, here, before, least, evaluation)
        before, length = here, min(10 * length, _extrapolated(before, here, direction))
    return before


def _extrapolated(before: Point, here: Point, direction: Any) -> float:
    """A longer distance: the cubic's minimum, where it lies ahead."""
    low = here.length + 0.01 * (here.length - before.length)
    guess = _cubic_minimum(before, here, direction)
    return max(low, guess) if math.isfinite(guess) else 10 * here.length


def _zoom(
    at: Callable[[float], Point],
    start: Point,
    direction: Any,
    low: Point,
    high: Point,
    least: float,
    evaluation: int,
) -> Point:
    """Algorithm 3.6: narrows a bracket that holds a suitable distance; low has the least loss."""
    slope0 = float(start.gradient @ direction)
    reach = float(abs(direction).max())
    while evaluation < _MOST_EVALUATIONS and abs(high.length - low.length) * reach > least:
        here = at(_inside(low, high, direction))
        evaluation += 1
        slope = float(here.gradient @ direction)
        falls = here.loss <= start.loss + _DECREASE * here.length * slope0
        if not falls or here.loss >= low.loss:
            high = here
            continue
        if abs(slope) <= -_CURVATURE * slope0:
            return here
        if slope * (high.length - low.length) >= 0:
            high = low
        low = here
    return low


def _inside(low: Point, high: Point, direction: Any) -> float:
    """The cubic's minimum, kept off the ends of the bracket; else its middle."""
    first, last = sorted((low.length, high.length))
    guess = _cubic_minimum(low, high, direction)
    margin = 0.1 * (last - first)
    if not math.isfinite(guess):
        return (first + last) / 2
    return min(max(guess, first + margin), last - margin)


def _cubic_minimum(a: Point, b: Point, direction: Any) -> float:
    """Of the cubic through losses and slopes of both (equation 3.59); NaN where there is none."""
    slope_a, slope_b = float(a.gradient @ direction), float(b.gradient @ direction)
    d1 = slope_a + slope_b - 3 * (a.loss - b.loss) / (a.length - b.length)
    square = d1 * d1 - slope_a * slope_b
    if not square >= 0:
        return math.nan
    d2 = math.copysign(math.sqrt(square), b.length - a.length)
    below = slope_b - slope_a + 2 * d2
    if below == 0:
        return math.nan
    return b.length - (b.length - a.length) * (slope_b + d2 - d1) / below
