"""The cell-size rule: which cells of a table of counts of real people must be hidden before it is published.

Must never be taken for more than it covers: one table, with its own margins or without; not differences between tables.
"""

from __future__ import annotations

import heapq
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from privsynth.errors import MechanismError

Counts: TypeAlias = npt.NDArray[np.int64]
Hidden: TypeAlias = npt.NDArray[np.bool_]
Cell: TypeAlias = tuple[int, int]


def suppressed(counts: Counts, *, min_cell: int, margins: Literal["not-published", "published"]) -> Hidden:
    """Say which cells to hide: those from 1 to min_cell - 1, and as many more as keep them from being worked out.

    With margins "not-published", small cells alone. With "published" (tables of one or two axes) the answer has one more
    row and column for the totals, small totals are hidden as well, and further cells are hidden until every small cell could
    be min_cell or more for all that the published cells and totals of this table tell. Zeros are shown, and so whoever reads
    the table knows that hidden cells are at least one. What is not covered: percentages and other tables about the same
    people, whose differences may give a cell away; publish one table, or noisy counts.

    Proof: a table with its totals is a set of cells, each in one row and one column that must add up (with a total counted
    negatively). Read rows and columns as nodes and hidden cells as edges: numbers that agree with what is shown differ by
    flows along cycles of hidden cells, in which no cell falls below one. For every small cell cells are hidden until the
    greatest flow that raises it makes it min_cell; there is one, for totals may grow without end.
    Raises: MechanismError for negative counts, and for margins of tables with more than two axes.
    """
    if counts.size and int(counts.min()) < 0:
        raise MechanismError("a table of counts has no negative cell")
    if margins == "not-published":
        return (counts > 0) & (counts < min_cell)
    if counts.ndim == 1:
        return _vector(counts, min_cell)
    if counts.ndim != 2:
        raise MechanismError("margins are published for tables of one or two axes; publish smaller tables")
    with_columns = np.vstack([counts, counts.sum(axis=0, keepdims=True)])
    table = np.hstack([with_columns, with_columns.sum(axis=1, keepdims=True)])
    hidden: Hidden = (table > 0) & (table < min_cell)
    for row, column in np.argwhere(hidden).tolist():
        _free(table, hidden, (row, column), min_cell)
    return hidden


def _vector(counts: Counts, min_cell: int) -> Hidden:
    """One axis and its total: of what is hidden, all but one may be one each, and the last is the rest of their known sum."""
    table = np.append(counts, counts.sum())
    hidden: Hidden = (table > 0) & (table < min_cell)
    for place in np.argsort(table, kind="stable").tolist():
        if hidden[-1] or not hidden.any() or table[hidden].sum() - hidden.sum() >= min_cell:
            break
        hidden[place] |= table[place] > 0
    return hidden


def _free(table: Counts, hidden: Hidden, cell: Cell, min_cell: int) -> None:
    """Hide what it costs least to hide until a cell may be min_cell, by augmenting paths."""
    signs = np.ones_like(table)
    signs[-1] *= -1
    signs[:, -1] *= -1
    moved = np.zeros_like(table)
    sign = int(signs[cell])
    moved[cell] = sign
    while table[cell] + abs(moved[cell]) <= min_cell:
        path = _path(table + signs * moved, signs, np.where(hidden, 0, table), cell)
        assert path is not None, "every cell above zero lies on a cycle of totals, which may grow without end"
        for at, step in path:
            moved[at] += step
            hidden[at] = True
        moved[cell] += sign


def _path(left: Counts, signs: Counts, cost: Counts, around: Cell) -> list[tuple[Cell, int]] | None:
    """The cheapest way to make up for one more of a cell, by Dijkstra's algorithm: cells, and what is added to each.

    From a row to a column a signed count falls by one, from a column to a row it rises; none falls below one in the end.
    Shapes: `left` are the counts as they are moved, `cost` what it costs to use each; all are alike.
    """
    rows = left.shape[0]
    start, goal = around[0], rows + around[1]
    if signs[around] < 0:
        start, goal = goal, start
    best: dict[int, int] = {start: 0}
    via: dict[int, int] = {}
    queue = [(0, start)]
    while queue:
        spent, node = heapq.heappop(queue)
        if node == goal:
            return _cells(via, start, goal, rows)
        if spent > best[node]:
            continue
        falls = node < rows
        line, sign = (left[node], signs[node]) if falls else (left[:, node - rows], signs[:, node - rows])
        usable = (line > 0) & ((line > 1) | ((sign < 0) if falls else (sign > 0)))
        for other in np.flatnonzero(usable).tolist():
            cell = (node, other) if falls else (other, node - rows)
            step = rows + other if falls else other
            price = spent + int(cost[cell])
            if cell != around and price < best.get(step, price + 1):
                best[step], via[step] = price, node
                heapq.heappush(queue, (price, step))
    return None


def _cells(via: dict[int, int], start: int, goal: int, rows: int) -> list[tuple[Cell, int]]:
    out, node = [], goal
    while node != start:
        before = via[node]
        out.append(((before, node - rows), -1) if before < rows else ((node, before - rows), 1))
        node = before
    return out
