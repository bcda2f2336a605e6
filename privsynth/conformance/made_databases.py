"""Made-up databases that conformance is checked on: units with any number of rows, and the same without one of them.

Must never hold anything of a real table: rows come from the public schema and a random generator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.database.document import DatabaseSchema, TableTerms
from privsynth.database.held import Database, Rows
from privsynth.database.terms import MOST_ROWS
from privsynth.dataset import Dataset
from privsynth.encoding import decode
from privsynth.records import MISSING, Records
from privsynth.schema import Schema
from privsynth.schema.levels import Levels

Ints = npt.NDArray[np.int64]
Values: TypeAlias = Callable[[Schema, int, np.random.Generator], dict[str, Ints]]
"""From a table's columns to the ticks of so many rows."""

HUNDREDS = 257
"""Rows of the largest unit in each table: more than any bound on what is used, and than a byte holds."""

_CLAMPED = 600
"""Largest number of rows of one parent that a made-up unit exceeds."""

_FEW = 3
_LOOSE = 0.3


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class History:
    """One unit with all its rows, in the order of a database.

    Shapes: for each table, each column of `ticks` and `parent` is (rows,) int64; `parent` counts the unit's own rows of the
        parent's table, and is -1 where there is none.
    """

    ticks: Mapping[str, Mapping[str, Ints]]
    parent: Mapping[str, Ints]

    def rows(self, table: str) -> int:
        """Number of rows in a table."""
        return len(self.parent[table])


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of unit: its rows in each table, who their parents are, and what they hold.

    Args: `rows` is the number of rows of a table below the units. `one_parent` gives them all to the unit's first row above;
        else they are dealt out. `loose` is the share of rows without a parent, where parents are optional.
    """

    rows: Callable[[TableTerms], int]
    values: Values
    one_parent: bool = False
    loose: float = 0.0


@final
class Workshop:
    """Makes units of a schema, and databases of them."""

    def __init__(self, schema: DatabaseSchema) -> None:
        self.schema = schema
        self._kinds = _kinds()

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of units that are made to do harm."""
        return tuple(self._kinds)

    def unit(self, kind: str, rng: np.random.Generator) -> History:
        """A unit of a kind."""
        return self._made(self._kinds[kind], rng)

    def ordinary(self, rng: np.random.Generator) -> History:
        """A unit with a few rows, some of them without a parent where that is allowed."""
        return self._made(
            Kind(rows=lambda _: int(rng.integers(0, _FEW, endpoint=True)), values=_any_values, loose=_LOOSE), rng
        )

    def crowd(self, units: int, rng: np.random.Generator) -> list[History]:
        """Ordinary units."""
        return [self.ordinary(rng) for _ in range(units)]

    def strongest(self, rng: np.random.Generator) -> History:
        """A unit whose whole weight is in one cell of each table: equal rows, as many as share the weight without a rest."""
        return self._made(Kind(rows=_without_rest, values=_same(_last), one_parent=True), rng)

    def database(self, histories: Sequence[History], names: Sequence[bytes] | None = None) -> Database:
        """A database of these units, in this order, with these names of theirs; by default numbered ones."""
        tables: dict[str, Rows] = {}
        for table in self.schema.tables:
            sizes = np.array([history.rows(table.name) for history in histories], dtype=np.int64)
            tables[table.name] = Rows(
                records=_together(table, histories),
                parent=self._parents(table, histories),
                unit=np.repeat(np.arange(len(histories)), sizes),
            )
        called = tuple(names) if names is not None else tuple(f"unit {turn}".encode() for turn in range(len(histories)))
        return Database(schema=self.schema, tables=tables, unit_names=called)

    def _parents(self, table: TableTerms, histories: Sequence[History]) -> Ints:
        if table.parent is None:
            return np.full(len(histories), -1, dtype=np.int64)
        found, start = [np.zeros(0, dtype=np.int64)], 0
        for history in histories:
            own = history.parent[table.name]
            found.append(np.where(own < 0, -1, own + start))
            start += history.rows(table.parent_table)
        return np.concatenate(found)

    def _made(self, kind: Kind, rng: np.random.Generator) -> History:
        ticks: dict[str, Mapping[str, Ints]] = {}
        parents: dict[str, Ints] = {}
        for table in self.schema.tables:
            if table.parent is None:
                parent = np.full(1, -1, dtype=np.int64)
            else:
                parent = _dealt(kind, table, len(parents[table.parent_table]), rng)
            values = {} if table.content is None else kind.values(table.content, len(parent), rng)
            order = _order(table, parent, values)
            parents[table.name] = parent[order]
            ticks[table.name] = {name: column[order] for name, column in values.items()}
        return History(ticks=ticks, parent=parents)


def _dealt(kind: Kind, table: TableTerms, above: int, rng: np.random.Generator) -> Ints:
    """The parents of a unit's rows of a table, of which there are `above`."""
    assert table.parent is not None
    rows, optional = kind.rows(table), table.parent.optional
    if not above:
        return np.full(rows if optional else 0, -1, dtype=np.int64)
    parent = np.arange(rows, dtype=np.int64) % (1 if kind.one_parent else above)
    parent = rng.permutation(parent)
    if optional:
        parent[rng.random(rows) < kind.loose] = -1
    return parent


def _order(table: TableTerms, parent: Ints, values: Mapping[str, Ints]) -> Ints:
    """The order of a unit's rows in a database: by parent, then by time, what has no time last."""
    if table.time is None:
        return np.argsort(parent, kind="stable")
    time = values[table.time.column]
    return np.lexsort((time, time == MISSING, parent))


def _together(table: TableTerms, histories: Sequence[History]) -> Records | None:
    if table.content is None:
        return None
    empty = np.zeros(0, dtype=np.int64)
    ticks = {
        name: np.concatenate([empty, *(history.ticks[table.name][name] for history in histories)])
        for name in table.columns
    }
    return Records(schema=table.content, ticks=ticks)


# ---- kinds of units --------------------------------------------------------------------------------------------------


def _kinds() -> dict[str, Kind]:
    return {
        "a unit without rows": Kind(rows=lambda _: 0, values=_any_values),
        "a unit with one row of each table": Kind(rows=lambda _: 1, values=_any_values),
        "a unit at the bound": Kind(rows=bound_of, values=_any_values),
        "a unit with one row too many": Kind(rows=lambda table: bound_of(table) + 1, values=_any_values),
        "a unit with hundreds of equal rows": Kind(rows=_hundreds, values=_same(_last), one_parent=True),
        "a unit with hundreds of different rows": Kind(rows=_hundreds, values=_any_values, loose=_LOOSE),
        "a unit of smallest values": Kind(rows=bound_of, values=_same(_first), one_parent=True),
        "a unit of missing values": Kind(rows=bound_of, values=_same(_absent)),
        "a unit whose rows have no parent": Kind(rows=bound_of, values=_any_values, loose=1.0),
    }


def bound_of(table: TableTerms) -> int:
    """The largest number of a unit's rows that may be used; where it is bought, the largest that may be found."""
    if table.bound is None:
        return 1
    return table.bound.rows if isinstance(table.bound.rows, int) else min(table.bound.largest, MOST_ROWS)


def _hundreds(table: TableTerms) -> int:
    """More than is used, and more for one parent than is told apart."""
    assert table.bound is not None
    return max(HUNDREDS, table.bound.largest + 7 if table.bound.largest <= _CLAMPED else 0)


def _without_rest(table: TableTerms) -> int:
    assert table.bound is not None
    if table.bound.weights == "row":
        return bound_of(table)
    return 1 << (bound_of(table).bit_length() - 1)


def _any_values(content: Schema, rows: int, rng: np.random.Generator) -> dict[str, Ints]:
    """Random levels, missing ones among them, and a random value of each."""
    return _decoded(content, {name: rng.integers(0, size, rows) for name, size in _sizes(content)}, rng)


def _same(level: Callable[[Levels], int]) -> Values:
    """The same values in all rows."""

    def values(content: Schema, rows: int, rng: np.random.Generator) -> dict[str, Ints]:
        one = _decoded(content, {name: np.array([level(content.levels(name))]) for name, _ in _sizes(content)}, rng)
        return {name: np.repeat(ticks, rows) for name, ticks in one.items()}

    return values


def _first(_layout: Levels) -> int:
    return 0


def _last(layout: Levels) -> int:
    return layout.size - 1 - int(layout.missing)


def _absent(layout: Levels) -> int:
    return layout.size - 1 if layout.missing else 0


def _sizes(content: Schema) -> Iterator[tuple[str, int]]:
    domain = content.domain()
    return zip(domain.attributes, domain.sizes, strict=True)


def _decoded(content: Schema, codes: Mapping[str, Ints], rng: np.random.Generator) -> dict[str, Ints]:
    records = decode(Dataset.from_columns(codes, content.domain()), content, rng=rng)
    return {name: np.asarray(records.ticks[name]) for name in codes}
