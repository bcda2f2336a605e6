"""Kinship: the rows above a row, the rows that share a parent, and taking rows out with all that hangs on them.

Must never make up a value: rows are found, put in order or left out, and take the values that they are given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

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
    rows, tables = database.tables[table], database.tables
    if above == database.schema.root.name:
        return _inside(rows.unit, database.units)
    found = rows.parent
    for ancestor in database.schema.ancestors(table):
        found = _inside(found, tables[ancestor.name].count)
        if ancestor.name == above:
            break
        found = _at(tables[ancestor.name].parent, found, absent=-1)
    return found


def _inside(place: _Ints, rows: int) -> _Ints:
    """The places that are one of so many rows, and -1."""
    return np.where((place >= 0) & (place < rows), place, -1)


def _at(values: _Ints, place: _Ints, *, absent: int) -> _Ints:
    """The value at each place; `absent` where the place is -1."""
    if not values.size:
        return np.full(place.shape, absent, dtype=np.int64)
    return np.where(place < 0, absent, values[np.maximum(place, 0)])


def lifted(database: Database, table: str, name: str) -> tuple[ModelledColumn, _Ints]:
    """The column "table.column" of this table or one above it (without a dot: of its parent), for each row of `table`.

    Returns: the column, and its tick in the row above; missing where there is no such row. Shapes: (rows,).
    """
    above, _, column = name.rpartition(".")
    source = above or database.schema.table(table).parent_table
    spec, ticks = column_and_ticks(database, source, column)
    if source == table:
        return spec, ticks
    return spec, _at(ticks, rows_above(database, table, source), absent=MISSING)


def column_and_ticks(database: Database, table: str, column: str) -> tuple[ModelledColumn, _Ints]:
    """A modelled column and its ticks."""
    content, records = database.schema.table(table).content, database.tables[table].records
    assert content is not None
    assert records is not None
    return content.modelled_column(column), records.ticks[column]


def with_ticks(database: Database, table: str, changed: Mapping[str, _Ints]) -> Database:
    """The database with other ticks in some columns of one table."""
    rows = database.tables[table]
    if not changed or rows.records is None:
        return database
    records = rows.records.with_ticks({**rows.records.ticks, **changed})
    return replace(database, tables={**database.tables, table: replace(rows, records=records)})


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
    place, unit = _inside(rows.parent, parents.count), _inside(rows.unit, database.units)
    none = (rows.parent == -1) & terms.parent.optional & (unit >= 0)
    found: _Mask = ~none & ~((place >= 0) & (_at(parents.unit, place, absent=-1) == rows.unit))
    return found


def repeated(database: Database, terms: TableTerms) -> _Mask:
    """Which rows repeat the key of an earlier row: where it is nothing but the parent's, a parent has one row.

    Keys that hold an identifier of their own or the position among siblings are unique by themselves. Shapes: (rows,).
    """
    rows, link = database.tables[terms.name], terms.parent
    found = np.zeros(rows.count, dtype=bool)
    if link is None or not terms.key or not set(terms.key) <= {*link.columns, *link.unit}:
        return found
    group = np.where(rows.parent >= 0, rows.parent, -1 - rows.unit)
    _, first = np.unique(group, return_index=True)
    found[:] = True
    found[first] = False
    return found


def without(database: Database, drop: Mapping[str, _Mask]) -> Database:
    """Leave out the rows that are marked, and every row below them; what is left is renumbered and keeps its order.

    Args: `drop` holds a mask of any of the tables; a row of the table of the units is a unit with all its rows.
    """
    if not any(mask.any() for mask in drop.values()):
        return database
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
    return _at(kept.astype(np.int64), _inside(place, kept.size), absent=0).astype(bool)


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
