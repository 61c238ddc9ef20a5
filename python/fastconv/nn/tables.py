"""Sums of cells along one dimension, by a table of which: what interpolation is made of."""

from __future__ import annotations

import functools
import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np

T = TypeVar("T")
_KEPT_BYTES = 1 << 25  # of the tables of one function
_MOST = 1 << 40  # elements of a result


class Table(NamedTuple):
    """Result i is the sum of ``weights[i, t]`` times cell ``cells[i, t]``.

    Both are (results, terms). A weight of 0 stands for no cell. ``plain``: the others are 1.
    """

    cells: Any
    weights: Any
    plain: bool


def table_of(results: int, rows: Any, cells: Any, weights: Any) -> Table:
    """The table of terms (row, cell, weight) that are sorted by row."""
    counts = np.bincount(rows, minlength=results)
    terms = max(1, int(counts.max(initial=0)))
    starts = np.cumsum(counts) - counts
    places = np.arange(len(rows)) - starts[rows]
    # What is no cell repeats the first one of its row.
    full = np.zeros((results, terms), np.int64)
    some = counts > 0
    full[some] = cells[starts[some]][:, None]
    full[rows, places] = cells
    factors = np.zeros((results, terms), weights.dtype)
    factors[rows, places] = weights
    return Table(full, factors, bool((weights == 1).all()))


def pair_of(count: int, size: int, rows: Any, cells: Any, weights: Any) -> tuple[Table, Table]:
    """The table from ``size`` cells to ``count`` results, and its transpose, for the gradient."""
    order = np.argsort(cells, kind="stable")
    forward = table_of(count, rows, cells, weights)
    return forward, table_of(size, cells[order], rows[order], weights[order])


def check_held(
    operation: str, name: str, value: Any, shape: tuple[int, ...], counts: list[int]
) -> None:
    """Raises ValueError where a result of ``counts`` of one input's channels is too large."""
    if math.prod(counts) * shape[1] * max(1, shape[0]) >= _MOST:
        raise ValueError(
            f"{operation}: {name}={value} is too large for input {shape}: the result must have "
            f"less than 2**40 elements"
        )


def remembered(build: Callable[..., T]) -> Callable[..., T]:
    """``build`` of hashable arguments, whose latest results are kept up to so many bytes."""
    kept: OrderedDict[tuple[Any, ...], T] = OrderedDict()
    lock = threading.Lock()

    @functools.wraps(build)
    def found(*key: Any) -> T:
        with lock:
            if key in kept:
                kept.move_to_end(key)
                return kept[key]
        result = build(*key)
        if _bytes(result) > _KEPT_BYTES:
            return result
        with lock:
            kept[key] = result
            while sum(map(_bytes, kept.values())) > _KEPT_BYTES:
                kept.popitem(last=False)
        return result

    return found


def _bytes(tables: Any) -> int:
    if isinstance(tables, tuple):
        return sum(map(_bytes, tables))
    return getattr(tables, "nbytes", 0)


def lies_channels_last(x: Any) -> bool:
    return x.ndim > 2 and not x.flags.c_contiguous and np.moveaxis(x, 1, -1).flags.c_contiguous


def summed(x: Any, axis: int, table: Table, last: bool) -> Any:
    """The sums of ``table`` along a spatial ``axis``, in order; channels-last where ``last``."""
    source = np.moveaxis(x, 1, -1) if last else x
    along = axis - 1 if last else axis
    before, behind = (slice(None),) * along, (1,) * (source.ndim - along - 1)
    out: Any = None
    for t in range(table.cells.shape[1]):
        part = source.take(_like(table.cells[:, t], x), axis=along)
        weights = table.weights[:, t]
        if not table.plain:
            part *= _like(weights.reshape(-1, *behind), x)
        none = np.flatnonzero(weights == 0)
        if len(none):
            absent = (*before, _like(none, x))
            part[absent] = 0
        out = part if out is None else np.add(out, part, out=out)
    return np.moveaxis(out, -1, 1) if last else out


def _like(table: Any, x: Any) -> Any:
    """The table in the library of ``x``."""
    return table if isinstance(x, np.ndarray) else np.asarray(table, like=x)
