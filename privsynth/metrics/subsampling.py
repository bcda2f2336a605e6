"""Subsampling: NIST's k-marginal score, and the share of the real rows whose random subsample scores the same.

Must never compare scores of different cliques: both are taken over the same random sets of columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from privsynth.dataset import Dataset
from privsynth.domain import Clique
from privsynth.metrics.marginals import cliques_of, paired, total_variation

SETS: Final = 100
COLUMNS: Final = 3

AS_A_FRESH_SAMPLE: Final = (
    "The subsample is part of what it is compared with: a fresh sample of people as large as the real table scores as a "
    "third of it does, so about a third is as good as a fresh sample. The interval is of the mean over random orders of the "
    "rows alone, not over other people or other synthetic tables."
)
"""What is to be known of a share; for pages."""

_ORDERS = 5
_STEPS = 12
_T_95 = 2.776
"""Of Student's t with `_ORDERS` - 1 degrees of freedom: an interval of 95 %."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class KMarginal:
    """The score, and the subsample that it equals.

    Units: `score` and `fresh` are 0 (nothing in common) to 1000 (identical); `fresh` is that of real records that were not
        used, `fresh_rows` of them: as many as there are up to the synthetic table's number; None and 0 without any. `share`,
        `lower` and `upper` are shares of the real rows; the interval of 95 % is for the mean over random orders of the rows.
    """

    score: float
    sets: int
    columns: int
    fresh: float | None
    fresh_rows: int
    share: float
    lower: float
    upper: float

    def to_json(self) -> dict[str, object]:
        """A JSON object."""
        return {
            "score": round(self.score, 1),
            "setsOfColumns": self.sets,
            "columnsInASet": self.columns,
            "scoreOfUnusedRecords": None if self.fresh is None else round(self.fresh, 1),
            "equalsASubsampleOf": {
                "share": float(f"{self.share:.4g}"),
                "interval95": [float(f"{self.lower:.4g}"), float(f"{self.upper:.4g}")],
            },
        }


def k_marginal(
    real: Dataset, synthetic: Dataset, *, holdout: Dataset | None = None, rng: np.random.Generator
) -> KMarginal:
    """Score a synthetic table.

    1000 * (1 - mean total variation distance) over 100 random sets of three columns, or all where there are fewer (of two
    columns where the table has no three), over the schema's levels. SDNist draws pairs within each group of one named column
    instead, over bins of its own; its scores are of the same scale, and not of the same tables.
    The share is found by bisection over the sizes of a random subsample, which is compared with all real rows, five times.
    Privacy: exact functions of the real records; internal.
    Source: NIST, SDNist 2 (`KMarginalScore`: (2 - mean L1 distance) * 500).
    """
    names = real.domain.attributes
    columns = min(COLUMNS, len(names))
    cliques = cliques_of(names, columns, SETS, rng)
    found = score(real, synthetic, cliques)
    fresh, rows = None, 0
    if holdout is not None:
        rows = min(holdout.rows, synthetic.rows)
        fresh = score(real, holdout.take(rng.permutation(holdout.rows)[:rows]), cliques)
    logs = [
        math.log(share) for share in (_equal(real, cliques, found, rng.permutation(real.rows)) for _ in range(_ORDERS))
    ]
    half = _T_95 * float(np.std(logs, ddof=1)) / math.sqrt(_ORDERS)
    middle = float(np.mean(logs))
    return KMarginal(
        score=found,
        sets=len(cliques),
        columns=columns,
        fresh=fresh,
        fresh_rows=rows,
        share=math.exp(middle),
        lower=math.exp(middle - half),
        upper=min(1.0, math.exp(middle + half)),
    )


def score(real: Dataset, other: Dataset, cliques: Sequence[Clique]) -> float:
    """1000 * (1 - mean total variation distance) over these cliques."""
    distances = [total_variation(first, second) for first, second in paired([real, other], cliques)]
    return 1000.0 * (1.0 - float(np.mean(distances)))


def _equal(real: Dataset, cliques: Sequence[Clique], wanted: float, order: np.ndarray) -> float:
    """The share of the rows, taken in this order, whose score is the wanted one; bisected on a logarithmic scale."""
    low, high = 1.0, float(real.rows)
    if score(real, real.take(order[:1]), cliques) >= wanted:
        return 1.0 / real.rows
    for _ in range(_STEPS):
        middle = math.sqrt(low * high)
        if score(real, real.take(order[: max(1, round(middle))]), cliques) < wanted:
            low = middle
        else:
            high = middle
    return math.sqrt(low * high) / real.rows
