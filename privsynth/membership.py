"""What attacks on membership share: tables of released records and targets, and how likely their counts are.

Must never learn anything from the targets but what does not depend on who is a member: they are always taken together.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from privsynth.attack import AbstractAttack, Floats, Outcome
from privsynth.dataset import Dataset
from privsynth.measurement import Measurement
from privsynth.proximity import is_nominal, rank_codes
from privsynth.records import Records

Int64s: TypeAlias = npt.NDArray[np.int64]

_MOST_CELLS = 1 << 20
"""Larger tables are counted over the cells that occur."""
_TOGETHER = 32
"""Tables whose counts' covariances are reckoned with."""
_BLOCK = 500
"""Targets weighed at a time."""


def top_share(label: str, score: Floats, share: float) -> Outcome:
    """Call the targets with the highest scores members: `share` of them, and all whose scores equal the last one's."""
    threshold = np.sort(score)[-int(np.ceil(share * len(score)))]
    attempted = np.ones(len(score), dtype=bool)
    return Outcome(label=label, success=score >= threshold, attempted=attempted, baseline=share, score=score)


class AbstractTopShare(AbstractAttack):
    """An attack that scores all targets, and calls the `share` of them with the highest scores members."""

    share: float = Field(default=0.1, gt=0, le=0.5)

    @property
    def largest_excess(self) -> float:
        """Twice the share of targets that are called: all of these members."""
        return min(1.0, 2 * self.share)

    def called(self, label: str, score: Floats) -> tuple[Outcome, ...]:
        """The one outcome: see `top_share`. Shapes: `score` is (targets,)."""
        return (top_share(label, score, self.share),)


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Classes:
    """Released records and targets in the same codes, whatever the schema's bins are.

    Shapes: each column holds codes from 0, (released + targets,), released records first.
    """

    columns: tuple[Int64s, ...]
    released: int

    @classmethod
    def of(cls, release: Records, targets: Records, bins: int, *, ranks: Records) -> Classes:
        """Labels as they are, missing among them; ordered values as one of `bins` classes of ranks in the table `ranks`."""
        columns = []
        for name, ticks in release.ticks.items():
            values = np.concatenate([ticks, targets.ticks[name]])
            if not is_nominal(release, name):
                values = rank_codes(values, ranks.ticks[name], bins)
            columns.append(np.unique(values, return_inverse=True)[1])
        return cls(columns=tuple(columns), released=release.rows)

    def cells(self, axes: Sequence[int]) -> Int64s:
        """Each record's cell in the table of these columns, numbered from 0. Shapes: as a column."""
        cells, size = np.zeros(len(self.columns[0]), dtype=np.int64), 1
        for axis in axes:
            levels = int(self.columns[axis].max()) + 1
            cells, size = cells * levels + self.columns[axis], size * levels
            if size > _MOST_CELLS:
                seen, cells = np.unique(cells, return_inverse=True)
                size = len(seen)
        return cells


def measured_cells(found: Measurement, encoded: Dataset) -> Int64s:
    """Each record's cell in a measured table, numbered in C order. Shapes: (rows,)."""
    codes = [encoded.column(name).astype(np.int64) for name in found.clique]
    grouped = [
        np.array(found.groups[name])[column] if name in found.groups else column
        for name, column in zip(found.clique, codes, strict=True)
    ]
    return np.ravel_multi_index(grouped, found.values.shape).astype(np.int64)


def measured_rows(tables: Sequence[Measurement]) -> float:
    """How many records were measured, from the totals of all tables; at least one."""
    totals = [float(found.values.sum()) for found in tables]
    weights = [1 / (found.values.size * found.variance) for found in tables]
    return max(1.0, float(np.average(totals, weights=weights)))


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """Each target's cell in a table, the count that was seen there, and the variance of the noise in counts.

    Shapes: `cell` and `count` are (targets,).
    """

    cell: Int64s
    count: Floats
    variance: float


def log_likelihood_ratio(
    tables: Sequence[Table], *, rows: float, spread: float, report: Callable[[int, int], None]
) -> Floats:
    """How much likelier the counts are, for each target, if it is one of the `rows` records counted than if it is not.

    Counts are taken for normal. They are expected to be the other targets' shares of `rows`; they vary because other
    people might have been drawn, in all tables at once, and because of noise. Up to 32 tables are taken together; more are
    taken in parts, as if parts were independent.
    Shapes: (targets,). Args: `spread` is how much more counts vary than if `rows` people were drawn once.
    Source: Neyman, Pearson 1933; Homer et al. 2008 and Dwork et al. 2015 for such attacks on published counts.
    """
    score = np.zeros(len(tables[0].cell))
    for start in range(0, len(tables), _TOGETHER):
        report(100 * start // len(tables), 100)
        score += _of_part(tables[start : start + _TOGETHER], rows, spread)
    return score


def _of_part(tables: Sequence[Table], rows: float, spread: float) -> Floats:
    """The log likelihood ratio of a few tables: weights @ (excess - 1/2), where weights = covariance^-1 @ 1.

    One person more adds one to the person's cell of every table, and that is what the ratio looks for.
    """
    cells = [np.unique(table.cell, return_inverse=True)[1] for table in tables]
    targets = len(cells[0])
    joint = np.empty((len(tables), len(tables), targets), dtype=np.float32)
    for first, second in itertools.combinations_with_replacement(range(len(tables)), 2):
        joint[first, second] = joint[second, first] = _shares(cells[first] * targets + cells[second])
    noise = np.diag([table.variance for table in tables])
    score = np.empty(targets)
    for start in range(0, targets, _BLOCK):
        block = slice(start, start + _BLOCK)
        both = np.moveaxis(joint[:, :, block], 2, 0).astype(np.float64)
        share = np.diagonal(both, axis1=1, axis2=2)
        covariance = rows * spread * (both - share[:, :, None] * share[:, None, :]) + noise
        weights = np.linalg.solve(covariance, np.ones((*share.shape, 1)))[:, :, 0]
        others = (share * targets - 1) / max(1, targets - 1)
        excess = np.stack([table.count[block] for table in tables], axis=1) - rows * others
        score[block] = (weights * (excess - 0.5)).sum(axis=1)
    return score


def _shares(cells: Int64s) -> Floats:
    """The share of all that are in each one's cell. Shapes: as `cells`."""
    _, which, counts = np.unique(cells, return_inverse=True, return_counts=True)
    return np.asarray(counts[which] / len(cells))
