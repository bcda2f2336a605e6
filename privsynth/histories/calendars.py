"""Calendars: when the rows of a table happen, from gaps, days of the week, months and shared days that were drawn for them.

Must never move a row before the one that it follows, and never look at records that were not drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.database.moments import moments
from privsynth.generator import AbstractDistribution
from privsynth.histories.conditionals import ConditionalDraws
from privsynth.histories.layout import Attribute, View
from privsynth.schema.columns import ModelledColumn
from privsynth.schema.levels import Levels
from privsynth.schema.ticks import MISSING, from_granules

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Evidence: TypeAlias = Mapping[str, Ints]

_TRIES, _STRICT = 12, 8
"""Draws of a gap and of what is asked of its day, until they agree and the rows to come fit; from some on, the month is only
tried for, and in the end the day of the week as well."""

_FAR = 1 << 61

_BEFORE, _LEFT = "moment\nbefore", "time\nleft"
"""What is known of a row's time beside its view: the level of the moment before, and of the time until the limit."""

_FEW = 5
"""Drawn records of groups of one size that count as much as the mean of all."""

_THURSDAY, _WEEK, _YEAR = 3, 7, 12
"""The first of January 1970 was a Thursday, Monday being 0."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SharedDays:
    """The days on which the rows of another table of the same parent happen.

    Shapes: `family` and `day` are (rows,): a number that rows of one parent have in common, below `families`, and the day.
    """

    family: Ints
    day: Ints
    families: int

    def sorted(self) -> tuple[Ints, int, int]:
        """Family and day in one ascending number, the lowest day, and how many days there are between a family and the next."""
        low = int(self.day.min()) if self.day.size else 0
        wide = (int(self.day.max()) - low if self.day.size else 0) + 2
        return np.unique(self.family * wide + self.day - low), low, wide


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Timing:
    """What is known of the time of each group of rows with one parent, in ticks of the table's time column.

    Shapes: all (groups,). `first` is the level of the first row's moment (see `spans.first_levels`), counted from `anchor`,
        which is 0 where there is none, and missing where it is missing; `floor` and `limit` are the earliest and latest
        moments; `family` finds shared days.
    """

    first: Ints
    number: Ints
    anchor: Ints
    floor: Ints
    limit: Ints
    family: Ints

    def take(self, index: Ints) -> Timing:
        """These groups."""
        parts = (self.first, self.number, self.anchor, self.floor, self.limit, self.family)
        first, number, anchor, floor, limit, family = (part[index] for part in parts)
        return Timing(first=first, number=number, anchor=anchor, floor=floor, limit=limit, family=family)


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

    def beside(self, columns: Mapping[str, Ints], rng: np.random.Generator) -> dict[str, tuple[Ints, int]]:
        """The same of records of the view: the moment before is what they carry, or their own moment less their gap."""
        if self.carried is not None:
            codes = columns[self.carried]
            before = np.where(
                codes < self.own.size, spread(self.own, np.minimum(codes, self.own.size - 1), rng), MISSING
            )
        else:
            moment, gap = spread(self.own, columns[self.column], rng), spread(self.gaps, columns["gap"], rng)
            absent = (moment == MISSING) | (gap == MISSING)
            before = np.where(absent, MISSING, np.where(absent, 0, moment) - np.where(absent, 0, gap))
        limit = np.full(len(before), self.own.upper)
        if self.until is not None:
            attribute, its, column = self.until
            assert attribute.layout is not None
            codes = columns[attribute.name]
            none = codes >= attribute.layout.size
            ticks = from_granules(its, spread(attribute.layout, np.where(none, 0, codes), rng))
            ends = np.where(none, MISSING, moments(its, ticks, like=column))
            limit = np.where(ends == MISSING, limit, np.minimum(ends, limit))
        return self.known(before, limit)

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


@final
class Calendar:
    """The moments of many groups, row after row."""

    def __init__(self, clock: Clock, timing: Timing, model: ConditionalDraws) -> None:
        self._clock, self._timing, self._model = clock, timing, model
        self._now = np.full(len(timing.first), MISSING)
        self._shared = None if clock.shared is None else clock.shared.sorted()
        self._begun = False
        self._step = 0
        self._pace = clock.pace(timing.number, model)

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes that `next` settles."""
        return ("gap", *self._clock.wishes(), self._clock.column)

    def next(self, active: int, given: Evidence, rng: np.random.Generator) -> tuple[Ints, dict[str, Ints]]:
        """The next moments of the first `active` groups, and the codes of all attributes of time, the time column's too.

        Gaps, and what is asked of days, are drawn together until they agree: a gap that leads to no such day, beyond the
        limit, or so near to it that the rows to come would hardly fit, is drawn again; in the end the shortest gap is taken.
        Shapes: (active,) each, as `given`.
        """
        wishes = self._clock.wishes()
        before, moment = self._now[:active].copy(), np.full(active, MISSING)
        left = np.arange(active)
        if self._begun:
            wanted = ["gap", *wishes]
            told = self._clock.known(before, self._timing.limit[:active])
            given = {**given, **{name: codes for name, (codes, _) in told.items()}}
        else:
            wanted = wishes if self._told(left).all() else [self._clock.column, *wishes]
            given = {**given, "gap": np.full(active, self._clock.gaps.size - 1)}
        soonest = np.full(active, _FAR)
        for turn in range(_TRIES + 1):
            if not left.size:
                break
            found = self._model.draw({name: codes[left] for name, codes in given.items()}, wanted, len(left), rng)
            low, high, absent = self._span(left, before[left], found)
            hoped = {name: found[name] for name in wishes}
            asked = {name: code for name, code in hoped.items() if turn < (_STRICT if name == "month" else _TRIES)}
            day = self._choose(left, low, high, hoped, rng)
            soonest[left] = np.minimum(soonest[left], day)
            right = absent | (self._agrees(left, day, asked) & self._leaves_room(left, day, rng))
            moment[left] = np.where(absent, MISSING, np.where(right, day, soonest[left]))
            left = left[~right]
        self._now[:active] = moment
        codes = self._codes(before, moment)
        self._begun = True
        self._step += 1
        return moment, codes

    def _leaves_room(self, rows: Ints, moment: Ints, rng: np.random.Generator) -> Mask:
        """Whether the rows that are still to come will fit before the limit: a coin, by the time that is left for each."""
        if not self._begun:
            return np.ones(len(rows), dtype=bool)
        timing = self._timing
        rest = timing.number[rows] - self._step - 1
        need = rest * self._pace[rows]
        room = np.maximum(timing.limit[rows] - moment, 0)
        found: Mask = rng.random(len(rows)) * (room**2 + need**2) <= room**2
        return found

    def _span(self, rows: Ints, before: Ints, found: Mapping[str, Ints]) -> tuple[Ints, Ints, Mask]:
        """The first and last moment that a row may have by its gap or its parent's word; and where it has none at all."""
        clock, timing = self._clock, self._timing
        if self._begun:
            low, high = clock.gaps.span(found["gap"])
            stays = low == MISSING
            absent = (before == MISSING) | (stays & clock.own.missing)
            start = np.where(absent, 0, before)
            low, high = start + np.where(stays, 0, low), start + np.where(stays, 0, high)
            return low, np.minimum(high, np.maximum(low, timing.limit[rows])), absent
        low, high = clock.firsts.span(timing.first[rows])
        told = self._told(rows)
        own_low, own_high = clock.own.span(found[clock.column]) if clock.column in found else (low, high)
        absent = ~told & (own_low == MISSING)
        start = np.where(told, timing.anchor[rows], 0)
        low = np.where(absent, 0, start + np.where(told, low, own_low))
        high = np.where(absent, 0, start + np.where(told, high, own_high))
        floor = timing.floor[rows]
        top = np.maximum(timing.limit[rows], floor)
        # A level that lies outside altogether says nothing of when: any moment inside, instead of a heap at an end.
        outside = (low > top) | (high < floor)
        return np.where(outside, floor, np.maximum(low, floor)), np.where(outside, top, np.minimum(high, top)), absent

    def _told(self, rows: Ints) -> Mask:
        """Whether a parent says when its first row happens."""
        low, _ = self._clock.firsts.span(self._timing.first[rows])
        return np.asarray((low != MISSING) & (self._timing.anchor[rows] != MISSING))

    def _choose(self, rows: Ints, low: Ints, high: Ints, wishes: Mapping[str, Ints], rng: np.random.Generator) -> Ints:
        """A moment of each span, on a day that was asked for where the span has one. Shapes: (rows,)."""
        if "month" in wishes:
            low, high = _of_month(low, high, wishes["month"], rng)
        found = low + (rng.random(len(low)) * (high - low + 1)).astype(np.int64)
        if "weekday" in wishes:
            moved = found + (wishes["weekday"] - weekday(found)) % _WEEK
            moved -= np.where(moved > high, _WEEK, 0)
            found = np.where(moved >= low, moved, found)
        if "shared" in wishes and self._shared is not None:
            found = np.where(wishes["shared"] == 1, self._on_shared(rows, low, high, found, rng), found)
        return found

    def _on_shared(self, rows: Ints, low: Ints, high: Ints, other: Ints, rng: np.random.Generator) -> Ints:
        """A moment on one of the family's days in each span, or the other moment where there is none."""
        assert self._shared is not None
        keys, lowest, wide = self._shared
        ticks, base = self._clock.day, self._timing.family[rows] * wide
        start = np.searchsorted(keys, base + np.clip(low // ticks - lowest, 0, wide - 1), side="left")
        end = np.searchsorted(keys, base + np.clip(high // ticks - lowest, -1, wide - 2), side="right")
        there = end > start
        if not there.any():
            return other
        place = start + (rng.random(len(rows)) * (end - start)).astype(np.int64)
        day = (keys[np.where(there, place, 0)] % wide + lowest) * ticks
        first, last = np.maximum(low, day), np.minimum(high, day + ticks - 1)
        return np.where(there, first + (rng.random(len(rows)) * (last - first + 1)).astype(np.int64), other)

    def _is_shared(self, rows: Ints, moment: Ints) -> Ints:
        """Whether each moment is on one of the family's days, as a code."""
        if self._shared is None or not len(self._shared[0]):
            return np.zeros(len(rows), dtype=np.int64)
        keys, lowest, wide = self._shared
        day = np.where(moment == MISSING, lowest - 1, moment // self._clock.day) - lowest
        key = self._timing.family[rows] * wide + day
        place = np.minimum(np.searchsorted(keys, key), len(keys) - 1)
        return np.asarray((keys[place] == key) & (day >= 0) & (day < wide - 1), dtype=np.int64)

    def _agrees(self, rows: Ints, moment: Ints, wishes: Mapping[str, Ints]) -> Mask:
        """Whether a moment is what was asked for, and not too late."""
        right: Mask = moment <= np.maximum(self._timing.limit[rows], self._now[rows])
        for name, code in wishes.items():
            right &= self._said(self._clock.view.attribute(name), rows, moment) == code
        return right

    def _said(self, attribute: Attribute, rows: Ints, moment: Ints) -> Ints:
        """What an attribute says of moments that are not missing."""
        match attribute.kind:
            case "weekday":
                return weekday(moment)
            case "month":
                return month(moment)
            case _:
                return self._is_shared(rows, moment)

    def _codes(self, before: Ints, moment: Ints) -> dict[str, Ints]:
        """The codes of what was settled on; of missing moments, as views have them."""
        clock, absent, rows = self._clock, moment == MISSING, np.arange(len(moment))
        held = np.where(absent, clock.own.lower, moment)
        none = np.full(len(moment), clock.gaps.size - 1)
        gap = np.where(absent | (before == MISSING), clock.gaps.lower, held - np.where(before == MISSING, 0, before))
        gaps = clock.gaps.codes(np.clip(gap, clock.gaps.lower, clock.gaps.upper))
        own = clock.own.codes(
            np.where(absent & clock.own.missing, MISSING, np.clip(held, clock.own.lower, clock.own.upper))
        )
        codes = {"gap": none if not self._begun else np.where(absent | (before == MISSING), none, gaps)}
        for name in clock.wishes():
            codes[name] = np.where(absent, 0, self._said(clock.view.attribute(name), rows, held))
        return {**codes, clock.column: own}


def weekday(days: Ints) -> Ints:
    """The day of the week of days since 1970, Monday being 0."""
    found: Ints = (days + _THURSDAY) % _WEEK
    return found


def month(days: Ints) -> Ints:
    """The month of days since 1970, January being 0."""
    return np.asarray(days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % _YEAR)


def _of_month(low: Ints, high: Ints, wanted: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """The part of each span of days that lies in a month of this name: of a random year of it, where it has several."""
    somewhere = low + (rng.random(len(low)) * (high - low + 1)).astype(np.int64)
    months = somewhere.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    first, last = low, high
    found = np.zeros(len(low), dtype=bool)
    for years in (0, -1, 1):
        name = (months // _YEAR + years) * _YEAR + wanted
        begins = name.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
        ends = (name + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) - 1
        inside = ~found & (begins <= high) & (ends >= low)
        first, last = np.where(inside, np.maximum(begins, low), first), np.where(inside, np.minimum(ends, high), last)
        found |= inside
    return first, last


def compressed(moments: Ints, group: Ints, limit: Ints, rng: np.random.Generator) -> tuple[Ints, int]:
    """Moments of groups that run past their limit, with all distances in the group shrunk alike until they fit.

    The last moment then lies where the last of so many that are spread evenly would, so that they do not heap on the limit.

    Shapes: `moments` and `group` are (rows,), rows of a group ascending in time wherever they stand; `limit` is (groups,).
    Returns: the moments, and how many rows were moved.
    """
    known = np.flatnonzero(moments != MISSING)
    if not known.size:
        return moments, 0
    first, last = np.full(len(limit), np.iinfo(np.int64).max), np.full(len(limit), np.iinfo(np.int64).min)
    np.minimum.at(first, group[known], moments[known])
    np.maximum.at(last, group[known], moments[known])
    late = known[(last > limit)[group[known]]]
    if not late.size:
        return moments, 0
    of, found = group[late], moments.copy()
    start = np.minimum(first, limit)
    others = np.maximum(np.bincount(group[known], minlength=len(limit)) - 1, 1)
    reach = rng.random(len(limit)) ** (1 / others)
    share = reach * (np.maximum(limit - start, 0) + 1) / np.maximum(last - first, 1)
    found[late] = np.minimum(
        start[of] + np.floor((moments[late] - first[of]) * share[of] + 1e-9).astype(np.int64), limit[of]
    )
    return found, int(np.count_nonzero(found != moments))
