"""Moments: columns that tables refer to in tables above them, and points in time of one column against another's.

Must never decide what happens to a row: it says what a reference means, and which of two moments is the earlier.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from privsynth.database.document import DatabaseSchema, TableTerms
from privsynth.schema.columns import SECONDS, DateColumn, DatetimeColumn, ModelledColumn
from privsynth.schema.ticks import MISSING, from_granules, granules

_Ints = npt.NDArray[np.int64]

_SECONDS_A_DAY = 86_400


def column_named(schema: DatabaseSchema, terms: TableTerms, name: str) -> ModelledColumn:
    """The column `name` of the parent, or "table.column" of an ancestor."""
    content = schema.table(table_of(terms, name)).content
    assert content is not None
    return content.modelled_column(name.rpartition(".")[2])


def table_of(terms: TableTerms, name: str) -> str:
    """The table that a reference of this table means: the parent, or the one that is named."""
    return name.rpartition(".")[0] or terms.parent_table


def moments(column: ModelledColumn, ticks: _Ints, *, like: ModelledColumn) -> _Ints:
    """Ticks of one column in the units of another: days of dates, granules of datetimes; missing stays missing."""
    absent = ticks == MISSING
    values = np.where(absent, 0, ticks)
    if isinstance(column, DatetimeColumn) and not isinstance(like, DatetimeColumn):
        values = values * SECONDS[column.granularity] // _SECONDS_A_DAY
    elif isinstance(column, DateColumn) and isinstance(like, DatetimeColumn):
        values = values * _SECONDS_A_DAY // SECONDS[like.granularity]
    elif isinstance(column, DatetimeColumn) and isinstance(like, DatetimeColumn):
        values = values * SECONDS[column.granularity] // SECONDS[like.granularity]
    found: _Ints = np.where(absent, MISSING, values)
    return found


def earlier(
    left: ModelledColumn, left_ticks: _Ints, right: ModelledColumn, right_ticks: _Ints
) -> npt.NDArray[np.bool_]:
    """Where the left moment is before the right one, in the coarser of their units: a day is not before its own month.

    Missing moments are before nothing and after nothing. Shapes: all (rows,).
    """
    known = (left_ticks != MISSING) & (right_ticks != MISSING)
    a, b = np.where(known, left_ticks, 0), np.where(known, right_ticks, 0)
    if isinstance(left, DatetimeColumn) and isinstance(right, DatetimeColumn):
        width = max(SECONDS[left.granularity], SECONDS[right.granularity])
        a, b = a * SECONDS[left.granularity] // width, b * SECONDS[right.granularity] // width
    elif isinstance(left, DateColumn | DatetimeColumn) and isinstance(right, DateColumn | DatetimeColumn):
        a, b = _days(left, a), _days(right, b)
        for column in (left, right):
            a, b = (from_granules(column, granules(column, days)) for days in (a, b))
    before: npt.NDArray[np.bool_] = known & (a < b)
    return before


def _days(column: DateColumn | DatetimeColumn, ticks: _Ints) -> _Ints:
    return ticks if isinstance(column, DateColumn) else ticks * SECONDS[column.granularity] // _SECONDS_A_DAY
