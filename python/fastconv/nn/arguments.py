"""Checks of what layers are configured with; shapes are checked where the data come."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np


def integer(layer: str, name: str, value: Any, minimum: int = 1) -> int:
    """``value`` as an int of at least ``minimum``; TypeError or ValueError name the argument."""
    if isinstance(value, bool):
        raise TypeError(f"{layer}: {name} must be an integer, got {value!r}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{layer}: {name} must be an integer, got {value!r}") from None
    if number < minimum:
        raise ValueError(f"{layer}: {name} must be at least {minimum}, got {number}")
    return number


def flag(layer: str, name: str, value: Any) -> bool:
    """``value`` as a bool, which it must be: a string, "no" for one, would count as true."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{layer}: {name} must be a bool, got {value!r}")
    return bool(value)


_TUPLES = {1: "a tuple of one", 2: "a pair", 3: "a triple"}


def sizes(layer: str, name: str, value: Any, count: int, minimum: int = 1) -> tuple[int, ...]:
    """An integer for all ``count`` dimensions, or one for each, the outermost first."""
    if isinstance(value, (tuple, list)):
        if len(value) != count:
            raise ValueError(
                f"{layer}: {name} must be an integer or {_TUPLES[count]}, got {value!r}"
            )
        return tuple(integer(layer, name, number, minimum) for number in value)
    return (integer(layer, name, value, minimum),) * count


def pair(layer: str, name: str, value: Any, minimum: int = 1) -> tuple[int, int]:
    """An integer for both directions, or one for each (height, width)."""
    first, second = sizes(layer, name, value, 2, minimum)
    return first, second


def padding(layer: str, value: Any, count: int = 2) -> Any:
    """An integer, one for each dimension, (before, after) for each, "same" or "valid"."""
    if isinstance(value, str):
        if value not in ("same", "valid"):
            raise ValueError(f'{layer}: padding must be "same", "valid" or numbers, got {value!r}')
        return value
    if isinstance(value, (tuple, list)) and any(isinstance(side, (tuple, list)) for side in value):
        if len(value) != count or not all(isinstance(side, (tuple, list)) for side in value):
            names = ("(front, back)", "(top, bottom)", "(left, right)")[3 - count :]
            expected = ", ".join(names) + ("," if count == 1 else "")
            raise ValueError(f"{layer}: padding must be ({expected}), got {value!r}")
        return tuple(pair(layer, "padding", side, 0) for side in value)
    return sizes(layer, "padding", value, count, 0)
