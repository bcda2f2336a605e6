"""One made-up person who holds values that nobody else has, and how much of them a release gives away.

Must never be put among real records: tables are made up from a schema, and what was drawn for the person is known to the audit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np
import numpy.typing as npt

from privsynth.encoding import offsets
from privsynth.records import Records
from privsynth.schema import Schema
from privsynth.schema.columns import LabelledColumn, ModelledColumn
from privsynth.schema.levels import levels
from privsynth.schema.ticks import MISSING, from_granules, rebased

Int64s = npt.NDArray[np.int64]

_BETS: Final = (0.3, 0.6, 0.9, 0.99)
"""Chances of a right guess that the evidence bets on, in equal parts."""
_WINDOWS: Final = (0.0, 0.001, 0.02, 0.15)
"""How near to the largest released value a number is guessed to lie: half-widths, as shares of the range."""
_POOL: Final = 30
"""Ordinary rows share so many values at most: a column without repetitions looks like a key, and may be numbered anew."""
_USUAL: Final = 0.1
"""Least chance that nothing is planted in a column: else a generator that shows nothing unusual would tell as much."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """What is planted in one column: nothing, or one of `reserved`, each with the same chance, and nothing with 1/10 at least.

    `usual` holds what everybody else shows; both are granules. Where both are ranges they are numbers, and the reserved ones
    lie beyond all usual ones, above or below. `held` is what the person holds, None for a usual value.
    """

    name: str
    usual: Sequence[int]
    reserved: Sequence[int]
    held: int | None

    @property
    def nothing(self) -> float:
        """The chance that nothing is planted."""
        return max(_USUAL, 1 / (1 + len(self.reserved)))

    def bets(self, released: Int64s) -> list[tuple[float, bool]]:
        """Guesses at what is planted, from a release alone: each with its chance to be right by luck, and whether it is.

        Labels, and missing values: those reserved ones that the release shows. Numbers: near the most extreme one of the
        release, where that is among the reserved ones. Where nothing of the kind is released: nothing was planted.
        """
        nothing = [(self.nothing, self.held is None)]
        if not isinstance(self.reserved, range):
            shown = np.unique(released[np.isin(released, np.array(self.reserved))])
            share = (1 - self.nothing) * shown.size / len(self.reserved)
            return [(share, self.held is not None and self.held in shown)] if shown.size else nothing
        present = released[released != MISSING]
        beyond = self.reserved[0] > self.usual[0]
        extreme = int(present.max() if beyond else present.min()) if present.size else self.usual[0]
        if extreme not in self.reserved:
            return nothing
        bets = []
        for share in _WINDOWS:
            reach = math.floor(share * len(self.reserved))
            near = min(extreme + reach, self.reserved[-1]) - max(extreme - reach, self.reserved[0]) + 1
            right = self.held is not None and abs(self.held - extreme) <= reach
            bets.append(((1 - self.nothing) * near / len(self.reserved), right))
        return bets

    def best(self) -> list[tuple[float, bool]]:
        """The bets on a release that gives away what is planted, and nothing else."""
        return self.bets(np.array([self.usual[0] if self.held is None else self.held]))


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LonePerson:
    """A made-up table with one person in it who holds what was planted."""

    table: Records
    plants: tuple[Plant, ...]

    @classmethod
    def among(cls, schema: Schema, rows: int, *, max_rows: int, rng: np.random.Generator) -> LonePerson:
        """A table of `rows` ordinary rows, and a person of `max_rows` rows, all alike, who holds what nobody else does.

        Columns that are counted after another, and those with a single value, carry nothing.
        """
        after = {column.name for column, _ in schema.following}
        plants = [_plant(column, rng) for column in schema.modelled if column.name not in after]
        values = {plant.name: rng.choice(_drawn(plant.usual, _POOL, rng), rows + max_rows) for plant in plants}
        for plant in plants:
            values[plant.name][rows:] = values[plant.name][-1] if plant.held is None else plant.held
        for column, _ in schema.following:
            layout = levels(column)
            values[column.name] = rng.integers(layout.lower, layout.upper, rows + max_rows, endpoint=True)
            values[column.name][rows:] = values[column.name][-1]
        units = np.append(np.arange(rows) // max_rows, np.full(max_rows, -1))
        table = made_up(schema, values, units, rng=rng)
        return cls(table=table, plants=tuple(plant for plant in plants if plant.reserved))

    def evidence(self, released: Records) -> float:
        """Evidence that a release knows the person: its mean is at most 1 for a release that was made without them.

        Given such a release, what is planted is still as it was drawn, column by column: a guess is right by luck, and
        h / p for a right guess and (1 - h) / (1 - p) for a wrong one has mean 1. It is multiplied over columns, and averaged
        over h. Source: Shafer 2021 (testing by betting).
        """
        granules = offsets(released.schema, released.ticks)
        return _evidence([plant.bets(granules[plant.name]) for plant in self.plants])

    def most_evidence(self) -> float:
        """The evidence of a release that gives away all that is planted."""
        return _evidence([plant.best() for plant in self.plants])


def refutation(evidence: float, *, epsilon: float, delta: float) -> float:
    """P-value of evidence on a person who was in the table, where the release keeps (epsilon, delta)-DP.

    Proof: without the person, evidence of t or more has a chance of at most 1/t (Markov); with them, of e^epsilon / t + delta.
    """
    return min(1.0, math.exp(min(700.0, epsilon - math.log(max(evidence, 1e-300)))) + delta)


def _evidence(columns: Sequence[Sequence[tuple[float, bool]]]) -> float:
    total = 0.0
    for bet in _BETS:
        product = 1.0
        for guesses in columns:
            parts = [1.0 if p >= bet else bet / p if right else (1 - bet) / (1 - p) for p, right in guesses]
            product = min(1e300, product * sum(parts) / len(parts))
        total += product / len(_BETS)
    return total


def _plant(column: ModelledColumn, rng: np.random.Generator) -> Plant:
    """Draw what is planted in a column: a label, a missing value, or a number far from everybody else's."""
    layout = levels(column)
    first, last = layout.lower, layout.upper
    usual: Sequence[int]
    reserved: Sequence[int]
    if isinstance(column, LabelledColumn):
        shuffled = (first + rng.permutation(last - first + 1)).tolist()
        half = (len(shuffled) + 1) // 2
        usual, reserved = shuffled[:half], shuffled[half:] + [MISSING] * layout.missing
    elif layout.missing and (first == last or rng.random() < 0.5):
        usual, reserved = range(first, last + 1), [MISSING]
    else:
        quarter, middle = (last - first) // 4, (last - first + 2) // 2
        usual, reserved = range(first, first + quarter + 1), range(first + middle, last + 1)
        if rng.random() < 0.5:
            usual, reserved = range(last - quarter, last + 1), range(first, last - middle + 1)
    plant = Plant(name=column.name, usual=usual, reserved=reserved, held=None)
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
