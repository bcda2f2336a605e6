"""Database: several tables as whole numbers, with the row of its parent and the unit of every row.

Must never show a value: it holds private records unless it was drawn from a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.database.document import DatabaseSchema
from privsynth.errors import RecordsError
from privsynth.records import Records

_Ints = npt.NDArray[np.int64]


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Rows:
    """One table: its records, and for each row the position of its parent's row and of its unit.

    Shapes: `parent` and `unit` are (rows,) int64. `parent` is -1 where an optional foreign key is empty, and in the table of
        the units; there row u is unit u. `records` is None where the table has no modelled column.
    Raises: RecordsError when lengths differ.
    """

    records: Records | None
    parent: _Ints
    unit: _Ints

    def __post_init__(self) -> None:
        lengths = {self.parent.shape, self.unit.shape} | (set() if self.records is None else {(self.records.rows,)})
        if len(lengths) != 1:
            raise RecordsError("tables: records, parents and units differ in length")

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.unit)


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Database:
    """All tables of a schema, parents before children; the table of the units is there even where no source lists them.

    Shapes: `unit_names[u]` is the raw key of unit u, its parts joined; None for synthetic tables.
    Privacy: private unless synthetic. Rows of one parent are in the table's order (time, or the declared order, else the
        source's) wherever that matters to who reads them: sort before use.
    """

    schema: DatabaseSchema
    tables: Mapping[str, Rows]
    unit_names: tuple[bytes, ...] | None = None

    def __post_init__(self) -> None:
        if tuple(self.tables) != tuple(table.name for table in self.schema.tables):
            raise RecordsError("tables: they are not the schema's, parents before children")

    @property
    def units(self) -> int:
        """Number of units."""
        return self.tables[self.schema.root.name].count

    def of_units(self, keep: npt.NDArray[np.bool_]) -> Database:
        """The units where the mask is true, with all their rows, renumbered in order. Shapes: `keep` is (units,)."""
        new_unit = np.cumsum(keep) - 1
        kept_rows = {name: keep[rows.unit] for name, rows in self.tables.items()}
        tables: dict[str, Rows] = {}
        for table in self.schema.tables:
            rows, mask = self.tables[table.name], kept_rows[table.name]
            parent = rows.parent[mask]
            if table.parent is not None:
                moved = np.cumsum(kept_rows[table.parent_table]) - 1
                parent = np.where(parent < 0, -1, moved[np.maximum(parent, 0)] if moved.size else parent)
            records = None if rows.records is None else rows.records.take(mask)
            tables[table.name] = Rows(records=records, parent=parent, unit=new_unit[rows.unit[mask]])
        names = (
            None if self.unit_names is None else tuple(n for n, kept in zip(self.unit_names, keep, strict=True) if kept)
        )
        return Database(schema=self.schema, tables=tables, unit_names=names)
