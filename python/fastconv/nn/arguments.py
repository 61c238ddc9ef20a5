"""Checks of what layers are configured with; shapes are checked where the data come."""

from __future__ import annotations

import operator
from typing import Any


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


def pair(layer: str, name: str, value: Any, minimum: int = 1) -> tuple[int, int]:
    """An integer for both directions, or one for each (height, width)."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"{layer}: {name} must be an integer or a pair, got {value!r}")
        return integer(layer, name, value[0], minimum), integer(layer, name, value[1], minimum)
    number = integer(layer, name, value, minimum)
    return number, number


def padding(layer: str, value: Any) -> Any:
    """An integer, a pair, ((top, bottom), (left, right)), "same" or "valid"."""
    if isinstance(value, str):
        if value not in ("same", "valid"):
            raise ValueError(f'{layer}: padding must be "same", "valid" or numbers, got {value!r}')
        return value
    if isinstance(value, (tuple, list)) and any(isinstance(side, (tuple, list)) for side in value):
        if len(value) != 2 or not all(isinstance(side, (tuple, list)) for side in value):
            raise ValueError(
                f"{layer}: padding must be ((top, bottom), (left, right)), got {value!r}"
            )
        return pair(layer, "padding", value[0], 0), pair(layer, "padding", value[1], 0)
    return pair(layer, "padding", value, 0)
