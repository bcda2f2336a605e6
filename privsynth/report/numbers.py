"""What the public numbers of a release say: intervals, expected errors, rare categories, associations.

Must never see anything but noisy answers that were paid for and the released table.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.dataset import Dataset
from privsynth.domain import Clique, Domain
from privsynth.errors import FitError
from privsynth.measurement import Groups, Transcript, measurements

_Counted: TypeAlias = tuple[Clique, tuple[tuple[str, tuple[int, ...]], ...]]

INTERVAL_SIGMAS = 1.96
"""Half-width of a 95 % interval of a normal distribution, in standard deviations."""

SEEN_SIGMAS = 3.0
"""A noisy count so far above zero shows that its category has records: noise alone does it once in 740 times."""

_MEAN_ABSOLUTE = math.sqrt(2 / math.pi)
"""Mean absolute value of a standard normal variable."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Estimate:
    """An unbiased noisy table whose cells all have the same standard deviation.

    Shapes: `counts` has one axis an attribute of `clique`, as long as it has levels, or groups of levels where `groups` names
        it. `direct` says that this very table was measured.
    """

    clique: Clique
    counts: npt.NDArray[np.float64]
    sigma: float
    direct: bool
    groups: Groups = field(default_factory=dict)

    @property
    def cells(self) -> int:
        """Number of cells."""
        return self.counts.size

    def expected_error(self, total: float) -> float:
        """Expected total variation distance between this table and the true one, from the noise alone; at most 1.

        The distance is half the sum of the cells' absolute errors as shares, and a cell's error is normal: its mean
        absolute value is sigma * sqrt(2 / pi).
        """
        return min(1.0, self.cells * self.sigma * _MEAN_ABSOLUTE / (2 * total))


@final
class Bought:
    """Every noisy table of a transcript, and the best estimate of any other table that they imply.

    A table over groups of levels says nothing of single levels, but may be summed over the attributes that are grouped.
    Source: summing a table over a folded attribute adds the variances of the folded cells; independent unbiased estimates
        are combined with weights one over their variance.
    """

    def __init__(self, transcript: Transcript, domain: Domain) -> None:
        self._domain = domain
        merged: dict[_Counted, list[tuple[npt.NDArray[np.float64], float]]] = {}
        for measured in measurements(transcript):
            clique = domain.canonical(measured.clique)
            axes = [measured.clique.index(name) for name in clique]
            values = measured.values.astype(np.float64).transpose(axes)
            grouped = tuple((name, measured.groups[name]) for name in clique if name in measured.groups)
            merged.setdefault((clique, grouped), []).append((values, math.sqrt(measured.variance)))
        if not merged:
            raise FitError("a report needs measurements, and the transcript holds none")
        self.tables: tuple[Estimate, ...] = tuple(
            _combine(clique, answers, direct=True, groups=dict(grouped))
            for (clique, grouped), answers in merged.items()
        )
        self.total = self._estimate_total()

    def _estimate_total(self) -> float:
        whole = self.estimate(())
        assert whole is not None
        return max(1.0, float(whole.counts))

    def estimate(self, clique: Iterable[str]) -> Estimate | None:
        """The best estimate of a table from all measured tables that contain it; None when none does."""
        wanted = self._domain.canonical(clique)
        answers = []
        for table in self.tables:
            if set(wanted) <= set(table.clique) - set(table.groups):
                fold = tuple(axis for axis, name in enumerate(table.clique) if name not in wanted)
                folded = math.prod(table.counts.shape[axis] for axis in fold)
                answers.append((table.counts.sum(axis=fold), table.sigma * math.sqrt(folded)))
        direct = any(table.clique == wanted and not table.groups for table in self.tables)
        return _combine(wanted, answers, direct=direct) if answers else None


def _combine(
    clique: Clique,
    answers: Sequence[tuple[npt.NDArray[np.float64], float]],
    *,
    direct: bool,
    groups: Groups | None = None,
) -> Estimate:
    weights = [1 / sigma**2 for _, sigma in answers]
    counts = sum(weight * values for weight, (values, _) in zip(weights, answers, strict=True)) / sum(weights)
    return Estimate(
        clique=clique,
        counts=np.asarray(counts),
        sigma=1 / math.sqrt(sum(weights)),
        direct=direct,
        groups=groups or {},
    )


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ColumnNumbers:
    """One column: the released shares, and what the noisy answers say about the real ones.

    Shapes: `labels`, `released`, `share` have one entry a level. `share`, `half` and `expected_error` are None where no
        measured table holds the column. Units: `released` in rows, the others in shares.
    """

    name: str
    labels: tuple[str, ...]
    released: npt.NDArray[np.int64]
    share: npt.NDArray[np.float64] | None
    sigma: float
    half: float
    expected_error: float

    @property
    def released_share(self) -> npt.NDArray[np.float64]:
        """The released table's shares."""
        return self.released / max(1, int(self.released.sum()))

    @property
    def inside(self) -> int:
        """Number of levels whose released share lies within the interval."""
        if self.share is None:
            return 0
        return int((np.abs(self.released_share - self.share) <= self.half).sum())

    def ordered(self, order: npt.NDArray[np.int64]) -> ColumnNumbers:
        """The same numbers with the levels in another order."""
        return ColumnNumbers(
            name=self.name,
            labels=tuple(self.labels[level] for level in order),
            released=self.released[order],
            share=None if self.share is None else self.share[order],
            sigma=self.sigma,
            half=self.half,
            expected_error=self.expected_error,
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TableNumbers:
    """One measured table of two attributes or more.

    `grouped` are the attributes that were counted over groups of levels.
    Units: `share_half` is the 95 % half-width of a cell as a share; `expected_error` a total variation distance;
        `fit` the root mean square distance between released and noisy cells, in standard deviations of the noise.
    """

    clique: Clique
    grouped: tuple[str, ...]
    cells: int
    share_half: float
    expected_error: float
    fit: float


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RareNumbers:
    """What became of one column's categories, judged by their noisy counts.

    `kept` were seen above the noise; `below` were not; `lost` were seen, and have no released row; `below_rows` is the share
    of released rows that carry a category of `below`.
    """

    column: str
    kept: int
    below: tuple[str, ...]
    lost: tuple[str, ...]
    below_rows: float
    smallest_seen: float


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairMatrix:
    """Every pair of columns. Shapes: (d, d), symmetric.

    `association` is Cramér's V in the released table; `measured` says whether a measured table holds the pair, of levels or of
    groups of levels; `expected_error` is a total variation distance: the generator's prediction where it has one
    (`predicted`), else what the noise of a measured table of levels makes, else nan; `dependence` is the total variation
    distance of the released pair from independence; `roughness`, over the root of n, is that of n random records from the
    table they are drawn from.
    """

    association: npt.NDArray[np.float64]
    measured: npt.NDArray[np.bool_]
    expected_error: npt.NDArray[np.float64]
    dependence: npt.NDArray[np.float64]
    roughness: npt.NDArray[np.float64]
    predicted: bool

    @property
    def measured_pairs(self) -> int:
        """Number of pairs that some measured table holds."""
        return int(np.triu(self.measured, 1).sum())

    @property
    def all_pairs(self) -> int:
        """Number of pairs of columns."""
        d = len(self.association)
        return d * (d - 1) // 2


def column_numbers(bought: Bought, released: Dataset, labels: Sequence[tuple[str, ...]]) -> list[ColumnNumbers]:
    """The numbers of every column, in the domain's order; `labels` names the levels of each."""
    tables = released.marginals([(name,) for name in released.domain.attributes])
    out = []
    for name, level_labels, counts in zip(released.domain.attributes, labels, tables, strict=True):
        best = bought.estimate((name,))
        out.append(
            ColumnNumbers(
                name=name,
                labels=level_labels,
                released=counts,
                share=None if best is None else best.counts / bought.total,
                sigma=math.nan if best is None else best.sigma,
                half=math.nan if best is None else INTERVAL_SIGMAS * best.sigma / bought.total,
                expected_error=math.nan if best is None else best.expected_error(bought.total),
            )
        )
    return out


def table_numbers(bought: Bought, released: Dataset) -> list[TableNumbers]:
    """The measured tables of two attributes or more, the best known first."""
    wide = [table for table in bought.tables if len(table.clique) > 1]
    scale = bought.total / max(1, released.total)
    out = []
    plain = iter(released.marginals([table.clique for table in wide if not table.groups]))
    for table in wide:
        counts = released.regrouped(table.groups).marginal(table.clique) if table.groups else next(plain)
        gap = (counts * scale - table.counts) / table.sigma
        out.append(
            TableNumbers(
                clique=table.clique,
                grouped=tuple(table.groups),
                cells=table.cells,
                share_half=INTERVAL_SIGMAS * table.sigma / bought.total,
                expected_error=table.expected_error(bought.total),
                fit=float(np.sqrt(np.mean(gap**2))),
            )
        )
    return sorted(out, key=lambda table: (table.expected_error, table.clique))


def rare_numbers(column: ColumnNumbers, total: float) -> RareNumbers | None:
    """What became of a column's categories; None when no measured table holds the column."""
    if column.share is None:
        return None
    seen = column.share * total >= SEEN_SIGMAS * column.sigma
    absent = column.released == 0
    return RareNumbers(
        column=column.name,
        kept=int((seen & ~absent).sum()),
        below=tuple(np.array(column.labels, dtype=object)[~seen]),
        lost=tuple(np.array(column.labels, dtype=object)[seen & absent]),
        below_rows=float(column.released_share[~seen].sum()),
        smallest_seen=SEEN_SIGMAS * column.sigma,
    )


def cramers_v(table: npt.NDArray[np.int64]) -> float:
    """Cramér's V of a table of counts: 0 for independence, 1 when one column follows from the other; 0 for a constant."""
    kept = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0].astype(np.float64)
    if min(kept.shape, default=0) < 2:
        return 0.0
    expected = np.outer(kept.sum(axis=1), kept.sum(axis=0)) / kept.sum()
    chi_squared = float(((kept - expected) ** 2 / expected).sum())
    return min(1.0, math.sqrt(chi_squared / (kept.sum() * (min(kept.shape) - 1))))


def pair_matrix(bought: Bought, released: Dataset, predicted: Mapping[Clique, float]) -> PairMatrix:
    """Association and expected error of every pair of columns; `predicted` are the generator's L1 errors, where it has them.

    Args: `released` may have some of the measured attributes only.
    """
    names = released.domain.attributes
    d = len(names)
    association, error, measured = np.eye(d), np.full((d, d), np.nan), np.zeros((d, d), dtype=np.bool_)
    dependence, rough = np.zeros((d, d)), np.zeros((d, d))
    for table in bought.tables:
        axes = [names.index(name) for name in table.clique if name in names]
        measured[np.ix_(axes, axes)] = True
    pairs = [(i, j) for i in range(d) for j in range(i + 1, d)]
    tables = released.marginals([(names[i], names[j]) for i, j in pairs])
    for (i, j), counts in zip(pairs, tables, strict=True):
        association[i, j] = association[j, i] = cramers_v(counts)
        error[i, j] = error[j, i] = pair_error(bought, (names[i], names[j]), predicted)
        shares = counts / max(1, int(counts.sum()))
        rough[i, j] = rough[j, i] = roughness(shares)
        alone = np.outer(shares.sum(axis=1), shares.sum(axis=0))
        dependence[i, j] = dependence[j, i] = np.abs(shares - alone).sum() / 2
    return PairMatrix(
        association=association,
        measured=measured,
        expected_error=error,
        dependence=dependence,
        roughness=rough,
        predicted=bool(predicted),
    )


def roughness(shares: npt.NDArray[np.float64]) -> float:
    """Expected total variation distance of n random records from the table they are drawn from, times the root of n.

    A cell's count is nearly normal: its mean absolute error as a share is sqrt(2 / pi) sqrt(p (1 - p) / n).
    """
    return _MEAN_ABSOLUTE * float(np.sqrt(np.maximum(shares * (1 - shares), 0)).sum()) / 2


def pair_error(bought: Bought, pair: Clique, predicted: Mapping[Clique, float]) -> float:
    """Expected total variation distance of a pair's table: predicted, else from the noise; nan where neither says."""
    if pair in predicted:
        return predicted[pair] / 2
    best = bought.estimate(pair)
    return math.nan if best is None else best.expected_error(bought.total)
