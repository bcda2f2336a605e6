"""Profiles: what the history of a unit boils down to, as one row, so that whole people can be compared and looked up.

Must never let one unit's profile depend on another unit, or a profile's columns depend on records.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.database.document import DatabaseSchema, TableTerms
from privsynth.database.held import Database, Rows
from privsynth.records import MISSING, Records
from privsynth.schema import Schema
from privsynth.schema.columns import (
    MAX_STEPS,
    BooleanColumn,
    CategoryColumn,
    DateColumn,
    DatetimeColumn,
    ModelledColumn,
    OrderedColumn,
    Role,
)
from privsynth.schema.ticks import rebased

_Ints = npt.NDArray[np.int64]
Summary: TypeAlias = Literal["value", "rows", "first", "last", "commonest", "sum", "span"]
"""Of a unit's own column; of a table: how many rows; of a column of theirs, in order: the first, last and commonest value (the
smallest of equals), the sum, and the time from the first to the last. Missing values are passed over."""

_WIDE = 48
"""Schemas whose profiles would have more columns keep one summary of each column of a child table."""
_COUNTED = {"method": "uniform", "count": 2}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Summarised:
    """One column of a profile: what is kept of one column of a table (None: of the rows themselves)."""

    name: str
    table: str
    column: str | None
    summary: Summary
    role: Role = "other"


def summaries(schema: DatabaseSchema) -> tuple[Summarised, ...]:
    """The columns of a profile, in order: the unit's own, then table by table."""
    every = tuple(_all(schema, brief=False))
    return every if len(every) <= _WIDE else tuple(_all(schema, brief=True))


def _all(schema: DatabaseSchema, *, brief: bool) -> Iterator[Summarised]:
    """All columns; `brief` keeps the first summary of each column of a child table, which is also the one with its role."""
    for terms in schema.tables:
        if terms.parent is not None:
            yield Summarised(name=f"{terms.name}: rows", table=terms.name, column=None, summary="rows")
        for column in () if terms.content is None else terms.content.modelled:
            kinds = _kinds(terms, column)
            for place, kind in enumerate(kinds[:1] if brief else kinds):
                yield Summarised(
                    name=_name(terms.name, column.name, kind),
                    table=terms.name,
                    column=column.name,
                    summary=kind,
                    role=column.role if place == 0 else "other",
                )


def _name(table: str, column: str, kind: Summary) -> str:
    return f"{table}: {column}" if kind == "value" else f"{table}: {kind} {column}"


def _kinds(terms: TableTerms, column: ModelledColumn) -> tuple[Summary, ...]:
    if terms.parent is None:
        return ("value",)
    if terms.time is not None and terms.time.column == column.name:
        return ("first", "span")
    if isinstance(column, DateColumn | DatetimeColumn) and column.after is None:
        return ("first", "last")
    return ("commonest", "first", "last") if _is_labelled(column) else ("sum", "first", "last")


def _is_labelled(column: ModelledColumn) -> bool:
    return isinstance(column, CategoryColumn | OrderedColumn | BooleanColumn)


def profile_schema(schema: DatabaseSchema) -> Schema:
    """The schema of profiles: labels as they are, everything else as whole numbers. A function of the schema alone."""
    columns: dict[str, object] = {}
    for one in summaries(schema):
        content = schema.table(one.table).content
        source = None if one.column is None or content is None else content.modelled_column(one.column)
        columns[one.name] = {"role": one.role, "missing": ["no value"], **_described(source, one.summary)}
    if not columns:
        columns["nothing"] = _described(None, "rows")
    return Schema.from_document({"table": {"name": "profiles"}, "columns": columns}, "the profiles of a database")


def _described(source: ModelledColumn | None, summary: Summary) -> dict[str, object]:
    """The keys of a profile's column. Labels are numbered, so that a label can be any text."""
    if source is None or not _is_labelled(source) or summary == "span":
        return {"kind": "integer", "lower": -MAX_STEPS, "upper": MAX_STEPS, "bins": _COUNTED}
    assert isinstance(source, CategoryColumn | OrderedColumn | BooleanColumn)
    kind = "ordered" if isinstance(source, OrderedColumn) else "category"
    return {"kind": kind, "values": [f"label {place}" for place in range(len(source.labels))]}


def profile(database: Database) -> Records:
    """One row a unit, in the order of units, with `units` and, where there are any, their names.

    Times are absolute; columns counted after another hold what they are after it. Sums are held inside the bounds.
    Privacy: a unit's row is a function of that unit's rows alone; private where the database is.
    """
    schema = database.schema
    ticks: dict[str, _Ints] = {}
    for one in summaries(schema):
        rows = database.tables[one.table]
        if one.column is None:
            ticks[one.name] = np.bincount(rows.unit, minlength=database.units).astype(np.int64)
        else:
            values = column_values(schema.table(one.table), rows, one.column)
            ticks[one.name] = _summarised(one.summary, values, rows.unit, database.units)
    if not ticks:
        ticks["nothing"] = np.zeros(database.units, dtype=np.int64)
    return Records(
        schema=profile_schema(schema),
        ticks=ticks,
        units=np.arange(database.units),
        unit_names=database.unit_names,
    )


def column_values(terms: TableTerms, rows: Rows, name: str) -> _Ints:
    """A column of a table, as ticks; where it is counted after another, as what it is after that. Shapes: (rows,)."""
    assert terms.content is not None
    assert rows.records is not None
    column, ticks = terms.content.modelled_column(name), rows.records.ticks[name]
    if not isinstance(column, DateColumn | DatetimeColumn) or column.after is None:
        return ticks
    base = terms.content.modelled_column(column.after)
    assert isinstance(base, DateColumn | DatetimeColumn)
    start = rebased(column, base, rows.records.ticks[base.name])
    absent = (start == MISSING) | (ticks == MISSING)
    return np.where(absent, MISSING, np.where(absent, 0, ticks) - np.where(absent, 0, start))


def _summarised(kind: Summary, values: _Ints, unit: _Ints, units: int) -> _Ints:
    """One number a unit; missing where it has no value. Shapes: (units,), from values and units in the table's order."""
    known = values != MISSING
    values, unit = values[known], unit[known]
    found = np.full(units, MISSING)
    order = np.argsort(unit, kind="stable")
    values, unit = values[order], unit[order]
    if not len(values):
        return found
    starts = np.flatnonzero(np.diff(unit, prepend=-1))
    ends = np.append(starts[1:], len(unit)) - 1
    match kind:
        case "last":
            found[unit[starts]] = values[ends]
        case "commonest":
            found[unit[starts]] = _commonest(values, unit)
        case "sum":
            total = np.add.reduceat(values.astype(np.float64), starts)
            found[unit[starts]] = np.rint(total.clip(-MAX_STEPS, MAX_STEPS)).astype(np.int64)
        case "span":
            span = np.maximum.reduceat(values, starts) - np.minimum.reduceat(values, starts)
            found[unit[starts]] = span
        case _:
            found[unit[starts]] = values[starts]
    return found


def _commonest(values: _Ints, unit: _Ints) -> _Ints:
    """Each unit's commonest value, the smallest of equals. Shapes: (units that have values,); units ascend."""
    order = np.lexsort((values, unit))
    values, unit = values[order], unit[order]
    new = np.append(True, (np.diff(values) != 0) | (np.diff(unit) != 0))
    runs = np.flatnonzero(new)
    lengths = np.diff(np.append(runs, len(values)))
    best = np.lexsort((values[runs], -lengths, unit[runs]))
    firsts = np.flatnonzero(np.diff(unit[runs][best], prepend=-1))
    found: _Ints = values[runs][best][firsts]
    return found
