"""The records that are made of a database before anything is measured: whose they are, how many, and what they weigh.

Must never be given private tables: it compares units' records with each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np

from privsynth.conformance.made_databases import History, Workshop, bound_of
from privsynth.conformance.recounted_histories import Recount, by_name
from privsynth.database.document import DatabaseSchema, TableTerms
from privsynth.database.held import Database
from privsynth.database.terms import MOST_ROWS
from privsynth.dataset import Dataset
from privsynth.errors import PrivsynthError
from privsynth.histories import measuring, viewing
from privsynth.histories.layout import views
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.private import Private

_CROWD = 16
"""Ordinary units beside those that are made to do harm."""

_KEYS = 2
_HELD = 0.4


def weight_of(table: TableTerms, used: Mapping[str, int]) -> int:
    """What one unit's rows of a table weigh together at the most."""
    if table.bound is None:
        return 1
    if table.bound.weights == "unit":
        return MOST_ROWS
    return used.get(table.name, bound_of(table))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is wrong with the records that are made of a database, before anything is measured."""

    schema: DatabaseSchema
    used: Mapping[str, int]
    depends: list[str] = field(default_factory=list)
    weighs: list[str] = field(default_factory=list)
    differs: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """All that is wrong so far."""
        return [*self.depends, *self.weighs, *self.differs]

    def views(self, database: Database, key: bytes, what: str) -> dict[str, Dataset]:
        """The views' records; none where they cannot be made."""
        try:
            return viewing.view_datasets(database, key, self.used)
        except PrivsynthError as error:
            self.differs.append(f"{what}: no records can be made: {error}")
            return {}


def look_at_records(kept: Kept, workshop: Workshop, noise: AbstractNoiseSource, rng: np.random.Generator) -> None:
    """Records of units are the same beside any others, no more than is allowed, and those of their rows."""
    units = [*(workshop.unit(kind, rng) for kind in workshop.kinds), *workshop.crowd(_CROWD, rng)]
    names = [f"unit {turn}".encode() for turn in range(len(units))]
    for turn in range(_KEYS):
        order = rng.permutation(len(units)) if turn else np.arange(len(units))
        mixed, called = [units[place] for place in order], [names[place] for place in order]
        database = workshop.database(mixed, called)
        key = noise.key()
        found = kept.views(database, key, "a database of very different units")
        _weigh(kept, database, found)
        _recount(kept, database, found)
        for what, other in _beside_others(workshop, mixed, called, rng):
            _compare(kept, database, found, other, key, what)
            _hold_out(kept, database, other, key, what)


def _beside_others(
    workshop: Workshop, units: Sequence[History], names: Sequence[bytes], rng: np.random.Generator
) -> Iterator[tuple[str, Database]]:
    """The same units in another order, under other names, without one of them, and alone."""
    order = rng.permutation(len(units))
    yield "other order", workshop.database([units[place] for place in order], [names[place] for place in order])
    others = [name if turn % 2 else b"another " + name for turn, name in enumerate(names)]
    yield "other names of other units", workshop.database(units, others)
    for place in range(0, len(units), 2):
        rest = [turn for turn in range(len(units)) if turn != place]
        yield "without one of them", workshop.database([units[turn] for turn in rest], [names[turn] for turn in rest])
    for place in (0, len(units) // 2, len(units) - 1):
        yield "alone", workshop.database([units[place]], [names[place]])


def _compare(
    kept: Kept, database: Database, found: Mapping[str, Dataset], other: Database, key: bytes, what: str
) -> None:
    """Units with the same name have the same records, with the same weights."""
    assert database.unit_names is not None
    assert other.unit_names is not None
    shared = sorted(set(database.unit_names) & set(other.unit_names))
    rank = {name: place for place, name in enumerate(shared)}
    again = kept.views(other, key, what)
    for table, data in found.items():
        if table in again and not np.array_equal(by_name(database, data, rank), by_name(other, again[table], rank)):
            kept.depends.append(f'table "{table}", {what}: the records of a unit are not what they were')


def _hold_out(kept: Kept, database: Database, other: Database, key: bytes, what: str) -> None:
    """Whole units are held out, each by a coin of its own."""
    before, after = (_held(one, key) for one in (database, other))
    shared = set(database.unit_names or ()) & set(other.unit_names or ())
    if before & shared != after & shared:
        kept.depends.append(f"{what}: whether a unit is held out is not what it was")
    parts = measuring.split(Private(database), _HELD, holdout_key=key)
    for table, rows in database.tables.items():
        sizes = np.bincount(rows.unit, minlength=database.units)
        apart = [_sizes_by_name(part.open(), table) for part in parts]
        together = {**apart[0], **apart[1]}
        if len(together) < len(apart[0]) + len(apart[1]) or together != dict(
            zip(database.unit_names or (), sizes.tolist(), strict=True)
        ):
            kept.depends.append(f'table "{table}": a unit is held out with a part of its rows')


def _held(database: Database, key: bytes) -> set[bytes]:
    """The names of the units that are held out."""
    return set(measuring.split(Private(database), _HELD, holdout_key=key)[1].open().unit_names or ())


def _sizes_by_name(database: Database, table: str) -> dict[bytes, int]:
    sizes = np.bincount(database.tables[table].unit, minlength=database.units)
    return dict(zip(database.unit_names or (), sizes.tolist(), strict=True))


def _weigh(kept: Kept, database: Database, found: Mapping[str, Dataset]) -> None:
    """No unit has more rows than its bound, nor more weight than its noise is made for."""
    for name, data in found.items():
        table = kept.schema.table(name)
        weight = weight_of(table, kept.used)
        if data.units is None:
            kept.weighs.append(f'table "{name}": its rows have no units')
            continue
        rows = np.bincount(data.units, minlength=database.units)
        weights = np.ones(data.rows, dtype=np.int64) if data.weights is None else data.weights
        if (rows > kept.used[name]).any():
            kept.weighs.append(f'table "{name}": more rows of a unit are used than its bound allows')
        heaviest = np.zeros(database.units, dtype=np.int64)
        np.add.at(heaviest, data.units, weights)
        if (heaviest > weight).any():
            kept.weighs.append(f'table "{name}": the rows of a unit weigh {int(heaviest.max())} together, not {weight}')
        lightest = np.full(database.units, weight, dtype=np.int64)
        np.minimum.at(lightest, data.units, weights)
        most = np.zeros(database.units, dtype=np.int64)
        np.maximum.at(most, data.units, weights)
        if (most - lightest > 1)[rows > 0].any():
            kept.weighs.append(f'table "{name}": the rows of a unit do not weigh alike')
        alone = rows[data.units] == 1
        if table.bound is not None and table.bound.weights == "unit" and (weights[alone] != weight).any():
            kept.weighs.append(f'table "{name}": the only row of a unit does not have its whole weight')
        if (weights < 1).any():
            kept.weighs.append(f'table "{name}": a row that is used weighs nothing')


def _recount(kept: Kept, database: Database, found: Mapping[str, Dataset]) -> None:
    """The records are those of the units' rows, made again one by one."""
    recount = Recount(database)
    for name, view in views(kept.schema).items():
        if name in found:
            kept.differs.extend(recount.problems(view, found[name], kept.used[name]))
