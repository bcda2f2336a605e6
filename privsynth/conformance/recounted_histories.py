"""The records of a view, made again row by row from a made-up database: slow, and on a path of their own.

Must never be given private tables, and must never call what it checks.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TypeAlias, final

import numpy as np

from privsynth.conformance.made_databases import Ints
from privsynth.database.document import DatabaseSchema
from privsynth.database.held import Database, Rows
from privsynth.dataset import Dataset
from privsynth.encoding import encode_public
from privsynth.histories.layout import Attribute, View
from privsynth.histories.spans import placed_by
from privsynth.schema.columns import SECONDS, DateColumn, DatetimeColumn, IntegerColumn, ModelledColumn
from privsynth.schema.ticks import MISSING

Record: TypeAlias = tuple[int, ...]

_EPOCH = dt.date(1970, 1, 1)
_DAY = 86_400


@final
class Recount:
    """One database, and what its views' records have to be."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._schema: DatabaseSchema = database.schema
        self._codes: dict[tuple[str, str], list[int]] = {}
        for name, rows in database.tables.items():
            if rows.records is not None:
                data = encode_public(rows.records)
                for column in data.domain.attributes:
                    self._codes[name, column] = data.column(column).tolist()
        self._before = {name: _before(rows) for name, rows in database.tables.items()}
        self._children = {
            (table.name, child.name): self._rows_below(table.name, child.name)
            for table in self._schema.tables
            for child in (
                *self._schema.children(table.name),
                *(self._schema.loose() if table is self._schema.root else ()),
            )
        }

    def problems(self, view: View, found: Dataset, most: int) -> Iterator[str]:
        """What is wrong with a view's records, of which a unit may have `most`."""
        compared = [one for one in view.attributes if self._is_compared(view, one)]
        mine = self._records(view, compared)
        assert found.units is not None
        columns = [found.column(one.name).tolist() for one in compared]
        theirs: dict[int, Counter[Record]] = {}
        for place, unit in enumerate(found.units.tolist()):
            theirs.setdefault(unit, Counter())[tuple(column[place] for column in columns)] += 1
        for unit in range(self._database.units):
            own, kept = mine.get(unit, Counter()), theirs.get(unit, Counter())
            if kept - own:
                yield f'table "{view.table}": a record is not that of any row of its unit with what is above and before it'
            if kept.total() != min(most, own.total()):
                yield f'table "{view.table}": the rows of a unit that are used are not as many as its bound allows'

    def _is_compared(self, view: View, one: Attribute) -> bool:
        """The row before is only where rows have an order."""
        table = self._schema.table(view.table)
        return table.time is not None or table.order is not None or not one.previous

    def _records(self, view: View, compared: list[Attribute]) -> dict[int, Counter[Record]]:
        found: dict[int, Counter[Record]] = {}
        for place, unit in enumerate(self._database.tables[view.table].unit.tolist()):
            record = tuple(self._code(view, one, place) for one in compared)
            found.setdefault(unit, Counter())[record] += 1
        return found

    def _code(self, view: View, one: Attribute, place: int) -> int:
        at = self._before[view.table][place] if one.previous else self._row(view.table, place, one.table)
        if at < 0:
            assert one.layout is not None
            return one.layout.size
        match one.kind:
            case "column":
                return self._codes[one.table, one.of][at]
            case "shared":
                return int(self._is_shared(one, at))
            case "weekday" | "month":
                return self._of_day(one, at)
            case _:
                return _level(one, self._number(one, at))

    def _number(self, one: Attribute, at: int) -> int | None:
        """A number of child rows, when they begin, or the time since the row before; None where there is no such time."""
        below = [] if one.kind == "gap" else self._children[one.table, one.of].get(at, [])
        if one.kind == "count":
            return len(below)
        if one.kind == "first":
            return self._since_anchor(one.of, below[0]) if below else None
        return self._gap(one.table, at)

    def _gap(self, table: str, at: int) -> int | None:
        before = self._before[table][at]
        return None if before < 0 else _less(self._when(table, at), self._when(table, before))

    def _since_anchor(self, table: str, at: int) -> int | None:
        terms = self._schema.table(table)
        assert terms.time is not None
        placed = placed_by(self._schema, terms)
        if placed is None:
            return self._when(table, at)
        above, _, name = placed.rpartition(".")
        above = above or terms.parent_table
        row = self._row(table, at, above)
        if row < 0:
            return None
        anchor = _like(self._column(above, name), self._column(table, terms.time.column), self._tick(above, name, row))
        return _less(self._when(table, at), anchor)

    def _is_shared(self, one: Attribute, at: int) -> bool:
        """Whether the other table has a row of the same unit and parent on the same day."""
        day = self._day(one.table, at)
        unit, parent = (int(column[at]) for column in (self._rows(one.table).unit, self._rows(one.table).parent))
        others = self._rows(one.of)
        siblings = np.flatnonzero((others.unit == unit) & (others.parent == parent)).tolist()
        return day is not None and any(self._day(one.of, other) == day for other in siblings)

    def _of_day(self, one: Attribute, at: int) -> int:
        """The weekday or month; the first where there is no date."""
        days = self._when(one.table, at)
        if days is None:
            return 0
        date = _EPOCH + dt.timedelta(days=days)
        return date.weekday() if one.kind == "weekday" else date.month - 1

    def _day(self, table: str, at: int) -> int | None:
        terms, when = self._schema.table(table), self._when(table, at)
        assert terms.time is not None
        column = self._column(table, terms.time.column)
        if when is None or isinstance(column, DateColumn):
            return when
        if isinstance(column, DatetimeColumn):
            return when * SECONDS[column.granularity] // _DAY
        assert isinstance(column, IntegerColumn)
        return when * column.step

    def _when(self, table: str, at: int) -> int | None:
        terms = self._schema.table(table)
        assert terms.time is not None
        return self._tick(table, terms.time.column, at)

    def _tick(self, table: str, column: str, at: int) -> int | None:
        records = self._rows(table).records
        assert records is not None
        tick = int(records.ticks[column][at])
        return None if tick == MISSING else tick

    def _column(self, table: str, name: str) -> ModelledColumn:
        content = self._schema.table(table).content
        assert content is not None
        return content.modelled_column(name)

    def _rows(self, table: str) -> Rows:
        return self._database.tables[table]

    def _row(self, table: str, place: int, above: str) -> int:
        """The position of the row above, in the table `above`; -1 where there is none."""
        while table != above:
            rows = self._database.tables[table]
            parent = int(rows.parent[place])
            if parent < 0:
                root = self._schema.root.name
                return int(rows.unit[place]) if above == root else -1
            table, place = self._schema.table(table).parent_table, parent
        return place

    def _rows_below(self, table: str, child: str) -> dict[int, list[int]]:
        """For each row its rows of a child table, in order; for a unit those that have no other parent."""
        rows = self._rows(child)
        own = self._schema.table(child).parent_table == table
        found: dict[int, list[int]] = {}
        for place, (parent, unit) in enumerate(zip(rows.parent.tolist(), rows.unit.tolist(), strict=True)):
            if own and parent >= 0:
                found.setdefault(parent, []).append(place)
            elif not own and parent < 0:
                found.setdefault(unit, []).append(place)
        return found


def _level(one: Attribute, value: int | None) -> int:
    """The level of a number, of the largest for one beyond; the last level for none."""
    assert one.layout is not None
    if value is None:
        return one.layout.size - 1
    return int(one.layout.codes(np.array([min(max(value, one.layout.lower), one.layout.upper)]))[0])


def _less(later: int | None, earlier: int | None) -> int | None:
    return None if later is None or earlier is None else later - earlier


def _like(column: ModelledColumn, other: ModelledColumn, tick: int | None) -> int | None:
    """A moment in another column's units."""
    if tick is None or not isinstance(column, DateColumn | DatetimeColumn):
        return tick
    width, wanted = (SECONDS[one.granularity] if isinstance(one, DatetimeColumn) else _DAY for one in (column, other))
    return tick * width // wanted


def _before(rows: Rows) -> list[int]:
    """For each row, the position of the row before it of the same unit and parent; -1 for the first."""
    last: dict[tuple[int, int], int] = {}
    found: list[int] = []
    for place, owner in enumerate(zip(rows.unit.tolist(), rows.parent.tolist(), strict=True)):
        found.append(last.get(owner, -1))
        last[owner] = place
    return found


def by_name(database: Database, data: Dataset, rank: Mapping[bytes, int]) -> Ints:
    """The records of the units that have a rank: rank, weight and codes, in an order of their own.

    Shapes: (rows, 2 + attributes). Two databases with the same units of a rank have to give the same.
    """
    assert data.units is not None
    assert database.unit_names is not None
    named = np.array([rank.get(name, -1) for name in database.unit_names], dtype=np.int64)
    weights = np.ones(data.rows, dtype=np.int64) if data.weights is None else data.weights
    table = np.column_stack([named[data.units], weights, data.codes(np.arange(data.rows))])
    table = table[table[:, 0] >= 0]
    return table[np.lexsort(table.T[::-1])]
