"""Buying what the schema does not declare: a column's categories, its bounds or its bin edges, each with noise and a charge.

Must never look at a column without an event that pays for it, and must never return a label that only one unit has but
with the probability that was paid for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.errors import BudgetExceeded, MechanismError
from privsynth.measurement import Event, Purchase
from privsynth.privacy import mechanism
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.privacy.unit import PrivacyUnit, require_same_unit
from privsynth.private import Private
from privsynth.records import MISSING, Records
from privsynth.schema.columns import CategoryColumn, IntegerColumn, NumberColumn

_MAGNITUDES = 50  # the schema admits at most 2^50 steps from zero
_FINE_CELLS = 512
_FALSE_CELL = 0.01
_DEFAULT_BINS = 20

NumericColumn: TypeAlias = IntegerColumn | NumberColumn


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What one purchase may spend. Units: zCDP, and for categories a failure probability."""

    rho: Fraction
    delta: Fraction

    def __post_init__(self) -> None:
        if self.rho <= 0 or not 0 < self.delta < 1:
            raise MechanismError("a purchase needs a rho above zero and a delta between 0 and 1")


def stability_threshold(variance: Fraction, max_rows: int, delta: Fraction) -> int:
    """The smallest T with max_rows * P(1 + N >= T) <= delta for N rounded Gaussian.

    Proof: N >= m exactly when the Gaussian that is rounded is at least m - 1/2 (a tie has probability zero); erfc is inflated
        by 1e-9 for its own rounding.
    """
    sigma = math.sqrt(variance)
    allowed = float(delta / max_rows)
    threshold = 2
    while 0.5 * math.erfc((threshold - 1.5) / (sigma * math.sqrt(2))) * (1 + 1e-9) > allowed:
        threshold += 1
    return threshold


def categories(
    records: Private[Records], column: CategoryColumn, *, unit: PrivacyUnit, price: Price, noise: AbstractNoiseSource
) -> Purchase:
    """Learn which labels a column has: labels whose noisy number of units reaches a threshold (partition selection).

    Privacy: (rho, delta)-approximate zCDP. Each unit counts once for each label it has. Labels that both neighbours have:
        a vector with at most max_rows entries of at most 1, squared L2 sensitivity max_rows. Labels that one unit alone
        has: at most max_rows of them, each at count 1, all below the threshold but with probability delta in all.
    Source: Korolova et al. 2009 for the threshold; Gaussian variant as in Swanberg et al. 2023.
    """
    opened = records.open()
    require_same_unit(opened, unit)
    labels = opened.labels[column.name]
    ticks = opened.ticks[column.name]
    owner = np.arange(opened.rows, dtype=np.int64) if opened.units is None else opened.units
    present = ticks != MISSING
    pairs = np.unique(np.stack([ticks[present], owner[present]]), axis=1)
    counts = np.bincount(pairs[0], minlength=len(labels)).astype(np.int64)
    occupied = np.flatnonzero(counts > 0)
    distinct_bound = unit.l1
    noisy, (event,) = mechanism.gaussian(
        [counts[occupied]],
        sensitivity_squared=distinct_bound,
        shares=[price.rho],
        stage=f"categories of {column.name}",
        noise=noise,
    )
    assert event.sigma_squared is not None
    threshold = stability_threshold(event.sigma_squared, distinct_bound, price.delta)
    found = sorted(
        labels[index] for index, count in zip(occupied.tolist(), noisy[0].tolist(), strict=True) if count >= threshold
    )
    charged = Event(
        stage=event.stage,
        mechanism="stability-threshold",
        rho=price.rho,
        delta=price.delta,
        sensitivity_squared=distinct_bound,
        sigma_squared=event.sigma_squared,
    )
    return Purchase(column=column.name, fact="categories", found=tuple(found), event=charged)


def bounds(
    records: Private[Records], column: NumericColumn, *, unit: PrivacyUnit, price: Price, noise: AbstractNoiseSource
) -> Purchase:
    """Learn a number's bounds: the outermost powers of two, in steps, whose noisy count stands out.

    Privacy: rho-zCDP: one histogram over a public grid (sign and bit length of the tick), squared L2 sensitivity
        unit.l2_squared. `price.delta` is not used.
    Raises: BudgetExceeded when no cell stands out of the noise: too little budget for the table. The budget is spent.
    """
    ticks = _present(records, column)
    length = np.searchsorted(1 << np.arange(_MAGNITUDES), np.abs(ticks), side="right")
    cell = np.where(ticks < 0, -length, length) + _MAGNITUDES
    noisy, event = _histogram(cell, 2 * _MAGNITUDES + 1, unit, price, noise, f"bounds of {column.name}")
    kept = np.flatnonzero(noisy >= _stands_out(event, len(noisy)))
    if not kept.size:
        raise BudgetExceeded(
            f'column "{column.name}": its bounds could not be told from the noise; declare lower and upper in the '
            "schema, or give the purchase a larger share"
        )
    low, high = int(kept[0]) - _MAGNITUDES, int(kept[-1]) - _MAGNITUDES
    found = (_outer_end(low, lower=True), _outer_end(high, lower=False))
    return Purchase(column=column.name, fact="bounds", found=_values(found, column), event=event)


def edges(
    records: Private[Records], column: NumericColumn, *, unit: PrivacyUnit, price: Price, noise: AbstractNoiseSource
) -> Purchase:
    """Learn bin edges between the declared bounds that hold about equally many records: quantiles of a noisy histogram.

    `found` are the first values of bins 2, 3, ... (fewer where they coincide).
    Privacy: rho-zCDP: one histogram of at most 512 equal cells of the public range, squared L2 sensitivity
        unit.l2_squared. `price.delta` is not used.
    """
    assert column.lower is not None
    assert column.upper is not None
    first, last = int(Decimal(column.lower) / column.unit), int(Decimal(column.upper) / column.unit)
    bins = _DEFAULT_BINS if column.bins is None or column.bins.method == "edges" else column.bins.count
    span = last - first + 1
    cells = min(_FINE_CELLS, span)
    starts = np.array([first + span * cell // cells for cell in range(cells)], dtype=np.int64)
    cell = np.searchsorted(starts, np.clip(_present(records, column), first, last), side="right") - 1
    noisy, event = _histogram(cell, cells, unit, price, noise, f"edges of {column.name}")
    mass = np.maximum(noisy, 0).astype(np.float64)
    if mass.sum() == 0:
        mass[:] = 1.0
    cumulative = np.cumsum(mass) / mass.sum()
    cuts = np.searchsorted(cumulative, np.arange(1, bins) / bins, side="left") + 1
    found = tuple(sorted({int(starts[cut]) for cut in cuts.tolist() if cut < cells}))
    return Purchase(column=column.name, fact="edges", found=_values(found, column), event=event)


def _present(records: Private[Records], column: NumericColumn) -> npt.NDArray[np.int64]:
    ticks: npt.NDArray[np.int64] = records.open().ticks[column.name]
    present: npt.NDArray[np.int64] = ticks[ticks != MISSING]
    return present


def _values(ticks: tuple[int, ...], column: NumericColumn) -> tuple[str, ...]:
    return tuple(format(tick * column.unit, "f") for tick in ticks)


def _histogram(
    cell: npt.NDArray[np.int64], cells: int, unit: PrivacyUnit, price: Price, noise: AbstractNoiseSource, stage: str
) -> tuple[npt.NDArray[np.int64], Event]:
    counts = np.bincount(cell, minlength=cells).astype(np.int64)
    noisy, (event,) = mechanism.gaussian(
        [counts], sensitivity_squared=unit.l2_squared, shares=[price.rho], stage=stage, noise=noise
    )
    return noisy[0], event


def _stands_out(event: Event, cells: int) -> float:
    """A count that an empty histogram exceeds anywhere with probability at most 1 % (union bound over its cells)."""
    assert event.sigma_squared is not None
    return math.sqrt(event.sigma_squared * 2 * math.log(cells / _FALSE_CELL)) + 1


def _outer_end(signed_length: int, *, lower: bool) -> int:
    """The outermost tick of a cell: cell b > 0 holds 2^(b-1) .. 2^b - 1, cell 0 holds 0, negative cells mirror."""
    if signed_length == 0:
        return 0
    magnitude = abs(signed_length)
    outward = (signed_length < 0) == lower
    end = (1 << magnitude) - 1 if outward else 1 << (magnitude - 1)
    return end if signed_length > 0 else -end
