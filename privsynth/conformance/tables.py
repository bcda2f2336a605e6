"""The public tables that a generator's conformance is checked on: made up from a domain, with neighbours chosen to do harm.

Must never hold anything of a real table: sizes come from the public domain, values from a random generator.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.domain import Domain
from privsynth.privacy.unit import NeighboringRelation, PrivacyUnit
from privsynth.records import MISSING, Records
from privsynth.schema import Schema

Rows = npt.NDArray[np.int64]
_UNIT = "unit of privacy"
_OVER = 3
"""A greedy unit has this many times the rows that it may contribute."""

_CROWDS = (131, 263, 1033, 33_001, 66_001)
"""Equal records in a crowded table; no round numbers, which rounding would leave as they are."""

_WIDE = 500
_BROAD, _FEW = 24, 3
_GREEDY = 100
"""A very greedy unit has this many times the rows that it may contribute."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Neighbours:
    """Two tables that differ in one unit, and in what way."""

    what: str
    table: Records
    other: Records


@final
class Laboratory:
    """A small schema with some of a domain's columns, random tables of it, and their neighbours.

    Every column has a missing level and a last value that no random table contains, for a neighbour to bring in.
    Args: `trained` is for generators that train: a unit more comes after all others, whose coins, which go by their numbers,
        then stay as they are, and crowds are smaller.
    """

    def __init__(self, domain: Domain, unit: PrivacyUnit, *, columns: int, levels: int, trained: bool = False) -> None:
        by_size = sorted(domain.attributes, key=domain.size)
        places = np.unique(np.linspace(0, len(by_size) - 1, min(columns, len(by_size))).round().astype(int))
        chosen = {by_size[place] for place in places.tolist()}
        self._sizes = {name: min(levels, max(3, domain.size(name))) - 1 for name in domain.attributes if name in chosen}
        self._domain, self._unit, self._trained = domain, unit, trained
        self.schema = _schema(self._sizes, unit)

    def table(self, rows: int, rng: np.random.Generator) -> Records:
        """Random records with structure (a hidden type moves every column), in units of up to twice the allowed rows."""
        kind = rng.integers(0, 3, rows)
        values = np.empty((rows, len(self._sizes)), dtype=np.int64)
        for column, size in enumerate(self._sizes.values()):
            typical, any_value = kind % max(1, size - 1), rng.integers(0, max(1, size - 1), rows)
            values[:, column] = np.where(rng.random(rows) < 0.6, typical, any_value)
            values[rng.random(rows) < 0.05, column] = MISSING
        sizes = rng.integers(1, 2 * self._unit.max_rows, rows, endpoint=True)
        return self._records(values, np.repeat(np.arange(rows), sizes)[:rows])

    def neighbours(self, table: Records) -> Iterator[Neighbours]:
        """Pairs of tables that differ in one unit: added to the table or, where the relation says so, replaced in it."""
        for what, unit in self._adversaries(table).items():
            yield Neighbours(what=what, table=self._without(table), other=self._with(table, unit))

    def crowds(self) -> Neighbours:
        """A table with few types of records and very many of each, past what 7, 8, 15 and 16 bits hold, and a unit more."""
        sizes = np.array(list(self._sizes.values()))
        crowds = _CROWDS[: len(_CROWDS) - 2 * self._trained]
        values = np.repeat(np.arange(len(crowds))[:, None] % sizes, crowds, axis=0)
        table = self._records(values, np.arange(len(values)) // self._unit.max_rows)
        unit = np.repeat(self._constant(0), self._unit.max_rows, axis=0)
        before = self._without(table)
        return Neighbours(what="one more among very many", table=before, other=self._with(table, unit))

    def wide(self) -> Laboratory:
        """Another one, of the domain's widest column (up to 500 levels) and its narrowest."""
        return Laboratory(self._domain, self._unit, columns=2, levels=_WIDE, trained=self._trained)

    def broad(self) -> Laboratory:
        """Another one, of up to 24 of the domain's columns, with few levels each."""
        return Laboratory(self._domain, self._unit, columns=_BROAD, levels=_FEW, trained=self._trained)

    def alike(self, table: Records, units: int, *, of: int) -> Records:
        """The table, one record of values that nobody else has, and so many whole units of such records.

        Where units are replaced, there are `of` of them in all: the others hold smallest values.
        """
        allowed = self._unit.max_rows
        replaced = self._unit.relation is NeighboringRelation.REPLACE_ONE
        same = np.repeat(self._last(), 1 + units * allowed, axis=0)
        places = np.repeat(self._constant(0), (of - units) * allowed * replaced, axis=0)
        owner = np.arange(table.rows) if table.units is None else table.units
        fresh = table.rows + np.r_[0, 1 + np.arange(units * allowed + len(places)) // allowed]
        values = np.concatenate([self._values(table), same, places])
        return self._records(values, np.concatenate([owner, fresh]))

    def joined(self, table: Records, units: int) -> Records:
        """The table, and so many whole units after it whose values nobody in it has."""
        owner = np.arange(table.rows) if table.units is None else table.units
        fresh = owner.max(initial=-1) + 1 + np.arange(units * self._unit.max_rows) // self._unit.max_rows
        values = np.concatenate([self._values(table), np.repeat(self._last(), len(fresh), axis=0)])
        return self._records(values, np.concatenate([owner, fresh]))

    def greedy(self, table: Records) -> Records:
        """A neighbour: with a unit of very many rows, all alike, in the place of the last one where units are replaced."""
        allowed = self._unit.max_rows
        rows = np.repeat(self._last(), _GREEDY * allowed if self._unit.column is not None else 1, axis=0)
        owner = np.arange(table.rows) if table.units is None else table.units
        stay = table.rows
        if self._unit.relation is NeighboringRelation.REPLACE_ONE:
            stay -= allowed
        values = np.concatenate([self._values(table)[:stay], rows])
        return self._records(values, np.concatenate([owner[:stay], np.full(len(rows), table.rows)]))

    def camps(self, rows: int, canaries: int) -> Neighbours:
        """Two types of records, and canaries: units that all hold the same value, another one in each column.

        Type 1 has the canary's value in the first half of the columns and another one in the second, type 2 the other way
        round. Against independence, the canary's cell of a pair is too full where both columns are of one half and too empty
        where they are not, and all pairs are about equally wrong: a canary raises the errors of some and lowers those of the
        others by as much as it can, and choices between them are open. Canaries replace units of a third kind where the
        relation says so, and else come in.
        """
        sizes = np.array(list(self._sizes.values()))
        canary = np.arange(len(sizes)) % sizes
        first_half = np.arange(len(sizes)) < len(sizes) // 2
        kinds = [np.where(half, canary, (canary + 1) % sizes) for half in (first_half, ~first_half)]
        values = np.array(kinds)[np.arange(rows) % 2]
        replaced = self._unit.relation is NeighboringRelation.REPLACE_ONE
        before = np.array([(canary + 2) % sizes])[np.zeros(canaries * self._unit.max_rows * replaced, dtype=int)]
        after = np.array([canary])[np.zeros(canaries * self._unit.max_rows, dtype=int)]
        return Neighbours(
            what=f"{canaries} canaries among two camps",
            table=self._followed_by(values, before),
            other=self._followed_by(values, after),
        )

    def among(self, ordinary: Rows, included: Rows, of: int) -> Records:
        """Ordinary records, each a unit, and some of `of` canaries, each with as many rows as a unit may have.

        Where units are replaced, those that are left out leave units of smallest values in their place.
        """
        replaced = self._unit.relation is NeighboringRelation.REPLACE_ONE
        places = np.zeros(((of - len(included)) * replaced, ordinary.shape[1]), dtype=np.int64)
        return self._followed_by(ordinary, np.repeat(np.concatenate([included, places]), self._unit.max_rows, axis=0))

    @property
    def unit(self) -> PrivacyUnit:
        """Whose rows are protected."""
        return self._unit

    def _followed_by(self, values: Rows, units: Rows) -> Records:
        """Records that are a unit each, and units of as many rows as are allowed."""
        owner = len(values) + np.arange(len(units)) // self._unit.max_rows
        return self._records(np.concatenate([values, units]), np.concatenate([np.arange(len(values)), owner]))

    def _without(self, table: Records) -> Records:
        if self._unit.relation is NeighboringRelation.ADD_REMOVE:
            return table
        return self._with(table, np.repeat(self._constant(0), self._unit.max_rows, axis=0))

    def _adversaries(self, table: Records) -> Mapping[str, Rows]:
        """Rows of one unit each."""
        allowed = self._unit.max_rows
        last = self._last()
        every = np.array([[turn % size for size in self._sizes.values()] for turn in range(_OVER * allowed)])
        known = self._values(table)[:1] if table.rows else self._constant(0)
        greedy = _OVER * allowed if self._unit.column is not None else 1
        return {
            "values that nobody else has": np.repeat(last, allowed, axis=0),
            "the smallest values": np.repeat(self._constant(0), allowed, axis=0),
            "missing values": np.repeat(self._constant(MISSING), allowed, axis=0),
            "a record that is there already": np.repeat(known, allowed, axis=0),
            "different values in each row": every[:allowed],
            "more rows than allowed, all alike": np.repeat(last, greedy, axis=0),
            "more rows than allowed, all different": every[:greedy],
        }

    def _last(self) -> Rows:
        return np.array([[size - 1 for size in self._sizes.values()]])

    def _constant(self, tick: int) -> Rows:
        return np.full((1, len(self._sizes)), tick, dtype=np.int64)

    def _values(self, table: Records) -> Rows:
        return np.stack([table.ticks[name] for name in self._sizes], axis=1)

    def _with(self, table: Records, unit: Rows) -> Records:
        """The table with one unit more: first, so that every other unit's number changes, or last."""
        owner = np.arange(table.rows) if table.units is None else table.units
        if self._trained:
            values = np.concatenate([self._values(table), unit])
            return self._records(values, np.concatenate([owner, np.full(len(unit), owner.max(initial=0) + 1)]))
        values = np.concatenate([unit, self._values(table)])
        return self._records(values, np.concatenate([np.full(len(unit), -1), owner]))

    def _records(self, values: Rows, owner: Rows) -> Records:
        ticks = {name: values[:, column].copy() for column, name in enumerate(self._sizes)}
        if self._unit.column is None:
            return Records(schema=self.schema, ticks=ticks)
        owners, first, codes = np.unique(owner, return_index=True, return_inverse=True)
        order = np.argsort(first)
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        names = tuple(f"unit {owners[place]}".encode() for place in order.tolist())
        return Records(schema=self.schema, ticks=ticks, units=rank[codes], unit_names=names)


def _schema(sizes: Mapping[str, int], unit: PrivacyUnit) -> Schema:
    lines = ["[table]", 'name = "conformance"']
    name = _UNIT
    while name in sizes:
        name += " "
    if unit.column is not None:
        lines += [
            f"unit = {json.dumps(name)}",
            f"[columns.{json.dumps(name)}]",
            'kind = "identifier"',
            'make = "########"',
        ]
    for column, size in sizes.items():
        lines += [
            f"[columns.{json.dumps(column, ensure_ascii=False)}]",
            f'kind = "integer"\nlower = 0\nupper = {size - 1}\nmissing = [""]',
            f'bins = {{method = "quantiles", count = {size}}}',
        ]
    return Schema.loads("\n".join(lines), source="the conformance tables")
