"""Marginal ratio: do the tables that a generator learns from show, in the release, who was counted?

Must never fit anything but which tables to look at, and that to the release alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import ClassVar, Literal, TypeAlias, final

import numpy as np
from pydantic import Field

from privsynth import progress
from privsynth.attack import Floats, Outcome, Tier, View
from privsynth.encoding import encode_public
from privsynth.measurement import Measurement, measurements
from privsynth.membership import (
    AbstractTopShare,
    Classes,
    Int64s,
    Table,
    log_likelihood_ratio,
    measured_cells,
    measured_rows,
)

Axes: TypeAlias = tuple[int, ...]

_COUNTED = 1 << 26
"""Codes that are read to learn a structure: of many columns, fewer rows are looked at."""


@final
class MarginalRatio(AbstractTopShare):
    """The attacker calls the targets members with whom in the training data the release's tables are likeliest.

    Where the noisy answers are public, the tables are those that were measured. Elsewhere they are all single columns and
    pairs, with ordered columns cut into `bins` classes; or, with `structure` "tree", the pairs that join all columns with
    the largest mutual information in the release: what a generator of the mst kind would have measured. Where there are
    more than `tables`, that many at random. `noise` is the standard deviation that tables are taken to have beyond the
    drawing of records.
    Source: Golob, Pentyala, Maratkhan, De Cock 2024 (MAMA-MIA); Andrey, Le Bars, Tommasi 2025 (TAMIS): no shadow models.
    """

    name: ClassVar[str] = "marginal_ratio"
    threat: ClassVar[str] = "that tables which the generator keeps give away who is in the training data"
    tier: ClassVar[Tier] = "algorithm"

    structure: Literal["tree", "pairs"] = "pairs"
    bins: int = Field(default=20, ge=2, le=1000)
    tables: int = Field(default=400, ge=1, le=10_000)
    noise: float = Field(default=2.0, gt=0)

    def attack(self, view: View, *, rng: np.random.Generator) -> tuple[Outcome, ...]:
        """Weigh every target's cells in the tables of the release."""
        found = measurements(view.transcript or ())
        rows = measured_rows(found) if found else float(view.synthetic.rows)
        cells = self._measured(view, found, rng) if found else self._learned(view, rng)
        score = log_likelihood_ratio(
            [self._table(each, view.synthetic.rows, rows) for each in cells],
            rows=rows,
            spread=1 + rows / view.targets.rows + rows / view.synthetic.rows,
            report=lambda done, total: progress.report("audit: marginal ratio", done, total),
        )
        return self.called("marginal ratio", score)

    def _table(self, cells: Int64s, released: int, rows: float) -> Table:
        """The table in which released records and targets have these cells, as counts of `rows` records."""
        counts, mine = np.bincount(cells[:released], minlength=int(cells.max()) + 1), cells[released:]
        return Table(cell=mine, count=counts[mine].astype(np.float64) * (rows / released), variance=self.noise**2)

    def _measured(self, view: View, found: Sequence[Measurement], rng: np.random.Generator) -> list[Int64s]:
        both = encode_public(view.synthetic), encode_public(view.targets)
        chosen = np.sort(rng.permutation(len(found))[: self.tables])
        return [np.concatenate([measured_cells(found[number], one) for one in both]) for number in chosen]

    def _learned(self, view: View, rng: np.random.Generator) -> list[Int64s]:
        classes = Classes.of(view.synthetic, view.targets, self.bins, ranks=view.synthetic)
        columns = range(len(classes.columns))
        pairs: Sequence[Axes] = list(itertools.combinations(columns, 2))
        if self.structure == "tree":
            pairs = _spanning_tree(classes, pairs, rng)
        wanted = [*((column,) for column in columns), *pairs]
        return [classes.cells(wanted[number]) for number in np.sort(rng.permutation(len(wanted))[: self.tables])]


def _spanning_tree(classes: Classes, pairs: Sequence[Axes], rng: np.random.Generator) -> list[Axes]:
    """The pairs of columns that join all of them with the largest sum of mutual information in the release."""
    rows = min(classes.released, max(1000, _COUNTED // max(1, len(pairs))))
    sample = rng.permutation(classes.released)[:rows]
    columns = tuple(column[sample] for column in classes.columns)
    drawn = Classes(columns=columns, released=rows)
    alone = [_entropy(column) for column in columns]
    gain = [alone[one] + alone[other] - _entropy(drawn.cells((one, other))) for one, other in pairs]
    tree_of, chosen = list(range(len(columns))), []
    for number in np.argsort(gain, kind="stable")[::-1]:
        one, other = (tree_of[axis] for axis in pairs[number])
        if one != other:
            chosen.append(pairs[number])
            tree_of = [one if tree == other else tree for tree in tree_of]
    return chosen


def _entropy(cells: Int64s) -> float:
    """In nats, of the shares of equal cells; the bias of few rows in many cells is taken off (Miller 1955)."""
    counts = np.bincount(cells)
    counts = counts[counts > 0]
    share: Floats = counts / len(cells)
    return float(-(share * np.log(share)).sum() + (len(counts) - 1) / (2 * len(cells)))


ATTACK = MarginalRatio
