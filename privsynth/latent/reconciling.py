"""One-way tables that agree with everything measured: their own noisy levels, and the rows and columns of all pairs.

Must never see anything but noisy tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.latent.layout import Layout, group_sums
from privsynth.latent.observed import Observed
from privsynth.latent.smoothing import smooth
from privsynth.pgm.estimation import simplex

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OneWay:
    """The estimated number of records, and every attribute's counts, which sum to it.

    Shapes: `levels[i]` is (levels of i,); `groups` is (groups,) over the layout.
    """

    total: float
    levels: tuple[Floats, ...]
    groups: Floats

    def within(self, group_of: tuple[Ints, ...]) -> tuple[Floats, ...]:
        """Each level's share of its group; equal shares in a group without records. Shapes: (levels of i,) each."""
        shares = []
        for counts, of in zip(self.levels, group_of, strict=True):
            filled = counts + 1e-9 * self.total / len(counts)
            shares.append(filled / group_sums(filled, of)[of])
        return tuple(shares)


def reconcile(seen: Observed) -> OneWay:
    """Generalised least squares for each group's count, smoothed levels inside, projected to what a table can be.

    A group is known from its levels (variance: their number times theirs) and from its row sums in every pair (variance: the
    pair's columns times its cells' variance), all independent; what that mean differs from the levels' sum by is spread over
    them equally.
    """
    total = _total(seen)
    levels = tuple(simplex(_levels(seen, attribute), total) for attribute in range(len(seen.layout)))
    parts = [group_sums(counts, of) for counts, of in zip(levels, seen.group_of, strict=True)]
    groups = np.concatenate([*parts, np.zeros(0)])
    return OneWay(total=total, levels=levels, groups=groups)


def _levels(seen: Observed, attribute: int) -> Floats:
    noisy, variance, of = seen.levels[attribute], seen.level_variances[attribute], seen.group_of[attribute]
    fact = seen.domain.fact(seen.domain.attributes[attribute])
    smoothed = smooth(noisy, variance, fact.ordered)
    if seen.pairs is None:
        return smoothed
    size = np.bincount(of)
    precision = 1 / (size * variance)
    weighted = group_sums(noisy, of) * precision
    layout, sizes = seen.layout, np.array(seen.layout.sizes)
    row_sums = np.add.reduceat(seen.pairs[layout.part(attribute)], layout.starts, axis=1)
    told = 1 / (sizes * seen.sigma[attribute] ** 2)
    weighted = weighted + row_sums @ told
    precision = precision + told.sum()
    return np.asarray(smoothed + ((weighted / precision - group_sums(smoothed, of)) / size)[of])


def _total(seen: Observed) -> float:
    """The number of records by inverse variance of all tables' sums; at least 1."""
    sums = [float(noisy.sum()) for noisy in seen.levels]
    precisions = [1 / (len(noisy) * v) for noisy, v in zip(seen.levels, seen.level_variances, strict=True)]
    if seen.pairs is not None:
        layout = seen.layout
        for i, j in layout.pairs():
            sums.append(float(seen.pairs[layout.part(i), layout.part(j)].sum()))
            precisions.append(1 / (layout.sizes[i] * layout.sizes[j] * float(seen.sigma[i, j]) ** 2))
    return max(1.0, float(np.average(sums, weights=precisions))) if sums else 1.0


def products(one_way: OneWay, layout: Layout) -> Floats:
    """What independence expects of every pair. Shapes: (groups, groups)."""
    expected = np.outer(one_way.groups, one_way.groups) / one_way.total
    expected[layout.owner[:, None] == layout.owner[None, :]] = 0.0
    return expected
