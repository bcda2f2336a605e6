"""A made-up person, or a few alike, who hold values that nobody else has, and how much of them a release gives away.

Must never be put among real records: tables are made up from a schema, and what was drawn for the person is known to the audit.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.encoding import offsets
from privsynth.records import Records
from privsynth.schema import Schema
from privsynth.schema.columns import LabelledColumn, ModelledColumn
from privsynth.schema.levels import levels
from privsynth.schema.ticks import MISSING, from_granules, rebased

Int64s = npt.NDArray[np.int64]
Bet: TypeAlias = tuple[float, bool]
"""A guess at what is planted in a column: its chance to be right by luck, and whether it is."""

_BETS: Final = (0.3, 0.6, 0.9, 0.99)
"""Chances of a right guess that the evidence bets on, in equal parts."""
_WINDOWS: Final = (0.0, 0.001, 0.02, 0.15)
"""How near to the largest released value a number is guessed to lie: half-widths, as shares of the range."""
_POOL: Final = 30
"""Ordinary rows share so many values at most: a column without repetitions looks like a key, and may be numbered anew."""
_WORTH: Final = 4.0
"""A group whose release could not pay so much is not worth a fit."""
_KINDS: Final = 3
"""Kinds of guesses; see `Plant.bets`."""
_SHARP: Final = 0.8
"""A number that makes up so much of its level is not drawn from the level."""
_USUAL: Final = 0.1
"""Least chance that nothing is planted in a column: else a generator that shows nothing unusual would tell as much."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """What is planted in one column: nothing, or one of `reserved`, each with the same chance, and nothing with 1/10 at least.

    `usual` holds what everybody else shows; both are granules. Where both are ranges they are numbers, and the reserved ones
    lie beyond all usual ones, above or below, and `starts` are the first ones of the column's levels. `held` is what the person
    holds, None for a usual value.
    """

    name: str
    usual: Sequence[int]
    reserved: Sequence[int]
    held: int | None
    starts: Sequence[int] = ()

    @property
    def nothing(self) -> float:
        """The chance that nothing is planted."""
        return max(_USUAL, 1 / (1 + len(self.reserved)))

    def bets(self, released: Int64s, least: float) -> tuple[Sequence[Bet], Sequence[Bet], Sequence[Bet]]:
        """Guesses at what is planted, from a release alone, of three kinds.

        The labels that are shown, or the most extreme number, give or take, or else that nothing is planted. What is shown at
        all, in levels, or else no guess: for releases that hide some of it. What is shown most often, where that is in `least`
        rows, or else that nothing is planted: for releases that show a little of everything.
        """
        inside = np.isin(released, np.array(self.reserved)) if self.labels else self._inside(released)
        if not inside.any():
            return [self._none()], [], [self._none()]
        found, counts = np.unique(released[inside], return_counts=True)
        if self.labels:
            often = [self._among(found[[counts.argmax()]])] if counts.max() >= least else [self._none()]
            return [self._among(found)], [self._among(found)], often
        return self._extreme(released), [self._levels(found)], self._often(found, counts, least)

    def best(self, *, blurred: bool = False) -> tuple[Sequence[Bet], Sequence[Bet], Sequence[Bet]]:
        """The bets on a release that gives away what is planted, and nothing else; `blurred`: its level, not its value."""
        held = self.usual[0] if self.held is None else self.held
        shown = self._level(held) if blurred and held in self.reserved and not self.labels else (held, held)
        return self.bets(np.array(shown), 1)

    @property
    def labels(self) -> bool:
        """Whether labels or missing values are reserved, and not a range of numbers."""
        return not isinstance(self.reserved, range)

    def _inside(self, released: Int64s) -> npt.NDArray[np.bool_]:
        return (released >= self.reserved[0]) & (released <= self.reserved[-1])

    def _extreme(self, released: Int64s) -> Sequence[Bet]:
        present = released[released != MISSING]
        extreme = int(present.max() if self.reserved[0] > self.usual[0] else present.min())
        reaches = [math.floor(share * len(self.reserved)) for share in _WINDOWS]
        return [self._between(extreme - reach, extreme + reach) for reach in reaches]

    def _level(self, value: int) -> tuple[int, int]:
        """The reserved part of the level that a value is in."""
        place = int(np.searchsorted(self.starts, value, side="right"))
        first = int(self.starts[place - 1]) if place else self.reserved[0]
        last = int(self.starts[place]) - 1 if place < len(self.starts) else self.reserved[-1]
        return max(first, self.reserved[0]), min(last, self.reserved[-1])

    def _levels(self, found: Int64s) -> Bet:
        """The one number that is shown, or else all levels of which some number is shown."""
        if found.size == 1:
            return self._between(int(found[0]), int(found[0]))
        parts = [self._between(*level) for level in sorted({self._level(value) for value in found.tolist()})]
        return sum(chance for chance, _ in parts), any(right for _, right in parts)

    def _often(self, found: Int64s, counts: Int64s, least: float) -> Sequence[Bet]:
        """The level that is shown most, or a number that makes up most of it; else the smallest window that holds enough."""
        level = np.searchsorted(self.starts, found, side="right")
        rows = np.bincount(level, weights=counts)
        if rows.max() >= least:
            own = level == rows.argmax()
            top = int(found[own][counts[own].argmax()])
            sharp = counts[own].max() >= _SHARP * rows.max()
            return [self._between(top, top) if sharp else self._between(*self._level(top))]
        up_to = np.cumsum(counts)
        for share in _WINDOWS[1:]:
            width = math.floor(2 * share * len(self.reserved))
            within = up_to[np.searchsorted(found, found + width, side="right") - 1] - up_to + counts
            if within.max() >= least:
                first = int(found[within.argmax()])
                return [self._between(first, first + width)]
        return [self._none()]

    def _none(self) -> Bet:
        return self.nothing, self.held is None

    def _among(self, labels: Int64s) -> Bet:
        return (1 - self.nothing) * labels.size / len(self.reserved), self.held is not None and self.held in labels

    def _between(self, first: int, last: int) -> Bet:
        first, last = max(first, self.reserved[0]), min(last, self.reserved[-1])
        right = self.held is not None and first <= self.held <= last
        return (1 - self.nothing) * (last - first + 1) / len(self.reserved), right


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LonePerson:
    """A made-up table with one person in it who holds what was planted, or a group of `size` people who are all alike."""

    table: Records
    plants: tuple[Plant, ...]
    size: int
    share: float
    """What part of the table's rows are theirs."""

    @classmethod
    def among(cls, schema: Schema, rows: int, *, max_rows: int, rng: np.random.Generator, size: int = 1) -> LonePerson:
        """A table of `rows` ordinary rows, and people of `max_rows` rows, all alike, who hold what nobody else does.

        Columns that are counted after another, and those with a single value, carry nothing.
        """
        own = size * max_rows
        after = {column.name for column, _ in schema.following}
        plants = [_plant(column, rng) for column in schema.modelled if column.name not in after]
        values = {plant.name: rng.choice(_drawn(plant.usual, _POOL, rng), rows + own) for plant in plants}
        for plant in plants:
            values[plant.name][rows:] = values[plant.name][-1] if plant.held is None else plant.held
        for column, _ in schema.following:
            layout = levels(column)
            values[column.name] = rng.integers(layout.lower, layout.upper, rows + own, endpoint=True)
            values[column.name][rows:] = values[column.name][-1]
        units = np.append(np.arange(rows) // max_rows, -1 - np.arange(own) // max_rows)
        table = made_up(schema, values, units, rng=rng)
        planted = tuple(plant for plant in plants if plant.reserved)
        return cls(table=table, plants=planted, size=size, share=own / (rows + own))

    def evidence(self, released: Records) -> float:
        """Evidence that a release knows the person: its mean is at most 1 for a release that was made without them.

        Given such a release, what is planted is still as it was drawn, column by column: a guess is right by luck, and
        h / p for a right guess and (1 - h) / (1 - p) for a wrong one has mean 1. It is multiplied over columns, and averaged
        over h and the kinds of guesses. Source: Shafer 2021 (testing by betting).
        """
        granules = offsets(released.schema, released.ticks)
        least = max(1.0, released.rows * self.share / 2)
        return _evidence([plant.bets(granules[plant.name], least) for plant in self.plants])

    def most_evidence(self, *, blurred: bool = False) -> float:
        """The evidence of a release that gives away all that is planted; `blurred`: in levels."""
        return _evidence([plant.best(blurred=blurred) for plant in self.plants])


def payoff(evidence: float, size: int, *, epsilon: float, delta: float) -> float:
    """What evidence on a group who was in the table pays, where it costs 1 and the claim allows a mean of 1 at most.

    Half of the stake is kept. Payoffs of several releases may be multiplied, and the next group chosen by what the last one
    showed: the product reaches 1/alpha, at any time, with probability alpha at most (Ville's inequality).
    Proof: a group of k is (k epsilon, delta_k)-DP with delta_k = delta (1 + e^epsilon + ... + e^((k - 1) epsilon)). Without
    them evidence has mean 1 at most, so with them, capped at c, it has e^(k epsilon) + c delta_k at most: integrate the chances
    of t or more from 0 to c. With c = e^(k epsilon) / delta_k that is 2 e^(k epsilon).
    """
    most = 700.0  # e to which is about the largest float
    log = math.log(max(evidence, 1e-300)) - size * epsilon
    if delta:
        steps = np.minimum(most, epsilon * np.arange(size))
        log = min(log, -math.log(delta * float(np.exp(steps).sum()))) - math.log(2)
    return 0.5 + 0.5 * math.exp(min(most, log))


def largest_group(evidence: float, *, epsilon: float, delta: float, most: int) -> int:
    """The largest group that could still pay four times its stake with so much evidence; 1 at least."""
    sizes = range(most, 1, -1)
    return next((size for size in sizes if payoff(evidence, size, epsilon=epsilon, delta=delta) >= _WORTH), 1)


def _evidence(columns: Sequence[Sequence[Sequence[Bet]]]) -> float:
    total = 0.0
    for kind, bet in itertools.product(range(_KINDS), _BETS):
        product = 1.0
        for guesses in (column[kind] for column in columns):
            parts = [1.0 if p >= bet else bet / p if right else (1 - bet) / (1 - p) for p, right in guesses] or [1.0]
            product = min(1e300, product * sum(parts) / len(parts))
        total += product / (_KINDS * len(_BETS))
    return total


def _plant(column: ModelledColumn, rng: np.random.Generator) -> Plant:
    """Draw what is planted in a column: a label, a missing value, or a number far from everybody else's."""
    layout = levels(column)
    first, last = layout.lower, layout.upper
    usual: Sequence[int]
    reserved: Sequence[int]
    if isinstance(column, LabelledColumn):
        shuffled = (first + rng.permutation(last - first + 1)).tolist()
        few = (len(shuffled) + 3) // 4
        usual, reserved = shuffled[:few], shuffled[few:] + [MISSING] * layout.missing
    elif layout.missing and (first == last or rng.random() < 0.5):
        usual, reserved = range(first, last + 1), [MISSING]
    else:
        eighth, quarter = (last - first) // 8, (last - first + 4) // 4
        usual, reserved = range(first, first + eighth + 1), range(first + quarter, last + 1)
        if rng.random() < 0.5:
            usual, reserved = range(last - eighth, last + 1), range(first, last - quarter + 1)
    starts = () if isinstance(column, LabelledColumn) else tuple(layout.starts.tolist())
    plant = Plant(name=column.name, usual=usual, reserved=reserved, held=None, starts=starts)
    return plant if rng.random() < plant.nothing else replace(plant, held=int(_drawn(reserved, 1, rng)[0]))


def _drawn(values: Sequence[int], size: int, rng: np.random.Generator) -> Int64s:
    """Values drawn with replacement. Shapes: (size,)."""
    place = rng.integers(0, len(values), size)
    return values[0] + place if isinstance(values, range) else np.array(values, dtype=np.int64)[place]


def made_up(schema: Schema, granules: Mapping[str, Int64s], units: Int64s, *, rng: np.random.Generator) -> Records:
    """Records of these values in random order; `units` tells persons apart where the schema has a column for them.

    Values are granules; those of a column counted after another are counted so here, and missing where that one is missing.
    """
    ticks = {column.name: from_granules(column, granules[column.name]) for column in schema.modelled}
    for column, base in schema.following:
        start, offset = rebased(column, base, ticks[base.name]), ticks[column.name]
        absent = (start == MISSING) | (offset == MISSING)
        ticks[column.name] = np.where(absent, MISSING, np.where(absent, 0, start) + np.where(absent, 0, offset))
    order = rng.permutation(len(units))
    found = Records(schema=schema, ticks={name: column[order] for name, column in ticks.items()})
    if schema.unit is None:
        return found
    owners, codes = np.unique(units[order], return_inverse=True)
    names = tuple(f"unit {code}".encode() for code in range(len(owners)))
    return replace(found, units=rng.permutation(len(owners))[codes], unit_names=names)
