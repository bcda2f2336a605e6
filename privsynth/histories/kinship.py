"""Kinship: the rows above a row, the rows that share a parent, and taking rows out with all that hangs on them.

Must never change a value: rows are found, put in order or left out.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from privsynth.database.document import TableTerms
from privsynth.database.held import Database, Rows
from privsynth.schema.columns import ModelledColumn
from privsynth.schema.ticks import FAR, MISSING

_Ints = npt.NDArray[np.int64]
_Mask = npt.NDArray[np.bool_]


def rows_above(database: Database, table: str, above: str) -> _Ints:
    """The row of the table `above` that each row of `table` belongs to; -1 where an optional parent is absent.

    Shapes: (rows,). Every row has its unit, with or without a parent.
    """
    rows = database.tables[table]
    if above == database.schema.root.name:
        return rows.unit
    found = rows.parent
    for ancestor in database.schema.ancestors(table):
        if ancestor.name == above:
            break
        parents = database.tables[ancestor.name].parent
        found = np.where(found < 0, -1, parents[np.maximum(found, 0)] if parents.size else -1)
    return found


def lifted(database: Database, table: str, name: str) -> tuple[ModelledColumn, _Ints]:
    """A column of this table, of its parent, or "table.column" of an ancestor, and its tick for each row of `table`.

    Missing where there is no such row. Shapes: (rows,).
    """
    terms = database.schema.table(table)
    above, _, column = name.rpartition(".")
    if (not above and name in terms.columns) or above == table:
        return column_and_ticks(database, table, column)
    source = above or terms.parent_table
    spec, ticks = column_and_ticks(database, source, column)
    place = rows_above(database, table, source)
    if not ticks.size:
        return spec, np.full(place.shape, MISSING)
    return spec, np.where(place < 0, MISSING, ticks[np.maximum(place, 0)])


def column_and_ticks(database: Database, table: str, column: str) -> tuple[ModelledColumn, _Ints]:
    """A modelled column and its ticks."""
    content, records = database.schema.table(table).content, database.tables[table].records
    assert content is not None
    assert records is not None
    return content.modelled_column(column), records.ticks[column]


def group_starts(rows: Rows) -> _Ints:
    """The first row of each group of rows with one unit and one parent; rows are in order. Shapes: (groups,)."""
    if not rows.count:
        return np.zeros(0, dtype=np.int64)
    new = (np.diff(rows.unit) != 0) | (np.diff(rows.parent) != 0)
    return np.append(0, np.flatnonzero(new) + 1)


def group_numbers(rows: Rows) -> _Ints:
    """0, 1, ...: the group of each row (see `group_starts`). Shapes: (rows,)."""
    marks = np.zeros(rows.count, dtype=np.int64)
    marks[group_starts(rows)[1:]] = 1
    return np.cumsum(marks)


def dangling(database: Database, terms: TableTerms) -> _Mask:
    """Which rows point to no row of their parent's table, or to one of another unit. Shapes: (rows,)."""
    rows = database.tables[terms.name]
    if terms.parent is None:
        return np.zeros(rows.count, dtype=bool)
    parents = database.tables[terms.parent_table]
    inside = (rows.parent >= 0) & (rows.parent < parents.count)
    unit = parents.unit[np.where(inside, rows.parent, 0)] if parents.count else np.full(rows.count, -1)
    none = (rows.parent == -1) & terms.parent.optional & (rows.unit >= 0) & (rows.unit < database.units)
    found: _Mask = ~none & ~(inside & (unit == rows.unit))
    return found


def without(database: Database, drop: Mapping[str, _Mask]) -> Database:
    """Leave out the rows that are marked, and every row below them; what is left is renumbered and keeps its order.

    Args: `drop` holds a mask of any of the tables; a row of the table of the units is a unit with all its rows.
    """
    schema = database.schema
    kept: dict[str, _Mask] = {}
    tables: dict[str, Rows] = {}
    for terms in schema.tables:
        rows = database.tables[terms.name]
        keep = ~drop.get(terms.name, np.zeros(rows.count, dtype=bool))
        parent = rows.parent
        if terms.parent is not None:
            keep &= _of_kept(kept[schema.root.name], rows.unit)
            above = kept[terms.parent_table]
            keep &= _of_kept(above, parent) | (parent == -1)
            moved = np.append(np.cumsum(above) - 1, -1)
            parent = moved[parent[keep]]
        else:
            parent = parent[keep]
        kept[terms.name] = keep
        unit = (np.cumsum(kept[schema.root.name]) - 1)[rows.unit[keep]]
        records = None if rows.records is None else rows.records.take(keep)
        tables[terms.name] = Rows(records=records, parent=parent, unit=unit)
    names = database.unit_names
    if names is not None:
        names = tuple(name for name, keep in zip(names, kept[schema.root.name].tolist(), strict=True) if keep)
    return Database(schema=schema, tables=tables, unit_names=names)


def _of_kept(kept: _Mask, place: _Ints) -> _Mask:
    """Whether the row at each place is kept; False where there is none."""
    inside = (place >= 0) & (place < kept.size)
    found: _Mask = inside & (kept[np.where(inside, place, 0)] if kept.size else False)
    return found


def arranged(database: Database) -> Database:
    """The same rows in order: by unit, parent and time (missing last), else as they were; parents are renumbered."""
    schema, moved, tables = database.schema, False, dict(database.tables)
    places: dict[str, _Ints] = {}
    for terms in schema.tables[1:]:
        rows = tables[terms.name]
        parent = rows.parent
        if terms.parent_table in places:
            parent = np.append(places[terms.parent_table], -1)[parent]
        time = _sort_time(terms, rows)
        if not _in_order(rows.unit, parent, time):
            order = np.lexsort((time, parent, rows.unit))
            places[terms.name] = np.argsort(order)
            records = None if rows.records is None else rows.records.take(order)
            tables[terms.name] = Rows(records=records, parent=parent[order], unit=rows.unit[order])
            moved = True
        elif parent is not rows.parent:
            tables[terms.name] = Rows(records=rows.records, parent=parent, unit=rows.unit)
            moved = True
    return Database(schema=schema, tables=tables, unit_names=database.unit_names) if moved else database


def _sort_time(terms: TableTerms, rows: Rows) -> _Ints:
    if terms.time is None or rows.records is None:
        return np.zeros(rows.count, dtype=np.int64)
    time = rows.records.ticks[terms.time.column]
    return np.where(time == MISSING, FAR, time)


def _in_order(*keys: _Ints) -> bool:
    """Whether the rows ascend by these keys, the first before the others."""
    if len(keys[0]) < 2:
        return True
    later, tied = np.zeros(len(keys[0]) - 1, dtype=bool), np.ones(len(keys[0]) - 1, dtype=bool)
    for key in keys:
        step = np.diff(key)
        later |= tied & (step > 0)
        tied &= step == 0
    return bool((later | tied).all())
