"""Drawing from a debiased table: whole rows of the model, so many of each cell, after business rules were repaired.

Must never touch a record: the table and the rows come from a model.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth import rules
from privsynth.dataset import Dataset
from privsynth.debiasing.tables import Debiased
from privsynth.encoding import decode, encode_public, evidence
from privsynth.errors import FitError
from privsynth.generator import AbstractDistribution
from privsynth.rebalancing import Rebalance, draw_rebalanced, rebalanced_column
from privsynth.records import Records
from privsynth.schema import Schema

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_POOLS, _WIDTH = 3, 4
"""Rounds in which rows are drawn as the model has them, the later ones of so many rows for each that still lacks."""

_TRIES = 6
"""Rounds in which rows are drawn for each cell that lacks some, where the model has a direct way to."""

_ROUNDS, _SPARE = 3, 8
"""Where it has none: rounds in which rows are drawn of a group and outcome, then of a cell; rows beyond those that lack."""

_UNFILLED = 0.005
"""Share of the rows, at most, that are taken from another outcome because rules left no row of the right one."""


def draw_debiased(
    schema: Schema,
    distribution: AbstractDistribution,
    plan: Debiased,
    n: int,
    *,
    rng: np.random.Generator,
    given: Mapping[str, object] | None = None,
    rebalance: Rebalance | None = None,
) -> tuple[Records, dict[str, int]]:
    """n records in random order that obey every business rule, the cells of `plan.after` to within a row.

    Rows are drawn from the model, repaired, and only then chosen, so that no repair brings the dependence back.
    Returns: the records; and for every rule, by its text, in how many of the rows drawn it was broken, with a line of its own
        for rows that have another outcome than the table asks for, because the rules left none.
    Raises: FitError when these are more than one in 200.
    """
    chooser = _Chooser(plan, _whole_rows(plan.after.ravel(), n, rng))
    broken: dict[str, int] = {}
    keep = (*(given or ()), *(() if rebalance is None else (rebalanced_column(rebalance),)))
    for turn in range(_POOLS):
        lacking = chooser.lacking
        if lacking:
            rows = n if turn == 0 else min(n, _WIDTH * lacking)
            codes = _pool(schema, distribution, rows, rng, given or {}, rebalance)
            chooser.choose(_repaired(schema, codes, rng, given, keep, broken, given))
    kept = {*keep, *plan.debias.columns}
    direct = set(given or ()) <= set(plan.debias.columns)
    for _ in range(_TRIES if direct else 0):
        drawn = _each(distribution, plan, chooser.wanted, rng)
        if drawn is None:
            direct = False
            break
        chooser.choose(_repaired(schema, drawn, rng, None, kept, broken, given))
    if not direct:
        _fill_by_evidence(schema, distribution, chooser, n, rng, given, keep, broken)
    unfilled = chooser.lacking
    if unfilled > max(1.0, _UNFILLED * n):
        raise FitError(
            f'debias: the business rules leave no row with some of "{plan.debias.outcome}" for some groups of '
            f"{', '.join(plan.debias.protected)}; declare what rules it out as legitimate, or drop the rule"
        )
    if unfilled:
        chooser.fill(rng)
        broken[f"{plan.debias.outcome} independent of {', '.join(plan.debias.protected)}"] = unfilled
    return chooser.chosen(rng), broken


def _each(distribution: AbstractDistribution, plan: Debiased, wanted: Ints, rng: np.random.Generator) -> Dataset | None:
    """Rows for every cell that lacks some, twice as many and more: drawn row by row, where the model has a direct way to."""
    cells = np.repeat(np.arange(wanted.size), np.where(wanted > 0, 2 * wanted + 1, 0))
    others = [name for name in distribution.domain.attributes if name not in plan.debias.columns]
    if not cells.size or not others:
        return None
    codes = plan.rows(rng.permutation(cells), rng)
    found = distribution.draw_each(codes, others, rng)
    return None if found is None else Dataset.from_columns({**codes, **found}, distribution.domain)


def _fill_by_evidence(
    schema: Schema,
    distribution: AbstractDistribution,
    chooser: _Chooser,
    n: int,
    rng: np.random.Generator,
    given: Mapping[str, object] | None,
    keep: Collection[str],
    broken: dict[str, int],
) -> None:
    """Draw what lacks under conditions: group and outcome by group and outcome first, then cell by cell."""
    allowed, debias = evidence(schema, given) if given else {}, chooser.plan.debias
    for within in ((*debias.protected, debias.outcome), debias.columns):
        for _ in range(_ROUNDS):
            for cut, rows in chooser.lacking_by(within):
                try:
                    codes = distribution.draw(min(_WIDTH * rows + _SPARE, n + _SPARE), rng, _cut(cut, allowed))
                    chooser.choose(_repaired(schema, codes, rng, given, {*keep, *within}, broken, given))
                except FitError:  # neither the model nor the rules have such a row: it is counted as not filled
                    continue


def _whole_rows(shares: Floats, n: int, rng: np.random.Generator) -> Ints:
    """How many rows each cell gets: n times its share, up or down, n together, each without bias (systematic sampling)."""
    ends = np.floor(np.cumsum(shares) / shares.sum() * n + rng.random()).astype(np.int64)
    ends[-1] = n
    return np.asarray(np.diff(np.minimum(ends, n), prepend=0), dtype=np.int64)


def _pool(
    schema: Schema,
    distribution: AbstractDistribution,
    rows: int,
    rng: np.random.Generator,
    given: Mapping[str, object],
    rebalance: Rebalance | None,
) -> Dataset:
    if rebalance is not None:
        return draw_rebalanced(schema, distribution, rows, rng, rebalance, given)
    return distribution.draw(rows, rng, evidence(schema, given) if given else None)


def _repaired(
    schema: Schema,
    codes: Dataset,
    rng: np.random.Generator,
    drawn_under: Mapping[str, object] | None,
    keep: Collection[str],
    broken: dict[str, int],
    given: Mapping[str, object] | None,
) -> Records:
    """Rows that obey the rules and the conditions, which the codes were drawn under or not."""
    found, counts = rules.repair(
        schema, decode(codes, schema, rng=rng, given=drawn_under), rng=rng, keep=keep, asked=given or ()
    )
    for text, count in counts.items():
        broken[text] = broken.get(text, 0) + count
    return found if not given else found.take(rules.meets(schema, found, given))


def _cut(levels: Mapping[str, Ints], allowed: Mapping[str, Ints]) -> dict[str, Ints]:
    """Evidence that is both of a cell and allowed by the conditions."""
    both = {name: np.intersect1d(codes, allowed[name]) if name in allowed else codes for name, codes in levels.items()}
    return {**allowed, **both}


@final
class _Chooser:
    """Takes rows as long as their cells lack some. Shapes: `wanted` is (cells,), what still lacks."""

    def __init__(self, plan: Debiased, wanted: Ints) -> None:
        self.plan, self.wanted = plan, wanted.copy()
        self._taken: list[Records] = []
        self._spare: Records | None = None

    @property
    def lacking(self) -> int:
        """Rows that are still wanted."""
        return int(self.wanted.sum())

    def lacking_by(self, names: Collection[str]) -> list[tuple[dict[str, Ints], int]]:
        """Levels of these columns under which rows still lack, and how many; the most first."""
        wanted: dict[tuple[tuple[int, ...], ...], tuple[dict[str, Ints], int]] = {}
        for cell in np.flatnonzero(self.wanted).tolist():
            levels = {name: codes for name, codes in self.plan.levels(cell).items() if name in names}
            key = tuple(tuple(codes.tolist()) for codes in levels.values())
            wanted[key] = levels, wanted.get(key, (levels, 0))[1] + int(self.wanted[cell])
        return sorted(wanted.values(), key=lambda one: -one[1])

    def choose(self, found: Records) -> None:
        """Take what is wanted of these rows, which are in random order."""
        if not found.rows:
            return
        cells = self._cells(found)
        order = np.argsort(cells, kind="stable")
        ordered = cells[order]
        rank = np.arange(found.rows) - np.searchsorted(ordered, ordered, side="left")
        taken = rank < self.wanted[ordered]
        self.wanted -= np.bincount(ordered[taken], minlength=self.wanted.size)
        self._taken.append(found.take(order[taken]))
        if self._spare is None or not self._spare.rows:
            self._spare = found.take(order[~taken])

    def fill(self, rng: np.random.Generator) -> None:
        """Give what still lacks to rows of the same group and stratum, or else to any."""
        outcomes = self.plan.after.shape[2]
        pool = self._spare if self._spare is not None and self._spare.rows else self._taken[0]
        places = self._cells(pool) // outcomes
        for cell in np.flatnonzero(self.wanted).tolist():
            alike = np.flatnonzero(places == cell // outcomes)
            lent = rng.choice(alike if alike.size else pool.rows, size=int(self.wanted[cell]))
            self._taken.append(pool.take(lent))
        self.wanted[:] = 0

    def chosen(self, rng: np.random.Generator) -> Records:
        """All rows that were taken, in random order."""
        first = self._taken[0]
        ticks = {name: np.concatenate([part.ticks[name] for part in self._taken]) for name in first.ticks}
        return first.with_ticks(ticks).take(rng.permutation(len(next(iter(ticks.values())))))

    def _cells(self, found: Records) -> Ints:
        data = encode_public(found)
        return self.plan.cells({name: data.column(name).astype(np.int64) for name in self.plan.debias.columns})
