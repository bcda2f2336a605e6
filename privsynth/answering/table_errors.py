"""Table errors: how far a model's tables are expected to be from the truth, and a single cell of them, from public numbers.

Must never be told anything of the truth: noise that is known, what the generator predicts, and the chance of small counts.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from privsynth.domain import Clique, Domain
from privsynth.generator import AbstractDistribution
from privsynth.measurement import Measurement

NORMAL_90: Final = 1.6448536269514722
_ONE_SIDED_90: Final = 1.2815515655446004
_HALF_NORMAL: Final = math.sqrt(2 / math.pi)

_UNSURE: Final = 1.3
"""Nine pairs in ten or more of adult, credit cards and hospital stays at epsilon 1 stay below what follows from it."""

_MOST_CELLS: Final = 2_000_000
_PAIR, _TRIPLE = 2, 3


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedError:
    """How far a table of the model is expected to be from the truth, from the noise that is known.

    Units: `l1` is the expected L1 distance of the normalised tables (twice the total variation distance): what the generator
        predicts, where it does, and else from noise alone; `l1_upper_90` is what it stays below nine times in ten;
        `count_interval_90` is the half-width, in records, that a single measured cell's noise stays within 90 % of the time;
        `cell_count_90` and `cell_share_90` are 90 % half-widths of one cell of the model's table, in records and as a part of
        all, also where it was not measured level by level: of a typical cell, for one with many records may be off by more.
        None where nothing is known: no measured table covers the clique, and the generator predicts nothing; the model's
        answer then rests on its assumption that unmeasured columns are independent given measured ones.
    """

    clique: Clique
    l1: float | None
    count_interval_90: float | None
    l1_upper_90: float | None = None
    cell_count_90: float | None = None
    cell_share_90: float | None = None


def table_error(
    wanted: Clique, domain: Domain, distribution: AbstractDistribution, tables: Sequence[Measurement]
) -> ExpectedError:
    """The expected error of one table of any number of attributes."""
    total, cells = distribution.total, domain.cells(wanted)
    variance, whole = _cell_variance(wanted, domain, tables)
    predicted = distribution.expected_l1(wanted)
    if predicted is None and whole is None and len(wanted) == _TRIPLE:
        predicted = _of_pairs(wanted, domain, distribution)
    sigma = None if variance is None else math.sqrt(variance)
    l1 = predicted
    if l1 is None and whole is not None:
        l1 = min(2.0, math.sqrt(whole) * _HALF_NORMAL * cells / total)
    if l1 is None:
        return ExpectedError(clique=wanted, l1=None, count_interval_90=None)
    spread = math.sqrt(1 - 2 / math.pi) / _HALF_NORMAL / math.sqrt(cells)
    by_noise = math.inf if sigma is None else NORMAL_90 * sigma
    typical = NORMAL_90 / _HALF_NORMAL * l1 * total / cells
    half = max(typical, by_noise) if math.isfinite(by_noise) else typical
    return ExpectedError(
        clique=wanted,
        l1=l1,
        count_interval_90=None if whole is None else NORMAL_90 * math.sqrt(whole),
        l1_upper_90=min(2.0, l1 * _UNSURE * (1 + _ONE_SIDED_90 * spread)),
        cell_count_90=half,
        cell_share_90=min(1.0, half / total),
    )


def _cell_variance(wanted: Clique, domain: Domain, tables: Sequence[Measurement]) -> tuple[float | None, float | None]:
    """The noise's variance in one cell: of groups of levels where these were measured, and of levels where they were."""
    every: float | None = None
    whole: float | None = None
    for found in tables:
        if not set(wanted) <= set(found.clique):
            continue
        cells = math.prod(size for name, size in zip(found.clique, found.values.shape, strict=True) if name in wanted)
        variance = found.variance * found.values.size / cells
        every = variance if every is None else 1 / (1 / every + 1 / variance)
        if not set(wanted) & set(found.groups):
            level = found.variance * found.values.size / domain.cells(wanted)
            whole = level if whole is None else 1 / (1 / whole + 1 / level)
    return every, whole


def _of_pairs(wanted: Clique, domain: Domain, distribution: AbstractDistribution) -> float | None:
    """The expected error of a table of three from those of its pairs, and from the chance by which records fall on small cells.

    What three attributes do beyond their pairs is not in it; a cell of m expected records is off by sqrt(2 m / pi) by chance.
    """
    pairs = [distribution.expected_l1(pair) for pair in itertools.combinations(wanted, _PAIR)]
    if any(one is None for one in pairs) or domain.cells(wanted) > _MOST_CELLS:
        return None
    counts = np.maximum(distribution.project(wanted), 0.0)
    by_chance = float(np.minimum(2 * counts, np.sqrt(2 / math.pi * counts)).sum()) / distribution.total
    return min(2.0, math.sqrt(sum(one**2 for one in pairs if one is not None) + by_chance**2))
