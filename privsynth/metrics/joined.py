"""Joined tables: each row of a table with the columns of the rows above it, the row before it, and the time since, as codes.

Must never leave out a row or weigh one: metrics compare whole tables, bounds and weights are the measurement's affair.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.database.document import TableTerms
from privsynth.database.held import Database, Rows
from privsynth.dataset import Dataset
from privsynth.domain import Domain
from privsynth.encoding import encode_public
from privsynth.histories.spans import gap_levels, size_levels
from privsynth.schema.levels import Levels
from privsynth.schema.ticks import MISSING, granules

_Ints = npt.NDArray[np.int64]


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Joined:
    """One table, a record a row, each row once.

    Args: `own` are its columns, `above` those of its ancestors as "table.column", `before` those of the row before among its
        parent's rows as "previous.column", for the columns that the schema carries; `gap` is "gap" where the table has a time.
    Shapes: `follows` is (rows,): whether there is a row before; `spaced`: whether the gap to it is known.
    """

    data: Dataset
    own: tuple[str, ...]
    above: tuple[str, ...]
    before: tuple[str, ...]
    gap: tuple[str, ...]
    follows: npt.NDArray[np.bool_]
    spaced: npt.NDArray[np.bool_]


def joined(database: Database, name: str) -> Joined:
    """Join one table. Where there is no ancestor, no row before or no gap, an attribute is at its last level."""
    schema, rows = database.schema, database.tables[name]
    terms = schema.table(name)
    follows = _follows(rows)
    own = _columns(database, name)
    codes, sizes = dict(own[0]), dict(own[1])
    above = _above(database, name, codes, sizes)
    before = tuple(f"previous.{one}" for one in terms.carry)
    for one, label in zip(terms.carry, before, strict=True):
        shifted = np.roll(own[0][one], 1)
        codes[label] = np.where(follows, shifted, own[1][one])
        sizes[label] = own[1][one] + 1
    spaced = np.zeros(rows.count, dtype=np.bool_)
    if terms.time is not None:
        spaced, codes["gap"], sizes["gap"] = _gaps(terms, rows, follows)
    domain = Domain(tuple(codes), tuple(sizes[one] for one in codes))
    return Joined(
        data=Dataset.from_columns(codes, domain),
        own=tuple(own[0]),
        above=above,
        before=before,
        gap=() if terms.time is None else ("gap",),
        follows=follows,
        spaced=spaced,
    )


def group_sizes(database: Database, name: str, *, of_units: bool = False) -> tuple[_Ints, Levels]:
    """The number of rows of a table that each row of its parent has, zero included; or that each unit has.

    Rows without a parent are counted with units alone. Returns them in the parents' order, with the schema's levels.
    """
    terms, rows = database.schema.table(name), database.tables[name]
    assert terms.bound is not None
    above = database.units if of_units else database.tables[terms.parent_table].count
    owners = rows.unit if of_units else rows.parent[rows.parent >= 0]
    return np.bincount(owners, minlength=above), size_levels(terms.bound.largest)


def size_codes(sizes: _Ints, levels: Levels) -> _Ints:
    """Sizes as levels; more than the largest count as the largest."""
    return levels.codes(np.minimum(sizes, levels.upper))


def moments_of(terms: TableTerms, rows: Rows) -> _Ints:
    """The time column of each row, in its own units; missing stays missing."""
    assert terms.time is not None
    assert terms.content is not None
    assert rows.records is not None
    return granules(terms.content.modelled_column(terms.time.column), rows.records.ticks[terms.time.column])


def _follows(rows: Rows) -> npt.NDArray[np.bool_]:
    """Whether the row before has the same unit and the same parent."""
    found = np.zeros(rows.count, dtype=np.bool_)
    found[1:] = (rows.unit[1:] == rows.unit[:-1]) & (rows.parent[1:] == rows.parent[:-1])
    return found


def _gaps(terms: TableTerms, rows: Rows, follows: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.bool_], _Ints, int]:
    """(whether the gap is known, its level, the number of levels)."""
    levels, at = gap_levels(terms), moments_of(terms, rows)
    earlier = np.roll(at, 1)
    spaced = follows & (at != MISSING) & (earlier != MISSING)
    gap = np.where(spaced, np.where(spaced, at, 0) - np.where(spaced, earlier, 0), MISSING)
    inside = np.where(spaced, np.clip(gap, levels.lower, levels.upper), MISSING)
    return spaced, levels.codes(inside), levels.size


def _columns(database: Database, name: str) -> tuple[dict[str, _Ints], dict[str, int]]:
    """A table's own columns as codes, and how many levels each has."""
    rows = database.tables[name]
    if rows.records is None:
        return {}, {}
    data = encode_public(rows.records)
    attributes = data.domain.attributes
    return {one: data.column(one).astype(np.int64) for one in attributes}, dict(
        zip(attributes, data.domain.sizes, strict=True)
    )


def _above(database: Database, name: str, codes: dict[str, _Ints], sizes: dict[str, int]) -> tuple[str, ...]:
    """Add the columns of all ancestors; of one that a row may lack, with a level more."""
    found: list[str] = []
    rows = database.tables[name]
    link = database.schema.table(name).parent
    for above, positions in _ancestors(database, name):
        values, levels = _columns(database, above)
        may_lack = link is not None and link.optional and above == database.schema.table(name).parent_table
        absent = positions < 0
        for column in values:
            label = f"{above}.{column}"
            taken = values[column][np.maximum(positions, 0)] if values[column].size else np.zeros(rows.count, np.int64)
            codes[label] = np.where(absent, levels[column], taken)
            sizes[label] = levels[column] + int(may_lack)
            found.append(label)
    return tuple(found)


def _ancestors(database: Database, name: str) -> list[tuple[str, _Ints]]:
    """Each ancestor with the position of every row's own row in it; -1 where there is none. The units are never absent."""
    found: list[tuple[str, _Ints]] = []
    schema, rows = database.schema, database.tables[name]
    positions = rows.parent
    for above in schema.ancestors(name):
        if above is schema.root:
            found.append((above.name, rows.unit))
            break
        found.append((above.name, positions))
        parents = database.tables[above.name].parent
        positions = np.where(positions < 0, -1, parents[np.maximum(positions, 0)] if parents.size else -1)
    return found
