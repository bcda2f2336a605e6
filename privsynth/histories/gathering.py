"""Gathering: some units of a database with all their rows, in any order, and the units of two databases in one.

Must never take a row without its unit, or leave a unit's rows behind: whoever is taken is taken whole.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from privsynth.database.held import Database, Rows
from privsynth.records import Records

_Ints = npt.NDArray[np.int64]


def rows_of_units(rows: Rows, units: _Ints) -> tuple[_Ints, _Ints]:
    """The rows of each of these units, unit after unit, in the table's order; and the place of each one's unit in `units`.

    Shapes: both (rows found,).
    """
    order = np.argsort(rows.unit, kind="stable")
    sorted_units = rows.unit[order]
    start = np.searchsorted(sorted_units, units, side="left")
    sizes = np.searchsorted(sorted_units, units, side="right") - start
    place = np.repeat(np.arange(len(units)), sizes)
    within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return order[np.repeat(start, sizes) + within], place


def taken(database: Database, units: _Ints) -> Database:
    """These units with all their rows: unit i of what is returned is `units[i]`. No unit stands twice in `units`.

    Rows of one unit keep their order. Shapes: `units` is (units wanted,), positions of units.
    """
    schema = database.schema
    moved: dict[str, _Ints] = {}
    tables: dict[str, Rows] = {}
    for terms in schema.tables:
        rows = database.tables[terms.name]
        kept, place = rows_of_units(rows, units)
        parent = rows.parent[kept]
        if terms.parent is not None:
            parent = np.append(moved[terms.parent_table], -1)[parent]
        new = np.full(rows.count, -1)
        new[kept] = np.arange(len(kept))
        moved[terms.name] = new
        records = None if rows.records is None else rows.records.take(kept)
        tables[terms.name] = Rows(records=records, parent=parent, unit=place)
    names = database.unit_names
    if names is not None:
        names = tuple(names[unit] for unit in units.tolist())
    return Database(schema=schema, tables=tables, unit_names=names)


def together(first: Database, second: Database) -> Database:
    """The units of two databases of one schema, those of the second after the first's; their names are forgotten."""
    tables: dict[str, Rows] = {}
    for terms in first.schema.tables:
        one, other = first.tables[terms.name], second.tables[terms.name]
        parent = other.parent
        if terms.parent is not None:
            parent = np.where(parent < 0, -1, parent + first.tables[terms.parent_table].count)
        tables[terms.name] = Rows(
            records=_joined(one.records, other.records),
            parent=np.concatenate([one.parent, parent]),
            unit=np.concatenate([one.unit, other.unit + first.units]),
        )
    return Database(schema=first.schema, tables=tables)


def _joined(first: Records | None, second: Records | None) -> Records | None:
    if first is None or second is None:
        return None
    ticks = {name: np.concatenate([column, second.ticks[name]]) for name, column in first.ticks.items()}
    return Records(schema=first.schema, ticks=ticks)
