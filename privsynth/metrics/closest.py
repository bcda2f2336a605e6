"""Closest records: how far synthetic rows are from real ones, against how far unused real rows are.

Must never be called evidence of privacy: a table that leaks can have every distance large, and one that does not can have
small ones; `privsynth audit` is what looks for leaks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np
import numpy.typing as npt

from privsynth.neighbours import Neighbours
from privsynth.records import Records

POINTS: Final = 2_000
"""Rows of each table whose closest record is looked for."""

NOTE: Final = (
    "Distances to the closest record say whether rows were copied. They are no evidence of privacy; privsynth audit looks for "
    "leaks."
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Closest:
    """Distances to the closest real record.

    Units: Gower's distance over the range of each column, as a share of the largest there can be. `reference` is the median of
        unused real rows, or without any of real rows to the next other one. `copies` is the share of synthetic rows at
        distance 0, `reference_copies` that of the reference. `nearer` is the share of synthetic rows that are nearer to the
        real table than to a holdout of the same size, ties counted half; None without a holdout.
    """

    points: int
    median: float
    reference: float
    reference_is_holdout: bool
    copies: float
    reference_copies: float
    nearer: float | None

    def to_json(self) -> dict[str, object]:
        """A JSON object."""
        return {
            "note": NOTE,
            "rowsTried": self.points,
            "medianDistance": round(self.median, 5),
            "medianDistanceOfReference": round(self.reference, 5),
            "reference": "unused real rows" if self.reference_is_holdout else "each real row to the next other one",
            "shareIdenticalToARealRow": round(self.copies, 5),
            "shareIdenticalInReference": round(self.reference_copies, 5),
            "shareNearerToRealThanToHoldout": None if self.nearer is None else round(self.nearer, 4),
        }


def closest(
    real: Records, synthetic: Records, *, holdout: Records | None = None, points: int = POINTS, rng: np.random.Generator
) -> Closest:
    """Measure up to `points` rows of each table, drawn at random, against all real records.

    Privacy: exact functions of the real records; internal.
    """
    names = tuple(real.ticks)
    search = Neighbours(real, names, scale="range")
    full = float(search.gower.step * len(names))
    tried = _some(synthetic, points, rng)
    found = search.nearest(search.gower.points(tried), 1)[0][:, 0] / full
    if holdout is None:
        beside = search.nearest(search.gower.points(_some(real, points, rng)), 2)[0][:, -1] / full
    else:
        beside = search.nearest(search.gower.points(_some(holdout, points, rng)), 1)[0][:, 0] / full
    return Closest(
        points=tried.rows,
        median=float(np.median(found)),
        reference=float(np.median(beside)),
        reference_is_holdout=holdout is not None,
        copies=float((found == 0).mean()),
        reference_copies=float((beside == 0).mean()),
        nearer=None if holdout is None else _nearer(real, holdout, tried, rng),
    )


def _some(table: Records, count: int, rng: np.random.Generator) -> Records:
    return table if table.rows <= count else table.take(np.sort(rng.choice(table.rows, count, replace=False)))


def _nearer(real: Records, holdout: Records, tried: Records, rng: np.random.Generator) -> float:
    """Both tables that are searched have one size, and one scale: that of both together."""
    names, size = tuple(real.ticks), min(real.rows, holdout.rows)
    both = _together(real, holdout)
    parts = (
        np.sort(rng.choice(real.rows, size, replace=False)),
        real.rows + np.sort(rng.choice(holdout.rows, size, replace=False)),
    )
    distances: list[npt.NDArray[np.int16]] = []
    for rows in parts:
        search = Neighbours(both, names, scale="range", rows=rows)
        distances.append(search.nearest(search.gower.points(tried), 1)[0][:, 0])
    ours, theirs = distances
    return float((ours < theirs).mean() + 0.5 * (ours == theirs).mean())


def _together(first: Records, second: Records) -> Records:
    ticks = {name: np.concatenate([first.ticks[name], second.ticks[name]]) for name in first.ticks}
    return Records(schema=first.schema, ticks=ticks)
