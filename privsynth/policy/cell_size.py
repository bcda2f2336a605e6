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
    row and column for the totals, small totals are hidden as well, and further cells are hidden until no hidden cell can
    be worked out from the published cells and totals of this table. Zeros are shown. What is not covered: percentages and
    other tables about the same people, whose differences may give a cell away; publish one table, or noisy counts.

    Proof: a table with its totals is a set of cells, each in one row and one column that must add up (with a total counted
    negatively). Read rows and columns as nodes and hidden cells as edges. A hidden cell that lies on a cycle may move one
    up or one down with its cycle, both ways, since every hidden cell is at least one; so it is not determined. Cells are
    hidden until every hidden one lies on a cycle.
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
    while (lonely := _first_bridge(hidden)) is not None:
        for cell in _detour(table, hidden, lonely):
            hidden[cell] = True
    return hidden


def _vector(counts: Counts, min_cell: int) -> Hidden:
    """One axis and its total: a single hidden cell is the total minus the others, so a second one is hidden with it."""
    table = np.append(counts, counts.sum())
    hidden: Hidden = (table > 0) & (table < min_cell)
    if hidden.sum() == 1:
        shown = np.flatnonzero(~hidden & (table > 0))
        hidden[shown[np.argmin(table[shown])]] = True
    return hidden


def _first_bridge(hidden: Hidden) -> Cell | None:
    """A hidden cell that lies on no cycle of hidden cells, or None."""
    for row, column in np.argwhere(hidden).tolist():
        if _path(hidden, hidden.astype(np.int64), (row, column)) is None:
            return row, column
    return None


def _detour(table: Counts, hidden: Hidden, lonely: Cell) -> list[Cell]:
    """The cells that put a hidden cell on a cycle and cost least to hide."""
    found = _path(table > 0, np.where(hidden, 0, table), lonely)
    assert found is not None, (
        "a cell above zero lies on a cycle with its row total, the grand total and its column total"
    )
    return found


def _path(usable: Hidden, cost: Counts, around: Cell) -> list[Cell] | None:
    """The cheapest path of usable cells from a cell's row to its column, without the cell itself (Dijkstra's algorithm)."""
    rows = usable.shape[0]
    start, goal = around[0], rows + around[1]
    best: dict[int, int] = {start: 0}
    via: dict[int, int] = {}
    queue = [(0, start)]
    while queue:
        spent, node = heapq.heappop(queue)
        if node == goal:
            return _cells(via, start, goal, rows)
        if spent > best[node]:
            continue
        line = usable[node] if node < rows else usable[:, node - rows]
        for other in np.flatnonzero(line).tolist():
            cell = (node, other) if node < rows else (other, node - rows)
            step = rows + other if node < rows else other
            price = spent + int(cost[cell])
            if cell != around and price < best.get(step, price + 1):
                best[step], via[step] = price, node
                heapq.heappush(queue, (price, step))
    return None


def _cells(via: dict[int, int], start: int, goal: int, rows: int) -> list[Cell]:
    out, node = [], goal
    while node != start:
        before = via[node]
        out.append((before, node - rows) if before < rows else (node, before - rows))
        node = before
    return out
