"""Columns of numbers on their own scale: how far out their levels lie, and how much of them lies inside bins.

Must never see anything but the schema and the released table: what lies inside a bin was never measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.report.numbers import INTERVAL_SIGMAS, ColumnNumbers
from privsynth.schema import Schema
from privsynth.schema.columns import NumericColumn
from privsynth.schema.levels import levels
from privsynth.schema.ticks import MISSING


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scale:
    """A column of numbers, measured in its own released spread (standard deviation), missing values left out.

    `place` is the column's among all. `leverage` is the sum of the squared distances of its levels from the mean: what noise
    of one size in every level does to a mean or a correlation; `fourth` that of their fourth powers, which is what it does to
    the spread. `quarter_bin` is a quarter of the mean width of a bin; `inside`
    the share of the variance that lies inside bins. `cell_sigma` is the noise of one level's share; infinite where the column
    was not measured. `known` are the places of the levels that have a value, `away` how far each is from the mean.
    """

    place: int
    known: npt.NDArray[np.int64]
    away: npt.NDArray[np.float64]
    leverage: float
    fourth: float
    quarter_bin: float
    inside: float
    cell_sigma: float


def scales(schema: Schema, columns: list[ColumnNumbers]) -> list[Scale]:
    """The scales of all columns of numbers, but of those that are released with a single value."""
    found = []
    for place, column in enumerate(columns):
        declared = schema.modelled_column(column.name)
        if isinstance(declared, NumericColumn):
            scale = _scale(declared, column, place)
            found += [scale] if scale is not None else []
    return found


def _scale(declared: NumericColumn, column: ColumnNumbers, place: int) -> Scale | None:
    layout = levels(declared)
    first, last = layout.span(np.arange(layout.size))
    known = first != MISSING
    rows = column.released[known].astype(np.float64)
    if not rows.any():
        return None
    shares, widths = rows / rows.sum(), (last - first)[known].astype(np.float64)
    middles = (first[known] + last[known]) / 2
    away = middles - (shares * middles).sum()
    inside = float((shares * widths**2).sum()) / 12
    variance = float((shares * away**2).sum()) + inside
    if variance == 0:
        return None
    away = away / math.sqrt(variance)
    return Scale(
        place=place,
        known=np.flatnonzero(known),
        away=away,
        leverage=float((away**2).sum()),
        fourth=float((away**4).sum()),
        quarter_bin=float((shares * widths).sum()) / 4 / math.sqrt(variance),
        inside=inside / variance,
        cell_sigma=math.inf if column.share is None else column.half / INTERVAL_SIGMAS,
    )


def correlation(one: Scale, other: Scale, table: npt.NDArray[np.int64]) -> float:
    """The released correlation of two columns, by the middles of their levels. Shapes: `table` over all levels of both."""
    counts = table[np.ix_(one.known, other.known)]
    return float(one.away @ counts @ other.away) / max(1, int(counts.sum()))
