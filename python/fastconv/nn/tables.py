"""Sums of cells along one dimension, by a table of which: what means over windows and interpolation
are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


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
    full[rows, :] = cells[np.minimum(starts[rows], len(rows) - 1)][:, None]
    full[rows, places] = cells
    factors = np.zeros((results, terms), weights.dtype)
    factors[rows, places] = weights
    return Table(full, factors, bool((weights == 1).all()))


def pair_of(count: int, size: int, rows: Any, cells: Any, weights: Any) -> tuple[Table, Table]:
    """The table from ``size`` cells to ``count`` results, and its transpose, for the gradient."""
    order = np.argsort(cells, kind="stable")
    forward = table_of(count, rows, cells, weights)
    return forward, table_of(size, cells[order], rows[order], weights[order])


def spans_table(size: int, spans: Sequence[tuple[int, int]], dtype: Any) -> tuple[Table, Table]:
    """Sums of the cells [begin, end) of each span."""
    rows = np.repeat(np.arange(len(spans)), [end - begin for begin, end in spans])
    cells = np.concatenate([np.arange(begin, end) for begin, end in spans])
    return pair_of(len(spans), size, rows, cells, np.ones(len(rows), dtype))


def lies_channels_last(x: Any) -> bool:
    return x.ndim > 2 and not x.flags.c_contiguous and np.moveaxis(x, 1, -1).flags.c_contiguous


def summed(x: Any, axis: int, table: Table, last: bool) -> Any:
    """The sums of ``table`` along a spatial ``axis``, in order; channels-last where ``last``."""
    source = np.moveaxis(x, 1, -1) if last else x
    along = axis - 1 if last else axis
    before, behind = (slice(None),) * along, (1,) * (source.ndim - along - 1)
    results, terms = table.cells.shape
    if results == 1 and table.plain and terms == source.shape[along]:
        out = source.sum(axis=along, keepdims=True)
        return np.moveaxis(out, -1, 1) if last else out
    out = None
    for t in range(terms):
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
