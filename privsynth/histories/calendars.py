"""Calendars: when the rows of a table happen, from gaps, days of the week, months and shared days that were drawn for them.

Must never move a row before the one that it follows, and never look at records that were not drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.histories.layout import Attribute, View
from privsynth.histories.matching import ConditionalDraws
from privsynth.schema.levels import Levels
from privsynth.schema.ticks import MISSING

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Evidence: TypeAlias = Mapping[str, Ints]

_TRIES = 6
"""Draws of what is asked of a day, until one agrees with the days that its gap leaves; then the gap alone decides."""

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
    anchor: Ints
    floor: Ints
    limit: Ints
    family: Ints

    def take(self, index: Ints) -> Timing:
        """These groups."""
        parts = (self.first, self.anchor, self.floor, self.limit, self.family)
        first, anchor, floor, limit, family = (part[index] for part in parts)
        return Timing(first=first, anchor=anchor, floor=floor, limit=limit, family=family)


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Clock:
    """How one table's time is laid out: its gaps, its first moments, its own levels, ticks in a day, and shared days."""

    view: View
    column: str
    gaps: Levels
    firsts: Levels
    own: Levels
    day: int
    shared: SharedDays | None

    def wishes(self) -> list[str]:
        """The attributes that ask something of a row's day."""
        return [one.name for one in self.view.own if one.kind in ("weekday", "month", "shared")]


@final
class Calendar:
    """The moments of many groups, row after row."""

    def __init__(self, clock: Clock, timing: Timing, model: ConditionalDraws) -> None:
        self._clock, self._timing, self._model = clock, timing, model
        self._now = np.full(len(timing.first), MISSING)
        self._shared = None if clock.shared is None else clock.shared.sorted()
        self._begun = False

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes that `next` settles."""
        return ("gap", *self._clock.wishes(), self._clock.column)

    def next(self, active: int, given: Evidence, rng: np.random.Generator) -> tuple[Ints, dict[str, Ints]]:
        """The next moments of the first `active` groups, and the codes of all attributes of time, the time column's too.

        Gaps, and what is asked of days, are drawn together until they agree: a gap that leads to no such day, or beyond the
        limit, is drawn again. Shapes: (active,) each, as `given`.
        """
        wishes = self._clock.wishes()
        wanted = [*wishes, self._clock.column if not self._begun else "gap"]
        before, moment = self._now[:active].copy(), np.full(active, MISSING)
        left = np.arange(active)
        if not self._begun:
            given = {**given, "gap": np.full(active, self._clock.gaps.size - 1)}
        for turn in range(_TRIES + 1):
            if not left.size:
                break
            asked = {name: codes[left] for name, codes in given.items()}
            found = self._model.draw(asked, wanted, rng)
            low, high, absent = self._span(left, before[left], found)
            last = turn == _TRIES
            day = self._choose(left, low, high, {} if last else {name: found[name] for name in wishes}, rng)
            right = absent | last | self._agrees(left, day, {name: found[name] for name in wishes})
            moment[left] = np.where(absent, MISSING, day)
            left = left[~right]
        self._now[:active] = moment
        codes = self._codes(before, moment)
        self._begun = True
        return moment, codes

    def _span(self, rows: Ints, before: Ints, found: Mapping[str, Ints]) -> tuple[Ints, Ints, Mask]:
        """The first and last moment that a row may have by its gap or its parent's word; and where it has none at all."""
        clock, timing = self._clock, self._timing
        if self._begun:
            low, high = clock.gaps.span(found["gap"])
            stays = low == MISSING
            absent = (before == MISSING) | (stays & clock.own.missing)
            start = np.where(absent, 0, before)
            return start + np.where(stays, 0, low), start + np.where(stays, 0, high), absent
        low, high = clock.firsts.span(timing.first[rows])
        told = (low != MISSING) & (timing.anchor[rows] != MISSING)
        own_low, own_high = clock.own.span(found[clock.column])
        absent = ~told & (own_low == MISSING)
        start = np.where(told, timing.anchor[rows], 0)
        low = np.where(absent, 0, start + np.where(told, low, own_low))
        high = np.where(absent, 0, start + np.where(told, high, own_high))
        top = np.maximum(timing.limit[rows], timing.floor[rows])
        return np.clip(low, timing.floor[rows], top), np.clip(high, timing.floor[rows], top), absent

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


def compressed(moments: Ints, group: Ints, limit: Ints) -> tuple[Ints, int]:
    """Moments of groups that run past their limit, with all distances in the group shrunk alike until they fit.

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
    share = np.maximum(limit - start, 0) / np.maximum(last - first, 1)
    found[late] = np.minimum(
        start[of] + np.floor((moments[late] - first[of]) * share[of] + 1e-9).astype(np.int64), limit[of]
    )
    return found, int(np.count_nonzero(found != moments))
