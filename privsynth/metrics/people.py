"""People: how many of them are in each cell of a table, and numbers of rows as they may be told of.

Must never count rows for people: who has many rows is one person by the cell-size rule.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def in_cells(cells: Ints, units: Ints | None, size: int) -> Ints:
    """Privacy units with a row in each cell; rows, where every row is a unit. A cell below zero is none.

    Shapes: `cells` and `units` are (rows,) -> (size,).
    """
    kept = cells >= 0
    if units is None:
        return np.bincount(cells[kept], minlength=size)
    owner, count = units[kept], int(units.max(initial=0)) + 1
    return np.bincount(np.unique(cells[kept] * count + owner) // count, minlength=size)


def about(rows: int) -> int:
    """A number of rows to two digits, or to tens: numbers of parts and of the whole then tell no small difference."""
    step = max(10, int(10 ** (len(str(rows)) - 2)))
    return (rows + step // 2) // step * step
