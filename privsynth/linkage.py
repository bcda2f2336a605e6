"""Linking records that describe the same person, after Fellegi and Sunter: how much each agreement counts, and the best link.

Must never be told which links are right: what it knows of agreement among true links it learns from the two files alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.proximity import is_nominal
from privsynth.records import MISSING, Records

Floats: TypeAlias = npt.NDArray[np.float64]
Int64s: TypeAlias = npt.NDArray[np.int64]

_DISAGREE, _CLOSE, _AGREE, _UNKNOWN = range(4)
_FIRST_GUESS = (0.05, 0.05, 0.90)
"""How often true links disagree, are close and agree, before anything is learnt; counted as `_FIRST_LINKS` links."""
_FIRST_LINKS = 10.0
_FIRST_LINKED = 0.5
_LEAST_LINKED = 0.001
_ROUNDS = 20
_PEOPLE = 500
"""People from whom agreement among true links is learnt."""
_CANDIDATES = 50
"""Released records among which each of them may have a true link."""
_NOTHING = 1e-30
_PACKED = 1024
"""Most combinations of values of columns that are looked up together."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Links:
    """The best link of each person. Shapes: (people,).

    Args: `row` is a row of the release, drawn among those that are equally good; `log_odds` is the logarithm of the odds that
        it is the person's own record, rather than another released record or none.
    """

    row: Int64s
    log_odds: Floats


@final
class _Field:
    """One column that both files have.

    `values` are the release's values and `kinds[r]` the place of record r's; `cases[t]` is the place of person t's value
    among the distinct values of the persons' file, and `at`, `low`, `high`, `chance` are by such a place: which released value
    is equal (-1: none), which are close, and how often released records disagree, are close, or agree by chance.
    """

    def __init__(self, released: Records, persons: Records, name: str, close: float) -> None:
        self.values, self.kinds, counts = _distinct(released.ticks[name])
        known, self.cases, _ = _distinct(persons.ticks[name])
        self.gap = known == MISSING
        self.first = int(self.values[0] == MISSING)
        counts[: self.first] = 0
        place = np.searchsorted(self.values, known)
        found = np.append(self.values, MISSING)[place] == known
        self.at = np.where(found & ~self.gap, place, -1)
        self.low, self.high = place, place + found
        if not is_nominal(released, name):
            self._widen(counts, place, found, close)
        below = np.concatenate([[0], np.cumsum(counts)])
        present = max(1, int(below[-1]))
        agree = np.where(self.at >= 0, counts[self.at], 0)
        near = below[self.high] - below[self.low] - agree
        self.chance = (np.stack([present - agree - near, near, agree], axis=1) + 0.5) / (present + 1.5)

    def _widen(self, counts: Int64s, place: Int64s, found: npt.NDArray[np.bool_], close: float) -> None:
        """Call the two neighbouring values close, and those within a share `close` of all released ranks."""
        ends = np.cumsum(counts)
        middle = ends - counts / 2
        mine = np.where(found, np.append(middle, 0)[place], np.append(0, ends)[place])
        reach = close * ends[-1]
        self.low = np.minimum(np.searchsorted(middle, mine - reach), place - 1).clip(self.first)
        self.high = np.maximum(np.searchsorted(middle, mine + reach, side="right"), place + found + 1)
        self.high = np.maximum(self.low, self.high.clip(max=len(self.values)))

    def weights(self, agreement: Floats) -> Floats:
        """What disagreeing, being close, agreeing and not knowing add to the log-likelihood ratio. Shapes: (cases, 4).

        Disagreeing never speaks for a link, and being close never more than agreeing.
        """
        disagree, close, agree = (np.log(agreement) - np.log(self.chance)).T
        close = np.minimum(close, agree)
        disagree = np.minimum(disagree, close.clip(max=0.0))
        weights = np.stack([disagree, close, agree, np.zeros(len(agree))], axis=1)
        weights[self.gap] = 0.0
        return weights

    def levels(self, people: Int64s, kinds: Int64s) -> Int64s:
        """How people and records agree. Shapes: people (p,), kinds and result (p, records)."""
        case = self.cases[people][:, None]
        level = np.where((kinds >= self.low[case]) & (kinds < self.high[case]), _CLOSE, _DISAGREE)
        level[kinds == self.at[case]] = _AGREE
        level[(kinds < self.first) | self.gap[case]] = _UNKNOWN
        return level

    def row(self, weights: Floats, case: int) -> npt.NDArray[np.float32]:
        """The weight of each released value, for a person with this value."""
        row = np.full(len(self.values), weights[case, _DISAGREE], dtype=np.float32)
        row[self.low[case] : self.high[case]] = weights[case, _CLOSE]
        if self.at[case] >= 0:
            row[self.at[case]] = weights[case, _AGREE]
        row[: self.first] = weights[case, _UNKNOWN]
        return row


@final
class _Pack:
    """Columns whose combinations of released values are few, looked up together; `kinds[g]` is pattern g's combination."""

    def __init__(self, fields: list[int], kinds: Int64s, columns: Sequence[Int64s]) -> None:
        first = np.unique(kinds, return_index=True)[1]
        self.fields, self.kinds, self.inner = fields, kinds, [columns[field][first] for field in fields]

    @classmethod
    def all_of(cls, columns: Sequence[Int64s]) -> list[_Pack]:
        """Pack columns in their order. Shapes: each of `columns` is (patterns,), whole numbers from 0."""
        packs: list[_Pack] = []
        fields, kinds = [0], columns[0]
        for place, column in enumerate(columns[1:], start=1):
            joined = _joined(kinds, column)
            if int(joined.max()) < _PACKED:
                fields, kinds = [*fields, place], joined
            else:
                packs.append(cls(fields, kinds, columns))
                fields, kinds = [place], column
        return [*packs, cls(fields, kinds, columns)]


@final
class Linkage:
    """Two files made ready for linking: a release, and what an intruder knows of some people.

    Agreeing on a value counts the more the rarer the value is in the release. How often true links agree in each column is
    estimated by expectation maximisation over the best candidates of some of the people, each of whom has one true link or
    none. Where either file lacks a value nothing is added. Columns count as if they were independent of each other.
    Source: Fellegi, Sunter 1969; Winkler 2000 (frequency-based weights, EM); Sadinle 2017 (one link or none).
    """

    def __init__(self, released: Records, persons: Records, names: Sequence[str], close: float) -> None:
        self._rows, self._people = released.rows, persons.rows
        self._fields = [_Field(released, persons, name, close) for name in names]
        pattern = np.zeros(released.rows, dtype=np.int64)
        for field in self._fields:
            pattern = _joined(pattern, field.kinds)
        _, first, self._pattern, counts = np.unique(pattern, return_index=True, return_inverse=True, return_counts=True)
        self._counts = counts.astype(np.float32)
        self._kinds = [field.kinds[first] for field in self._fields]
        self._packs = _Pack.all_of(self._kinds)
        self._agreement = [np.array(_FIRST_GUESS) for _ in self._fields]
        self._linked = _FIRST_LINKED

    def learn(self, *, rng: np.random.Generator) -> None:
        """Estimate how often true links agree in each column, and how many people have one."""
        people = rng.permutation(self._people)[:_PEOPLE]
        score = self._scorer()
        most = min(_CANDIDATES, len(self._counts))
        candidates = np.stack([np.argpartition(-score(int(person)), most - 1)[:most] for person in people])
        levels = [
            field.levels(people, kinds[candidates]) for field, kinds in zip(self._fields, self._kinds, strict=True)
        ]
        for _ in range(_ROUNDS):
            ratio = np.log(self._counts[candidates].astype(np.float64))
            for field, level, agreement in zip(self._fields, levels, self._agreement, strict=True):
                ratio += field.weights(agreement)[field.cases[people][:, None], level]
            ratio -= self._log_against()
            highest = ratio.max(axis=1, keepdims=True).clip(min=0.0)
            true = np.exp(ratio - highest)
            true /= np.exp(-highest) + true.sum(axis=1, keepdims=True)
            self._linked = float(np.clip(true.sum() / len(people), _LEAST_LINKED, 1 - _LEAST_LINKED))
            self._agreement = [_agreement(level, true) for level in levels]

    def best(self, *, rng: np.random.Generator, told: Callable[[int], None]) -> Links:
        """Link every person to the release; `told` is called with the percentage that is done."""
        score = self._scorer()
        pattern = np.empty(self._people, dtype=np.int64)
        odds = np.empty(self._people)
        luck = rng.permutation(len(self._counts))
        against = self._log_against()
        for person in range(self._people):
            if person % 500 == 0:
                told(100 * person // self._people)
            total = score(person)
            highest = float(total.max())
            equal = np.flatnonzero(total == highest)
            best = pattern[person] = equal[np.argmin(luck[equal])]
            others = self._counts * np.exp(total - highest)
            others[best] -= 1
            odds[person] = -np.logaddexp(np.log(max(float(others.sum()), _NOTHING)), against - highest)
        return Links(row=self._one_row(pattern, rng), log_odds=odds)

    def _one_row(self, pattern: Int64s, rng: np.random.Generator) -> Int64s:
        """For each pattern asked for, one of its released rows."""
        order = np.argsort(self._pattern, kind="stable")
        sizes = np.bincount(self._pattern)
        start = np.cumsum(sizes) - sizes
        return np.asarray(order[start[pattern] + rng.integers(sizes[pattern])])

    def _log_against(self) -> float:
        """Logarithm of the odds of having no link, shared out over all released rows."""
        return float(np.log(self._rows) + np.log1p(-self._linked) - np.log(self._linked))

    def _scorer(self) -> Callable[[int], npt.NDArray[np.float32]]:
        """A function from a person to the log-likelihood ratio of each pattern, in an array that the next call overwrites."""
        weights = [field.weights(agreement) for field, agreement in zip(self._fields, self._agreement, strict=True)]
        total, part = np.empty((2, len(self._counts)), dtype=np.float32)

        def score(person: int) -> npt.NDArray[np.float32]:
            total[:] = 0
            for pack in self._packs:
                table = np.zeros(len(pack.inner[0]), dtype=np.float32)
                for place, inner in zip(pack.fields, pack.inner, strict=True):
                    field = self._fields[place]
                    table += field.row(weights[place], int(field.cases[person]))[inner]
                np.take(table, pack.kinds, out=part, mode="clip")
                np.add(total, part, out=total)
            return total

        return score


def _agreement(level: Int64s, true: Floats) -> Floats:
    """How often true links disagree, are close and agree; `true` is the probability of each pair to be one."""
    seen = np.bincount(level.ravel(), weights=true.ravel(), minlength=4)[:_UNKNOWN]
    links = seen + _FIRST_LINKS * np.array(_FIRST_GUESS)
    return np.asarray(links / links.sum())


def _distinct(ticks: Int64s) -> tuple[Int64s, Int64s, Int64s]:
    """Distinct values, the place of each tick among them, and their counts."""
    return np.unique(ticks, return_inverse=True, return_counts=True)


def _joined(keys: Int64s, column: Int64s) -> Int64s:
    """Number the combinations of two codes."""
    return np.asarray(np.unique(keys * (int(column.max()) + 1) + column, return_inverse=True)[1])
