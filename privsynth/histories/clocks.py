"""Clocks: how the time of one table is laid out, and what drawn records say of it.

Must never look at records that were not drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.database.moments import moments
from privsynth.generator import AbstractDistribution
from privsynth.histories.conditionals import Aside, ConditionalDraws
from privsynth.histories.layout import Attribute, View
from privsynth.schema.columns import ModelledColumn
from privsynth.schema.levels import Levels
from privsynth.schema.ticks import MISSING, from_granules

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_BEFORE, _LEFT = "moment\nbefore", "time\nleft"
"""What is known of a row's time beside its view: the level of the moment before, and of the time until the limit."""

_TRIES = 12
"""Draws of a moment and a gap of a record, until they agree with the level of the moment before that it carries."""

_FEW = 5
"""Drawn records of groups of one size that count as much as the mean of all."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SharedDays:
    """The days on which the rows of another table of the same parent happen.

    Shapes: `family` and `day` are (rows,): a number that rows of one parent have in common, and the day.
    """

    family: Ints
    day: Ints

    def sorted(self) -> tuple[Ints, int, int]:
        """Family and day in one ascending number, the lowest day, and how many days there are between a family and the next."""
        low = int(self.day.min()) if self.day.size else 0
        wide = (int(self.day.max()) - low if self.day.size else 0) + 2
        return np.unique(self.family * wide + self.day - low), low, wide


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Clock:
    """How one table's time is laid out: its gaps, its first moments, its own levels, ticks in a day, shared days.

    `until` is the attribute of a row above that says when it is too late, its column, and the time column; `count` that of the
    number of rows.
    """

    view: View
    column: str
    gaps: Levels
    firsts: Levels
    own: Levels
    day: int
    shared: SharedDays | None
    until: tuple[Attribute, ModelledColumn, ModelledColumn] | None
    count: Attribute | None

    @property
    def carried(self) -> str | None:
        """The attribute that holds the level of the moment before; None where rows do not carry it."""
        return next((one.name for one in self.view.context if one.previous and one.of == self.column), None)

    def wishes(self) -> list[str]:
        """The attributes that ask something of a row's day."""
        return [one.name for one in self.view.own if one.kind in ("weekday", "month", "shared")]

    def known(self, before: Ints, limit: Ints) -> dict[str, tuple[Ints, int]]:
        """What moments before say of the next ones, and their numbers of levels; missing moments have the last level."""
        absent = before == MISSING
        start = np.clip(np.where(absent, 0, before), self.own.lower, self.own.upper)
        left = np.clip(limit - start, self.gaps.lower, self.gaps.upper)
        found: dict[str, tuple[Ints, int]] = {}
        if self.carried is None:
            found[_BEFORE] = (np.where(absent, self.own.size, self.own.codes(start)), self.own.size + 1)
        if self.until is not None:
            found[_LEFT] = (np.where(absent, self.gaps.size, self.gaps.codes(left)), self.gaps.size + 1)
        return found

    def beside(self, columns: Mapping[str, Ints], rng: np.random.Generator) -> Aside:
        """The same of records of the view; and the room of their own levels and gaps, where rows carry the moment before.

        Where they do not, how moments follow each other is measured by gaps alone, and levels drawn for themselves drift.
        """
        before = self._befores(columns, rng)
        limit = np.full(len(before), self.own.upper)
        if self.until is not None:
            attribute, its, column = self.until
            assert attribute.layout is not None
            codes = columns[attribute.name]
            none = codes >= attribute.layout.size
            ticks = from_granules(its, spread(attribute.layout, np.where(none, 0, codes), rng))
            ends = np.where(none, MISSING, moments(its, ticks, like=column))
            limit = np.where(ends == MISSING, limit, np.minimum(ends, limit))
        if self.carried is None:
            return self.known(before, limit), {}
        gaps = self.gap_room(before, limit, columns[self.column])
        return self.known(before, limit), {self.column: self.room(before, limit), "gap": gaps}

    def _befores(self, columns: Mapping[str, Ints], rng: np.random.Generator) -> Ints:
        """The moments before of records: their own moments less their gaps; in the level that they carry, where they do."""
        if self.carried is None:
            return self._less(columns, rng)
        codes = columns[self.carried]
        inside = codes < self.own.size
        low, high = self.own.span(np.where(inside, codes, 0))
        found = np.where(inside, spread(self.own, np.where(inside, codes, 0), rng), MISSING)
        for _ in range(_TRIES):
            less = self._less(columns, rng)
            found = np.where(inside & (less != MISSING) & (low <= less) & (less <= high), less, found)
        return found

    def _less(self, columns: Mapping[str, Ints], rng: np.random.Generator) -> Ints:
        """A moment of each record less a gap."""
        moment, gap = spread(self.own, columns[self.column], rng), spread(self.gaps, columns["gap"], rng)
        absent = (moment == MISSING) | (gap == MISSING)
        return np.where(absent, MISSING, np.where(absent, 0, moment) - np.where(absent, 0, gap))

    def room(self, before: Ints, limit: Ints) -> Singles:
        """How many moments of each own level a row may have, and one for none, where levels have it.

        Shapes: (rows,) each; the result is (rows, levels), 0 where the moment before is missing.
        """
        start, end = self._reach(before, limit)
        ranks = (self.own.rank(start), self.own.rank(end + 1))
        found = np.zeros((len(before), self.own.size), dtype=np.float32)
        for level in range(self.own.bins):
            first, after = self.own.ranks[level], self.own.ranks[level + 1]
            found[:, level] = np.maximum(np.minimum(ranks[1], after) - np.maximum(ranks[0], first), 0)
        for place, atom in enumerate(self.own.atoms.tolist()):
            found[:, self.own.bins + place] = (start <= atom) & (atom <= end)
        if self.own.missing:
            found[:, -1] = 1
        found[before == MISSING] = 0
        return found

    def gap_room(self, before: Ints, limit: Ints, level: Ints) -> Singles:
        """How many moments of an own level each gap leads to; where that is the missing one, the gap is missing as well.

        Shapes: (rows,) each; the result is (rows, levels of gaps).
        """
        start, end = self._reach(before, limit)
        low, high = self.own.span(level)
        absent, atom = low == MISSING, level >= self.own.bins
        low, high = np.maximum(np.where(absent, 0, low), start), np.minimum(np.where(absent, -1, high), end)
        found = np.zeros((len(before), self.gaps.size), dtype=np.float32)
        for gap in range(self.gaps.bins):
            first = np.maximum(low, start + self.gaps.starts[gap])
            after = self.gaps.starts[gap + 1] if gap + 1 < self.gaps.bins else self.gaps.upper + 1
            last = np.minimum(high, start + after - 1)
            ranked = last - first + 1
            if self.own.atoms.size:
                ranked = np.where(atom, ranked, self.own.rank(last + 1) - self.own.rank(first))
            found[:, gap] = np.where(last < first, 0, ranked)
        found[:, -1] = absent
        found[before == MISSING] = 0
        return found

    def _reach(self, before: Ints, limit: Ints) -> tuple[Ints, Ints]:
        """The first and last moment that may follow; of missing ones, anything."""
        start = np.where(before == MISSING, self.own.lower, before)
        return start, np.minimum(np.maximum(limit, start), start + self.gaps.upper)

    def pace(self, number: Ints, model: ConditionalDraws) -> Floats:
        """The mean gap of groups with so many rows, as drawn records have it; of few records, nearer to that of all."""
        gap, count = spread(self.gaps, model.records("gap"), np.random.default_rng(0)), self.count
        known = gap != MISSING
        if not known.any():
            return np.zeros(len(number))
        mean = float(gap[known].mean())
        if count is None or count.layout is None:
            return np.full(len(number), mean)
        codes = model.records(count.name)[known]
        weights = np.bincount(codes, minlength=count.size) + _FEW
        sums = np.bincount(codes, weights=gap[known], minlength=count.size) + _FEW * mean
        return np.asarray((sums / weights)[count.layout.codes(np.minimum(number, count.layout.upper))])


def conditionals(distribution: AbstractDistribution, clock: Clock | None) -> ConditionalDraws:
    """A view's distribution, to draw rows of chains from: gaps depend also on the moment before."""
    if clock is None:
        return ConditionalDraws(distribution)
    return ConditionalDraws(distribution, beside=clock.beside, begun=(clock.carried or _BEFORE, "gap"))


def spread(levels: Levels, codes: npt.NDArray[np.integer], rng: np.random.Generator) -> Ints:
    """A whole number from each level, all of a level alike; missing ones stay missing."""
    low, high = levels.span(codes.astype(np.int64))
    wide = np.where(low == MISSING, 0, high - low)
    return np.asarray(low + (rng.random(len(low)) * (wide + 1)).astype(np.int64))
