"""Conditionals: attributes drawn for rows whose other attributes are known already, from a view's distribution.

Must never see records other than those drawn from the distribution.

A chain meets combinations of evidence that the model thinks unlikely, and a mixture's classes then follow whatever evidence is
rarest: errors of one row are handed on to the next. Regressions on what matters to an attribute do not: they match the
model's table of it with each of the others, and change little where evidence is odd.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.generator import AbstractDistribution
from privsynth.histories.matching import Pool
from privsynth.histories.regressing import Regression

Ints = npt.NDArray[np.int64]

Singles = npt.NDArray[np.float32]

Aside: TypeAlias = tuple[Mapping[str, tuple[Ints, int]], Mapping[str, Singles]]
"""What follows from drawn records beside their attributes: name -> codes (records,) and number of levels; and how much room
the levels of some attributes had, (records, levels): their chances are in proportion to it where nothing else tells."""

Beside: TypeAlias = Callable[[Mapping[str, Ints], np.random.Generator], Aside]

_MOST_RECORDS, _FEWEST_RECORDS = 30_000, 2_000
"""Records that are drawn to fit regressions to: as many as there are units, within these."""

_SEED = 20_260_101
"""Regressions are a function of the distribution alone, so that they may be kept."""

_EVIDENCE = 14
"""Most attributes that one is regressed on."""

_LEVELS = 128
"""Of attributes of more levels, records are drawn or matched instead."""

_TOLD_APART = 64
"""Levels of evidence that are told apart: the most frequent ones, where there are more."""

_ENOUGH = 200
"""Drawn records, at least, for levels to be drawn within their room."""

_CHANCE, _SPARE = 1.5, 10.0
"""Two attributes of drawn records count as dependent from so many times, and so much more than, what chance gives their
likelihood ratio, which is as many as their table has degrees of freedom."""


@final
class ConditionalDraws:
    """One distribution, asked again and again for attributes of rows of which others are known.

    Args: `beside` makes further evidence of the drawn records, known of the rows as well when they are drawn. `begun` names an
        attribute of `beside` and the attribute that is only ever asked for where it is below its last level.
    """

    def __init__(
        self, distribution: AbstractDistribution, *, beside: Beside | None = None, begun: tuple[str, str] | None = None
    ) -> None:
        self._distribution, self._beside, self._begun = distribution, beside, begun
        self._columns: dict[str, Ints] = {}
        self._sizes: dict[str, int] = {}
        self._folds: dict[str, Ints] = {}
        self._rooms: Mapping[str, Singles] = {}
        self._pool: Pool | None = None
        self._chosen: dict[tuple[tuple[str, ...], str], tuple[str, ...]] = {}
        self._fitted: dict[tuple[tuple[str, ...], str, bool], Regression] = {}
        self._said: dict[tuple[str, str], float] = {}

    def draw(
        self, given: Mapping[str, Ints], wanted: Sequence[str], rows: int, rng: np.random.Generator
    ) -> dict[str, Ints]:
        """One draw of the wanted attributes for each row, each given the evidence and those before it. Shapes: (rows,)."""
        self._draw_records()
        known, found = dict(given), {}
        for name in wanted:
            used = self.evidence(tuple(known), name)
            if self._sizes[name] > _LEVELS:
                found[name] = self._looked_up({one: known[one] for one in used}, name, rows, rng)
            else:
                found[name] = self._regression(used, name).draw(
                    [self._fold(one)[known[one]] for one in used], rows, rng
                )
            known[name] = found[name]
        return found

    def tells(self, *names: str) -> bool:
        """Whether the drawn records say how levels of these attributes are drawn within the room that they have."""
        self._draw_records()
        return all(
            name in self._rooms and self._sizes[name] <= _LEVELS and len(self._with_room(name)) >= _ENOUGH
            for name in names
        )

    def draw_within(self, given: Mapping[str, Ints], name: str, room: Singles, rng: np.random.Generator) -> Ints:
        """One draw of an attribute that `tells` for each row, among the levels that have room.

        Shapes: `room` is (rows, levels), as `beside` has it of drawn records; some of each row is positive.
        """
        used = self.evidence(tuple(given), name)
        found = self._regression(used, name, within=True)
        return found.draw([self._fold(one)[given[one]] for one in used], len(room), rng, room)

    def _with_room(self, name: str) -> Ints:
        """The records whose level of an attribute has room."""
        codes = self._columns[name]
        return np.flatnonzero(self._rooms[name][np.arange(len(codes)), codes] > 0)

    def records(self, name: str) -> Ints:
        """An attribute of the drawn records that regressions are fitted to. Shapes: (records,)."""
        self._draw_records()
        return self._columns[name]

    def _looked_up(self, given: Mapping[str, Ints], name: str, rows: int, rng: np.random.Generator) -> Ints:
        """An attribute of many levels: drawn exactly by models that can, and else taken from a matching record."""
        inside = {one: codes for one, codes in given.items() if one in self._distribution.domain}
        direct = self._distribution.draw_each(inside, [name], rng) if inside else None
        if direct is not None:
            return direct[name]
        if self._pool is None:
            self._pool = Pool(self._columns)
        return self._columns[name][self._pool.match(given, rows, rng)]

    def _draw_records(self) -> None:
        """Draw the records, once."""
        if self._columns:
            return
        rng, domain = np.random.default_rng(_SEED), self._distribution.domain
        records = int(np.clip(self._distribution.total, _FEWEST_RECORDS, _MOST_RECORDS))
        drawn = self._distribution.draw(records, rng)
        self._columns = {name: drawn.column(name).astype(np.int64) for name in domain.attributes}
        self._sizes = dict(zip(domain.attributes, domain.sizes, strict=True))
        if self._beside is not None:
            more, self._rooms = self._beside(self._columns, rng)
            for name, (codes, size) in more.items():
                self._columns[name], self._sizes[name] = codes, size

    def _records_for(self, name: str) -> npt.NDArray[np.bool_] | slice:
        """The records that tell of an attribute."""
        if self._begun is None or name != self._begun[1]:
            return slice(None)
        return self._columns[self._begun[0]] < self._sizes[self._begun[0]] - 1

    def evidence(self, known: tuple[str, ...], name: str) -> tuple[str, ...]:
        """What an attribute depends on, of what is known, the strongest first."""
        self._draw_records()
        found = self._chosen.get((known, name))
        if found is None:
            strength = {one: self._strength(one, name) for one in known}
            found = tuple(
                sorted((one for one in known if strength[one] > 0), key=lambda one: -strength[one])[:_EVIDENCE]
            )
            self._chosen[known, name] = found
        return found

    def _strength(self, one: str, name: str) -> float:
        """The mutual information of two attributes in the drawn records, in nats a record; 0 where chance explains it."""
        if (one, name) not in self._said:
            rows = self._records_for(name)
            a, b = self._columns[one][rows], self._columns[name][rows]
            shape = (self._sizes[one], self._sizes[name])
            table = np.bincount(a * shape[1] + b, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
            alone = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / max(len(a), 1)
            inside = table > 0
            ratio = 2 * float((table[inside] * np.log(table[inside] / alone[inside])).sum())
            used = [max(0, int(np.count_nonzero(table.sum(axis=axis))) - 1) for axis in (0, 1)]
            by_chance = _CHANCE * used[0] * used[1] + _SPARE
            self._said[one, name] = 0.0 if ratio <= by_chance else ratio / (2 * max(len(a), 1))
        return self._said[one, name]

    def _fold(self, name: str) -> Ints:
        """The level of evidence that each level counts as. Shapes: (levels,)."""
        found = self._folds.get(name)
        if found is None:
            size = self._sizes[name]
            found = np.arange(size)
            if size > _TOLD_APART:
                often = np.argsort(-np.bincount(self._columns[name], minlength=size), kind="stable")
                found = np.full(size, _TOLD_APART - 1)
                found[often[: _TOLD_APART - 1]] = np.arange(_TOLD_APART - 1)
            self._folds[name] = found
        return found

    def _regression(self, used: tuple[str, ...], name: str, *, within: bool = False) -> Regression:
        found = self._fitted.get((used, name, within))
        if found is None:
            rows = self._with_room(name) if within else self._records_for(name)
            found = Regression.fit(
                [self._fold(one)[self._columns[one][rows]] for one in used],
                [int(self._fold(one).max()) + 1 for one in used],
                self._columns[name][rows],
                self._sizes[name],
                self._rooms[name][rows] if within else None,
            )
            self._fitted[used, name, within] = found
        return found
