"""Telling apart: how well boosted trees know synthetic rows from real ones, and by which columns.

Must never compare tables of different sizes: as many rows of each are drawn, so that guessing is right half of the time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.dataset import Dataset
from privsynth.learning.cross_fitting import cross_fit
from privsynth.records import MISSING, Records
from privsynth.schema import Schema
from privsynth.schema.columns import LabelledColumn

Floats: TypeAlias = npt.NDArray[np.float64]

ROWS: Final = 5_000
"""Most rows of each table."""

LEAST_ROWS: Final = 50
"""With fewer of either, nothing is said."""

SHOWN = 10
_Z_95 = 1.96


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ToldApart:
    """What the learner reached.

    Units: `area` is under the ROC curve: 0.5 for guessing, 1 when every row is known; `of_levels` is that of a learner which
        sees no more than the schema's levels, and not where inside a bin a number lies. `pmse_ratio` is the mean square
        distance of the chances from one half over that of the same learner with the tables' names shuffled: 1 for nothing to
        tell. `columns` are those that gave it away: the fall of the area when the column is shuffled, largest first.
    """

    rows: int
    area: float
    lower: float
    upper: float
    of_levels: float
    pmse_ratio: float
    columns: tuple[tuple[str, float], ...]

    def to_json(self) -> dict[str, object]:
        """A JSON object."""
        return {
            "rowsOfEach": self.rows,
            "auc": round(self.area, 4),
            "interval95": [round(self.lower, 4), round(self.upper, 4)],
            "aucOfLevels": round(self.of_levels, 4),
            "pMSERatio": float(f"{self.pmse_ratio:.4g}"),
            "givenAwayBy": [{"column": name, "fallOfAUC": round(fall, 4)} for name, fall in self.columns],
        }


def tell_apart(
    schema: Schema,
    real: tuple[Records, Dataset],
    synthetic: tuple[Records, Dataset],
    *,
    rng: np.random.Generator,
) -> ToldApart | None:
    """Cross-fit boosted trees on up to 5,000 rows of each table; None where either has fewer than 50.

    Privacy: a function of the real records; internal.
    Raises: InputError when scikit-learn is not installed.
    Source: Snoke et al. 2018 (pMSE); DeLong et al. 1988 (the interval).
    """
    rows = min(ROWS, real[0].rows, synthetic[0].rows)
    if rows < LEAST_ROWS:
        return None
    index = [np.sort(rng.choice(records.rows, rows, replace=False)) for records, _ in (real, synthetic)]
    drawn = list(zip((real, synthetic), index, strict=True))
    exact = np.concatenate([_exact(schema, records.take(some)) for (records, _), some in drawn])
    levels = np.concatenate([data.codes(some) for (_, data), some in drawn]).astype(np.float64)
    made = np.repeat([False, True], rows)
    seed = int(rng.integers(1 << 31))
    labels = tuple(len(one.labels) if isinstance(one, LabelledColumn) else 0 for one in schema.modelled)
    found = cross_fit(exact, made, labels, seed=seed, columns=True)
    coarse = cross_fit(levels, made, labels, seed=seed)
    shuffled = rng.permutation(made)
    nothing = cross_fit(exact, shuffled, labels, seed=seed)
    area, error = area_with_error(found.chances, made)
    order = np.argsort(-found.needed, kind="stable")[:SHOWN]
    names = [column.name for column in schema.modelled]
    return ToldApart(
        rows=rows,
        area=area,
        lower=max(0.0, area - _Z_95 * error),
        upper=min(1.0, area + _Z_95 * error),
        of_levels=area_with_error(coarse.chances, made)[0],
        pmse_ratio=_pmse(found.chances) / max(_pmse(nothing.chances), 1e-12),
        columns=tuple((names[place], float(found.needed[place])) for place in order if found.needed[place] > 0),
    )


def _exact(schema: Schema, records: Records) -> Floats:
    columns = []
    for column in schema.modelled:
        ticks = records.ticks[column.name]
        columns.append(np.where(ticks == MISSING, np.nan, ticks.astype(np.float64)))
    return np.column_stack(columns)


def _pmse(chances: Floats) -> float:
    return float(((chances - 0.5) ** 2).mean())


def area_with_error(chances: Floats, second: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """The area under the ROC curve and its standard error. Source: DeLong et al. 1988, with ranks as Sun, Xu 2014."""
    above, below = chances[second], chances[~second]
    m, n = len(above), len(below)
    ranks = mid_ranks(np.concatenate([above, below]))
    of_above = (ranks[:m] - mid_ranks(above)) / n
    of_below = 1.0 - (ranks[m:] - mid_ranks(below)) / m
    variance = float(np.var(of_above, ddof=1)) / m + float(np.var(of_below, ddof=1)) / n
    return float(of_above.mean()), math.sqrt(variance)


def mid_ranks(values: Floats) -> Floats:
    """Ranks from 1, equal values sharing the middle of theirs. Shapes: as `values`."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[place], dtype=np.float64)
