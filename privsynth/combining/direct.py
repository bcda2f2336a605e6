"""What the noisy tables say of pairs of columns themselves, and by how much a table made by the model misses it.

Must never hold anything but noisy answers, and synthetic rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.dataset import Dataset
from privsynth.domain import Clique
from privsynth.measurement import Measurement, Transcript, measurements

Floats = npt.NDArray[np.float64]

_Grouping = tuple[tuple[int, ...] | None, tuple[int, ...] | None]


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DirectPair:
    """One pair's noisy table, averaged over all measurements of it, over groups of levels where it was measured so.

    Shapes: `values` has one axis an attribute; `groups` the group of every level, None where levels were measured.
    """

    pair: Clique
    values: Floats
    variance: float
    groups: _Grouping

    def lacking(self, made: Dataset, total: float) -> Floats:
        """By how much each cell's share of all rows is larger than in the made rows, beyond what single columns explain.

        Centred along both axes: single columns are known better from their own tables, which the model holds to.
        Shapes: as `values`.
        """
        cells = self.grouped(0, made.column(self.pair[0])) * self.values.shape[1] + self.grouped(
            1, made.column(self.pair[1])
        )
        share = np.bincount(cells, minlength=self.values.size).reshape(self.values.shape) / made.rows
        gap = self.values / total - share
        found: Floats = gap - gap.mean(axis=0, keepdims=True) - gap.mean(axis=1, keepdims=True) + gap.mean()
        return found

    def grouped(self, axis: int, codes: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        """Codes of levels as this table's cells along an axis."""
        wide, group_of = codes.astype(np.int64), self.groups[axis]
        return wide if group_of is None else np.asarray(group_of, dtype=np.int64)[wide]


def direct_pair(transcript: Transcript, pair: Clique) -> DirectPair | None:
    """What was measured of a pair, by itself or in a wider table; None where nothing was.

    Tables over the same groups are averaged by inverse variance; of different groupings, the one with most cells is taken.
    """
    sums: dict[_Grouping, tuple[Floats, float]] = {}
    for one in measurements(transcript):
        if set(pair) <= set(one.clique):
            grouping, values, variance = _reduced(one, pair)
            before, known = sums.get(grouping, (np.zeros_like(values), 0.0))
            sums[grouping] = before + values / variance, known + 1 / variance
    if not sums:
        return None
    grouping = max(sums, key=lambda each: sums[each][0].size)
    weighted, precision = sums[grouping]
    return DirectPair(pair=pair, values=weighted / precision, variance=1 / precision, groups=grouping)


def _reduced(one: Measurement, pair: Clique) -> tuple[_Grouping, Floats, float]:
    """A measurement summed down to a pair, in the pair's order, and the variance of each cell's noise."""
    kept = [one.clique.index(name) for name in pair]
    away = tuple(axis for axis in range(len(one.clique)) if axis not in kept)
    table = one.values.sum(axis=away).astype(np.float64)
    if kept[0] > kept[1]:
        table = table.T
    summed = math.prod(one.values.shape[axis] for axis in away)
    groups: Mapping[str, tuple[int, ...]] = one.groups
    return (groups.get(pair[0]), groups.get(pair[1])), table, one.variance * summed
