"""The records of a view, made again row by row from a made-up database: slow, and on a path of their own.

Must never be given private tables, and must never call what it checks.

What is compared are columns, those of the rows above and of the row before, and numbers of child rows; times apart.
"""

from __future__ import annotations

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

Record: TypeAlias = tuple[int, ...]


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
        self._sizes = {
            (table.name, child.name): self._children(table.name, child.name)
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
        """Times are not; the row before only where rows have an order."""
        table = self._schema.table(view.table)
        ordered = table.time is not None or table.order is not None
        return one.kind in {"column", "count"} and (ordered or not one.previous)

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
        if one.kind == "column":
            return self._codes[one.table, one.of][at]
        assert one.layout is not None
        number = min(self._sizes[one.table, one.of][at], one.layout.upper)
        return int(one.layout.codes(np.array([number]))[0])

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

    def _children(self, table: str, child: str) -> list[int]:
        """Numbers of rows of a child table; of units, of those that have no other parent."""
        rows = self._database.tables[child]
        own = self._schema.table(child).parent_table == table
        owners = (rows.parent if own else rows.unit[rows.parent < 0]).tolist()
        counted = Counter(owners)
        return [counted[place] for place in range(self._database.tables[table].count)]


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
