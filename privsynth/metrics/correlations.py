"""Correlations of mixed kinds: Pearson between numbers, the correlation ratio of a number and labels, Cramér's V of labels.

Must never call a pair that one table leaves undefined alike: a column that is constant there counts as uncorrelated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.dataset import Dataset
from privsynth.records import MISSING, Records
from privsynth.schema import Schema
from privsynth.schema.columns import LabelledColumn

Floats: TypeAlias = npt.NDArray[np.float64]

SHOWN = 10


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Correlations:
    """Matrices of all pairs of columns, in the real and in the synthetic table.

    Shapes: (columns, columns), symmetric; NaN on the diagonal and where both tables leave a pair undefined.
    Units: Pearson -1 to 1, the others 0 to 1.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    real: Floats
    synthetic: Floats

    @property
    def difference(self) -> Floats:
        """Synthetic minus real."""
        return self.synthetic - self.real

    @property
    def gaps(self) -> Floats:
        """Absolute differences of the pairs that are defined. Shapes: (pairs,)."""
        upper = np.abs(self.difference[np.triu_indices(len(self.names), 1)])
        return upper[~np.isnan(upper)]

    def worst(self, count: int = SHOWN) -> list[tuple[int, int]]:
        """The pairs that differ most."""
        gap = np.nan_to_num(np.abs(np.triu(self.difference, 1)), nan=-1.0)
        order = np.argsort(-gap, axis=None, kind="stable")[:count]
        pairs = [(int(place // len(self.names)), int(place % len(self.names))) for place in order]
        return [(first, second) for first, second in pairs if first < second and gap[first, second] >= 0]

    def measure(self, first: int, second: int) -> str:
        """What a pair is measured by."""
        kinds = {self.kinds[first], self.kinds[second]}
        if len(kinds) == 2:
            return "correlation ratio"
        return "Pearson" if kinds == {"number"} else "Cramér's V"

    def to_json(self) -> dict[str, object]:
        """Mean and worst difference, the worst pairs, and both matrices."""
        return {
            "columns": list(self.names),
            "pairs": len(self.gaps),
            "meanDifference": _number(float(self.gaps.mean())) if len(self.gaps) else None,
            "largestDifference": _number(float(self.gaps.max())) if len(self.gaps) else None,
            "worst": [
                {
                    "columns": [self.names[first], self.names[second]],
                    "measure": self.measure(first, second),
                    "real": _number(self.real[first, second]),
                    "synthetic": _number(self.synthetic[first, second]),
                }
                for first, second in self.worst()
            ],
            "real": [[_number(value) for value in row] for row in self.real.tolist()],
            "synthetic": [[_number(value) for value in row] for row in self.synthetic.tolist()],
        }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 2)


def compare(schema: Schema, real: tuple[Records, Dataset], synthetic: tuple[Records, Dataset]) -> Correlations:
    """Compare all pairs; each table comes as records and encoded.

    Numbers and times are taken as they are, pairs with a missing one left out; of labels, missing is a label of its own.
    Privacy: exact functions of the real records; internal.
    Source: Bergsma 2013 (Cramér's V without its bias); Kelley 1935 (the correlation ratio without its own).
    """
    ours, theirs = (_matrix(schema, records, data) for records, data in (real, synthetic))
    nowhere = np.isnan(ours) & np.isnan(theirs)
    np.fill_diagonal(nowhere, val=True)
    return Correlations(
        names=tuple(column.name for column in schema.modelled),
        kinds=tuple("label" if isinstance(column, LabelledColumn) else "number" for column in schema.modelled),
        real=np.where(nowhere, np.nan, np.nan_to_num(ours)),
        synthetic=np.where(nowhere, np.nan, np.nan_to_num(theirs)),
    )


def _matrix(schema: Schema, records: Records, data: Dataset) -> Floats:
    d = len(schema.modelled)
    matrix = np.full((d, d), np.nan)
    labelled = [place for place, one in enumerate(schema.modelled) if isinstance(one, LabelledColumn)]
    numbers = [place for place in range(d) if place not in labelled]
    names = [column.name for column in schema.modelled]
    if numbers:
        values = np.stack([_values(records, names[place]) for place in numbers])
        matrix[np.ix_(numbers, numbers)] = _pearson(values)
        for place in labelled:
            ratios = _ratios(data.column(names[place]).astype(np.int64), values)
            matrix[place, numbers] = matrix[numbers, place] = ratios
    for at, first in enumerate(labelled):
        for second in labelled[at + 1 :]:
            codes = data.column(names[first]).astype(np.int64), data.column(names[second]).astype(np.int64)
            sizes = data.domain.sizes[first], data.domain.sizes[second]
            matrix[first, second] = matrix[second, first] = cramers_v(codes, sizes)
    return matrix


def _values(records: Records, name: str) -> Floats:
    ticks = records.ticks[name]
    return np.where(ticks == MISSING, np.nan, ticks.astype(np.float64))


def _pearson(values: Floats) -> Floats:
    """Each pair over the rows in which both are known. Shapes: (columns, rows) to (columns, columns)."""
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)
    counts = np.maximum(known.sum(axis=1), 1)
    filled = np.where(known, filled - (filled.sum(axis=1) / counts)[:, None], 0.0)
    spread = np.sqrt((filled**2).sum(axis=1) / counts)
    filled = filled / np.where(spread > 0, spread, 1.0)[:, None]
    mask = known.astype(np.float64)
    both = np.maximum(mask @ mask.T, 1.0)
    mean = filled @ mask.T / both  # of the row's column, over the rows in which the column's is known too
    squares = (filled**2) @ mask.T / both - mean**2
    covariance = filled @ filled.T / both - mean * mean.T
    scale = np.sqrt(np.maximum(squares * squares.T, 0.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.where(scale > 1e-12, covariance / scale, np.nan)
    return np.clip(found, -1.0, 1.0)


def _ratios(codes: npt.NDArray[np.int64], values: Floats) -> Floats:
    """The correlation ratio of each number with one column of labels: the root of the variance that groups explain, less what
    as many groups explain by chance; NaN where every group is one row. Source: Kelley 1935 (epsilon squared).
    """
    found = np.full(len(values), np.nan)
    for place, column in enumerate(values):
        known = ~np.isnan(column)
        groups, of = codes[known], column[known]
        if not len(of):
            continue
        of = of - of.mean()
        total = float(of @ of)
        sizes = np.bincount(groups)
        sums = np.bincount(groups, weights=of)
        between = float((sums[sizes > 0] ** 2 / sizes[sizes > 0]).sum())
        many = int((sizes > 0).sum())
        if total > 0 and 1 < many < len(of):
            unexplained = max(0.0, 1.0 - between / total) * (len(of) - 1) / (len(of) - many)
            found[place] = math.sqrt(max(0.0, 1.0 - unexplained))
    return found


def cramers_v(codes: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]], sizes: tuple[int, int]) -> float:
    """Cramér's V with Bergsma's correction; NaN where a column is constant. From the cells that occur alone."""
    first, second = (np.bincount(one, minlength=size) for one, size in zip(codes, sizes, strict=True))
    rows, columns = int((first > 0).sum()), int((second > 0).sum())
    total = len(codes[0])
    if min(rows, columns) < 2 or total < 2:
        return math.nan
    number = codes[0] * sizes[1] + codes[1]
    if sizes[0] * sizes[1] <= 4 * total:
        counts = np.bincount(number, minlength=sizes[0] * sizes[1])
        cells = np.flatnonzero(counts)
        counts = counts[cells]
    else:
        cells, counts = np.unique(number, return_counts=True)
    expected = first[cells // sizes[1]].astype(np.float64) * second[cells % sizes[1]]
    phi = max(0.0, float((counts.astype(np.float64) ** 2 / expected).sum()) - 1.0)
    phi = max(0.0, phi - (rows - 1) * (columns - 1) / (total - 1))
    least = min(rows - (rows - 1) ** 2 / (total - 1), columns - (columns - 1) ** 2 / (total - 1)) - 1
    return min(1.0, math.sqrt(phi / least)) if least > 0 else math.nan
