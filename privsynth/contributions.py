"""How likely measured tables are if a unit was counted with all its rows: the likelihood ratio of whole histories.

Must never learn anything from the targets but what does not depend on who is a member: they are always taken together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.attack import Floats
from privsynth.dataset import Dataset
from privsynth.measurement import Measurement
from privsynth.membership import measured_cells

Int64s: TypeAlias = npt.NDArray[np.int64]

_BLOCK = 2000
"""Targets weighed at a time, against what their tables' cells have to do with each other."""
_CELLS = 4096
"""Cells of a table that are weighed at a time."""
_SHRUNK = 0.3
"""Share of the variance between people that is taken to be independent from cell to cell, because few people show the rest."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contributions:
    """What the targets' rows add to one measured table, and what was measured there.

    Shapes: `unit`, `cell` and `weight` are (pairs of a target and a cell that it adds to,), sorted by unit; `count` and `mean`,
    the noisy count and what a target adds on average, are (cells that any target adds to,). `total` is the sum of all cells
    of the noisy table, `variance` that of one cell's noise, `cells` their number.
    """

    unit: Int64s
    cell: Int64s
    weight: Floats
    count: Floats
    mean: Floats
    total: float
    variance: float
    cells: int

    @classmethod
    def of(cls, found: Measurement, rows: Dataset, targets: int) -> Contributions:
        """Add up each target's rows. `rows.units` are targets; rows without weights count as one."""
        unit = np.arange(rows.rows) if rows.units is None else rows.units
        weight = np.ones(rows.rows) if rows.weights is None else rows.weights.astype(np.float64)
        known, cell = np.unique(measured_cells(found, rows), return_inverse=True)
        size = max(1, len(known))
        pairs, which = np.unique(unit * size + cell, return_inverse=True)
        added = np.bincount(which, weights=weight, minlength=len(pairs)).astype(np.float64)
        return cls(
            unit=pairs // size,
            cell=pairs % size,
            weight=added,
            count=found.values.reshape(-1)[known].astype(np.float64),
            mean=np.bincount(pairs % size, weights=added, minlength=len(known)) / targets,
            total=float(found.values.sum()),
            variance=float(found.variance),
            cells=found.values.size,
        )

    def between(self, targets: int) -> Floats:
        """How much targets differ in what they add to each cell, as a variance. Shapes: (cells,)."""
        squares = np.bincount(self.cell, weights=self.weight**2, minlength=len(self.mean)) / targets
        return np.maximum(0.0, squares - self.mean**2)

    def block(self, start: int, stop: int, cells: slice) -> npt.NDArray[np.float32]:
        """What each of these targets adds beyond the average to some of the cells. Shapes: (stop - start, cells asked for)."""
        low, high = np.searchsorted(self.unit, [start, stop])
        unit, cell, weight = self.unit[low:high], self.cell[low:high], self.weight[low:high]
        here = (cell >= cells.start) & (cell < cells.stop)
        mean = self.mean[cells].astype(np.float32)
        found = np.tile(-mean, (stop - start, 1))
        found[unit[here] - start, cell[here] - cells.start] += weight[here].astype(np.float32)
        return found


def measured_units(tables: Sequence[Contributions]) -> float:
    """How many units were measured: the noisy totals over what a target adds on average; at least one."""
    shares = np.array([table.mean.sum() for table in tables])
    totals = np.array([table.total for table in tables])
    precision = np.array([1 / (table.cells * table.variance) for table in tables])
    return max(1.0, float((precision * shares * totals).sum() / max(1e-12, float((precision * shares**2).sum()))))


def history_likelihood_ratio(
    tables: Sequence[Contributions], *, targets: int, report: Callable[[int, int], None]
) -> Floats:
    """How much likelier the noisy tables are, for each target, if its rows are among those counted than if they are not.

    Counts are taken for normal, with the mean that the other targets' rows give, and vary because other people might have been
    drawn, in all cells and tables at once, and because of noise. What a target adds to them is a vector over all cells
    of all tables, of which the ratio is the best linear test. The covariance between people is that of the targets, a
    block at a time, shrunk towards independent cells; the target itself is left out of it.
    Shapes: (targets,).
    Source: Neyman, Pearson 1933; Homer et al. 2008; Ledoit, Wolf 2004 for the shrinkage.
    """
    units = measured_units(tables)
    spread = units * (1 + units / targets)
    score = np.empty(targets)
    for start in range(0, targets, _BLOCK):
        stop = min(targets, start + _BLOCK)
        joint = np.zeros((stop - start, stop - start), dtype=np.float32)
        towards = np.zeros(stop - start)
        for number, table in enumerate(tables):
            report(100 * number // len(tables), 100)
            noise: Floats = np.sqrt(table.variance + _SHRUNK * spread * table.between(targets))
            surplus = (table.count - units * table.mean) / noise
            for first in range(0, len(noise), _CELLS):
                cells = slice(first, first + _CELLS)
                scaled = np.asarray(table.block(start, stop, cells) / noise[cells], dtype=np.float32)
                joint += scaled @ scaled.T
                towards += scaled @ surplus[cells]
        score[start:stop] = _left_out(joint, towards, (1 - _SHRUNK) * spread, units / max(1, targets - 1))
    return score


def _left_out(joint: npt.NDArray[np.float32], towards: Floats, between: float, own: float) -> Floats:
    """The ratio of each target, with the covariance of the others. Shapes: (block, block) and (block,).

    With V what the targets add, scaled by the noise, the covariance is I + f V'V, f = `between` / block. V times its inverse is
    (I + f VV')^-1 V; leaving out a target divides by its diagonal (Sherman, Morrison 1950). `own` is the part of the mean that
    came from the target itself.
    """
    share = between / len(towards)
    inverse = np.linalg.inv(np.eye(len(towards)) + share * joint.astype(np.float64))
    diagonal = np.diagonal(inverse)
    size = (inverse * joint).sum(axis=1) / diagonal
    found: Floats = (inverse @ towards) / diagonal + (own - 0.5) * size
    return found
