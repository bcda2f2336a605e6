"""Calendars: when the rows of a table happen, from levels, gaps, days of the week, months and shared days drawn for them.

Must never move a row before the one that it follows, and never look at records that were not drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.histories.clocks import Clock
from privsynth.histories.conditionals import ConditionalDraws
from privsynth.histories.layout import Attribute
from privsynth.schema.ticks import MISSING

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Evidence: TypeAlias = Mapping[str, Ints]

_TRIES, _STRICT = 12, 8
"""Draws of a gap and of what is asked of its day, until they agree and the rows to come fit; from some on, the month is only
tried for, and in the end the day of the week as well."""

_BLOCK_ROWS = 1 << 16
_FAR = 1 << 61

_THURSDAY, _WEEK, _YEAR = 3, 7, 12
"""The first of January 1970 was a Thursday, Monday being 0."""


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

        Gaps (after levels, where the model tells of them), and what is asked of days, are drawn together until they agree: a
        gap that leads to no such day, beyond the limit, or so near to it that the rows to come would hardly fit, is drawn
        again; in the end the shortest gap is taken.
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
        by_level = self._begun and self._model.tells(self._clock.column, "gap")
        soonest = np.full(active, _FAR)
        for turn in range(_TRIES + 1):
            if not left.size:
                break
            known = {name: codes[left] for name, codes in given.items()}
            settled = self._settled(left, before[left], known, rng) if by_level else {}
            rest = [name for name in wanted if name not in settled]
            found = {**settled, **self._model.draw({**known, **settled}, rest, len(left), rng)}
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
            high = np.minimum(high, np.maximum(low, timing.limit[rows]))
            if clock.column in found:
                first, last = clock.own.span(found[clock.column])
                held = ~absent & (first != MISSING) & (first <= high) & (last >= low)
                low, high = np.where(held, np.maximum(low, first), low), np.where(held, np.minimum(high, last), high)
            return low, high, absent
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

    def _settled(self, rows: Ints, before: Ints, given: Evidence, rng: np.random.Generator) -> dict[str, Ints]:
        """The level of the time column that comes next, and a gap that leads into it. Shapes: (rows,)."""
        clock, limit = self._clock, self._timing.limit[rows]
        known = np.flatnonzero(before != MISSING)
        level, gap = np.full(len(rows), clock.own.size - 1), np.full(len(rows), clock.gaps.size - 1)
        for start in range(0, len(known), _BLOCK_ROWS):
            some = known[start : start + _BLOCK_ROWS]
            told = {name: codes[some] for name, codes in given.items()}
            own = self._model.draw_within(told, clock.column, clock.room(before[some], limit[some]), rng)
            room = clock.gap_room(before[some], limit[some], own)
            level[some] = own
            gap[some] = self._model.draw_within({**told, clock.column: own}, "gap", room, rng)
        return {clock.column: level, "gap": gap}

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
