"""Viewing: every table of a database as the records that are measured of it, a record a used row.

Must never put anything into a record but what is a function of one unit's rows, the key and the schema.

Why one unit moves nothing but its own records. Take two databases that differ in one unit u, with all its rows.
1. Rows belong to one unit, their parents and the rows before them to the same one: that is checked here before anything is
   coded (`_require_histories`), and a database in which it does not hold is refused.
2. A record is coded from its row, the rows above it, the row before it among those of its parent, and the numbers and first
   times of the child rows of these: all of them rows of one unit. Which row is before, and whether a row is used, is the
   unit's own business too (`bounding`). Levels are cut from the schema (`layout`). So units other than u have the same
   records, with the same weights, in both databases.
3. Hence each table of each view changes by u's records alone: non-negative integers of a sum of at most W, the view's
   `bounding.most_weight`. The views' answers are paid for one by one, and their budgets add up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.database.document import TableTerms
from privsynth.database.held import Database, Rows
from privsynth.database.moments import moments
from privsynth.dataset import Codes, Dataset
from privsynth.encoding import encode_public
from privsynth.errors import MechanismError
from privsynth.histories.bounding import rows_before, used_rows, weights_of
from privsynth.histories.kinship import dangling, group_starts, lifted, rows_above
from privsynth.histories.layout import Attribute, View, views
from privsynth.histories.spans import placed_by
from privsynth.schema.columns import SECONDS, DatetimeColumn, IntegerColumn, ModelledColumn
from privsynth.schema.ticks import MISSING, granules

_Ints = npt.NDArray[np.int64]
_Codes: TypeAlias = npt.NDArray[np.integer]

_WEEK, _THURSDAY, _YEAR = 7, 3, 12
"""Days of a week, the weekday of day 0 (Monday is 0), months of a year."""

_SECONDS_A_DAY = 86_400


def view_datasets(database: Database, key: bytes, used: Mapping[str, int]) -> dict[str, Dataset]:
    """The records of every view with their units and weights, by table.

    Args: `used` is how many rows of a unit are used at most, by table (`bounding.rows_used`).
    Privacy: exact and private; the head of this file says what one unit moves.
    Raises: MechanismError where a row's parent is another unit's, or rows are not in order.
    """
    _require_histories(database)
    coder = _Coder(database, key)
    return {name: coder.dataset(view, used[name]) for name, view in views(database.schema).items()}


def _require_histories(database: Database) -> None:
    """Raise MechanismError unless every row is in one unit, with its parent, and in its place."""
    for terms in database.schema.tables:
        rows = database.tables[terms.name]
        if terms.parent is None:
            right = np.array_equal(rows.unit, np.arange(rows.count)) and bool((rows.parent == -1).all())
        else:
            right = not dangling(database, terms).any() and _in_order(terms, rows)
        if not right:
            raise MechanismError(
                f'table "{terms.name}": rows must stand by unit, parent and time, each with a parent of its own unit; read or '
                "arrange the database first"
            )


def _in_order(terms: TableTerms, rows: Rows) -> bool:
    """Whether rows are sorted by unit, parent and time, missing times last."""
    unit, parent = np.diff(rows.unit), np.diff(rows.parent)
    if (unit < 0).any() or ((unit == 0) & (parent < 0)).any():
        return False
    if terms.time is None or rows.records is None:
        return True
    time = rows.records.ticks[terms.time.column]
    time = np.where(time == MISSING, np.iinfo(np.int64).max, time)
    return not ((unit == 0) & (parent == 0) & (time[1:] < time[:-1])).any()


@final
class _Coder:
    """Codes a database's attributes, each once: columns, numbers and first times of children, gaps and days."""

    def __init__(self, database: Database, key: bytes) -> None:
        self._database, self._schema, self._key = database, database.schema, key
        self._columns: dict[str, Dataset] = {}
        self._known: dict[tuple[str, str], _Codes] = {}
        self._before: dict[str, _Ints] = {}

    def dataset(self, view: View, most: int) -> Dataset:
        """One view's records: its used rows."""
        terms, rows = self._schema.table(view.table), self._database.tables[view.table]
        at = np.arange(rows.count) if terms.parent is None else used_rows(self._database, view.table, most, self._key)
        codes = {one.name: self._of(view.table, one, at) for one in view.attributes}
        unit = rows.unit[at]
        return Dataset.from_columns(codes, view.domain(), unit, weights_of(terms, unit))

    def _of(self, table: str, one: Attribute, at: _Ints) -> _Codes:
        """One attribute for the used rows: of the row itself, of one above it, or of the row before."""
        codes = self._own(one)
        if one.previous:
            place = self._row_before(table)[at]
        elif one.table != table:
            place = rows_above(self._database, table, one.table)[at]
        else:
            return codes[at]
        if not one.absent and (place < 0).any():
            raise MechanismError(f'table "{table}": a row without a parent where every row has one; this is a defect')
        found: _Codes = np.append(codes, codes.dtype.type(one.size - 1))[place]
        return found

    def _row_before(self, table: str) -> _Ints:
        if table not in self._before:
            self._before[table] = rows_before(self._database, table, self._key)
        return self._before[table]

    def _own(self, one: Attribute) -> _Codes:
        """An attribute for all rows of the table that it is of. Shapes: (rows,)."""
        known = (one.table, one.kind + "|" + one.of)
        if known not in self._known:
            self._known[known] = self._coded(one)
        return self._known[known]

    def _coded(self, one: Attribute) -> _Codes:
        match one.kind:
            case "column":
                return self._column(one)
            case "count":
                return _levels(one, self._counted(one))
            case "first":
                return _levels(one, self._first(one))
            case "gap":
                return _levels(one, self._gap(one))
            case "shared":
                return self._shared(one)
            case _:
                return _of_day(one.kind, self._ticks(one.table, one.of))

    def _column(self, one: Attribute) -> Codes:
        """A column's codes, in a type that has room for one level more."""
        if one.table not in self._columns:
            records = self._database.tables[one.table].records
            assert records is not None
            self._columns[one.table] = encode_public(records)
        return self._columns[one.table].column(one.of).astype(np.min_scalar_type(one.size))

    def _ticks(self, table: str, column: str) -> _Ints:
        records = self._database.tables[table].records
        assert records is not None
        return records.ticks[column]

    def _time(self, table: str) -> tuple[ModelledColumn, _Ints]:
        """A table's time column, and when its rows happen."""
        terms = self._schema.table(table)
        assert terms.time is not None
        assert terms.content is not None
        return terms.content.modelled_column(terms.time.column), self._ticks(table, terms.time.column)

    def _owners(self, one: Attribute) -> tuple[_Ints, _Ints]:
        """The child rows that belong to rows of the attribute's table, and the row that each belongs to."""
        rows = self._database.tables[one.of]
        if self._schema.table(one.of).parent_table == one.table:
            having = np.flatnonzero(rows.parent >= 0)
            return having, rows.parent[having]
        having = np.flatnonzero(rows.parent < 0)
        return having, rows.unit[having]

    def _counted(self, one: Attribute) -> _Ints:
        """How many child rows each row has, up to the bound's `most`."""
        _, owner = self._owners(one)
        bound = self._schema.table(one.of).bound
        assert bound is not None
        return np.minimum(np.bincount(owner, minlength=self._database.tables[one.table].count), bound.largest)

    def _first(self, one: Attribute) -> _Ints:
        """When the first child row of each row happens: the moment, or the distance from its anchor."""
        child = self._schema.table(one.of)
        column, when = self._time(one.of)
        assert child.time is not None
        placed = placed_by(self._schema, child)
        if placed is None:
            when = granules(column, when)
        else:
            other, anchor = lifted(self._database, child.name, placed)
            when = _apart(when, moments(other, anchor, like=column))
        having, owner = self._owners(one)
        leads = np.zeros(self._database.tables[one.of].count, dtype=bool)
        leads[group_starts(self._database.tables[one.of])] = True
        found = np.full(self._database.tables[one.table].count, MISSING)
        found[owner[leads[having]]] = when[having[leads[having]]]
        return found

    def _gap(self, one: Attribute) -> _Ints:
        """The time since the row before; missing for the first row of a parent."""
        _, when = self._time(one.table)
        return _apart(when, np.append(when, MISSING)[self._row_before(one.table)])

    def _shared(self, one: Attribute) -> _Ints:
        """1 where the other table has a row of the same parent on the same day."""
        group, day = self._days(one.table)
        other_group, other_day = self._days(one.of)
        known, other_known = day != MISSING, other_day != MISSING
        both = np.concatenate([day[known], other_day[other_known]])
        _, dense = np.unique(both, return_inverse=True)
        width = int(dense.max(initial=0)) + 1
        own, others = np.split(dense, [int(known.sum())])
        found = np.zeros(day.size, dtype=np.int64)
        found[known] = np.isin(group[known] * width + own, other_group[other_known] * width + others)
        return found

    def _days(self, table: str) -> tuple[_Ints, _Ints]:
        """Each row's siblings, numbered by parent and then by unit for rows without one; and its day."""
        rows = self._database.tables[table]
        parents = self._database.tables[self._schema.table(table).parent_table].count
        column, when = self._time(table)
        if isinstance(column, DatetimeColumn):
            when = np.where(when == MISSING, MISSING, when * SECONDS[column.granularity] // _SECONDS_A_DAY)
        elif isinstance(column, IntegerColumn):
            when = np.where(when == MISSING, MISSING, when * column.step)
        return np.where(rows.parent >= 0, rows.parent, parents + rows.unit), when


def _apart(later: _Ints, earlier: _Ints) -> _Ints:
    """The distance of two moments; missing where one of them is."""
    absent = (later == MISSING) | (earlier == MISSING)
    return np.where(absent, MISSING, np.where(absent, 0, later) - np.where(absent, 0, earlier))


def _levels(one: Attribute, values: _Ints) -> _Ints:
    """The level of each value; values beyond the levels' ends count as the end."""
    layout = one.layout
    assert layout is not None
    return layout.codes(np.where(values == MISSING, MISSING, np.clip(values, layout.lower, layout.upper)))


def _of_day(kind: str, days: _Ints) -> _Ints:
    """The weekday or the month of each day, from 0; 0 for a missing one."""
    known = np.where(days == MISSING, 0, days)
    if kind == "weekday":
        found = (known + _THURSDAY) % _WEEK
    else:
        found = known.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % _YEAR
    return np.where(days == MISSING, 0, found)
