"""Profiles: what part of each of a column's levels a condition keeps, and the mean value inside it.

Must never be told more of a bin's inside than its neighbours' noisy counts suggest: what a bin holds inside is not measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import numpy.typing as npt

from privsynth.schema.columns import IntegerColumn, ModelledColumn, NumberColumn
from privsynth.schema.levels import Levels, levels
from privsynth.schema.ticks import MISSING

Floats = npt.NDArray[np.float64]

_STEEPEST: Final = 60.0
"""The natural logarithm by which density inside one bin is taken to change at most."""

_DISPERSION: Final = 0.2
_HEAP: Final = 0.1
"""Of what a bin keeps under a condition that cuts it: the variance of its share f is so much of f (1 - f), and the square of
the second besides: real numbers are heaped on round values, which is where bins are cut."""

_UNSURE: Final = 0.5
"""The standard deviation of a bin's slope is this part of what its neighbours suggest, and of this much besides."""

_SHIFT: Final = 0.08
"""The standard deviation of where the mean of a wide bin lies, as a part of its width: of all bins of a column together,
because values are heaped on round numbers, and bins begin with these."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Region:
    """What conditions leave of one column, in granules: `lower` to `upper`, of these `only` some, without some others.

    `present` says that values are admitted at all, `missing` that the missing level is.
    """

    lower: int
    upper: int
    only: frozenset[int] | None = None
    without: frozenset[int] = frozenset()
    present: bool = True
    missing: bool = False

    def met_by(self, other: Region) -> Region:
        """Both at once."""
        only = self.only if other.only is None else other.only if self.only is None else self.only & other.only
        return Region(
            lower=max(self.lower, other.lower),
            upper=min(self.upper, other.upper),
            only=only,
            without=self.without | other.without,
            present=self.present and other.present,
            missing=self.missing and other.missing,
        )

    def listed(self) -> npt.NDArray[np.int64] | None:
        """The values that are left, ascending, where they are listed; None for an interval."""
        if self.only is None:
            return None
        left = [one for one in self.only - self.without if self.lower <= one <= self.upper]
        return np.array(sorted(left), dtype=np.int64)

    def admits(self, found: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which granules are admitted. Shapes: as `found`."""
        absent = found == MISSING
        inside = ~absent & (found >= self.lower) & (found <= self.upper) & self.present
        if self.only is not None:
            inside &= np.isin(found, np.array(sorted(self.only), dtype=np.int64))
        if self.without:
            inside &= ~np.isin(found, np.array(sorted(self.without), dtype=np.int64))
        met: npt.NDArray[np.bool_] = inside | (absent & self.missing)
        return met


def whole(column: ModelledColumn, *, missing: bool) -> Region:
    """The region of all values."""
    layout = levels(column)
    return Region(lower=layout.lower, upper=layout.upper, missing=missing and layout.missing)


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inside:
    """How records are taken to lie inside a column's bins: with a density that rises or falls by e^slope over each.

    `shift` moves the means of all bins by this part of their widths. Shapes: `slopes` is (bins,).
    """

    layout: Levels
    slopes: Floats
    shift: float = 0.0

    def below(self, ranks: npt.NDArray[np.int64], bins: npt.NDArray[np.int64]) -> Floats:
        """The part of each of these bins that lies below a rank. Shapes: both (n,)."""
        start, width = self.layout.ranks[bins], np.diff(self.layout.ranks)[bins]
        place = np.clip((ranks - start) / np.maximum(width, 1), 0.0, 1.0)
        slope = self.slopes[bins]
        flat = np.abs(slope) < 1e-6
        safe = np.where(flat, 1.0, slope)
        return np.where(flat, place, np.expm1(safe * place) / np.expm1(safe))

    def centres(self) -> Floats:
        """Where the mean of each bin lies between its ends, 0 to 1. Shapes: (bins,)."""
        flat = np.abs(self.slopes) < 1e-6
        safe = np.where(flat, 1.0, self.slopes)
        found = np.where(flat, 0.5, 1 / -np.expm1(-safe) - 1 / safe)
        return np.clip(found + self.shift * np.where(np.diff(self.layout.ranks) > 1, 1.0, 0.0), 0.0, 1.0)

    def shaken(self, rng: np.random.Generator) -> Inside:
        """As it might be otherwise: each bin's slope is only suggested by its neighbours."""
        wide = np.diff(self.layout.ranks) > 1
        common = math.exp(_UNSURE * rng.standard_normal())  # of a skewed column all bins are wrong together
        moved = self.slopes * common + _UNSURE * rng.standard_normal(len(self.slopes))
        slopes = np.where(wide, np.clip(moved, -_STEEPEST, _STEEPEST), 0.0)
        return Inside(layout=self.layout, slopes=slopes, shift=_SHIFT * rng.standard_normal())


def inside_of(column: ModelledColumn, counts: Floats) -> Inside:
    """The slopes that a column's own noisy counts suggest: the density's between each bin's two neighbours.

    The first and the last bin, often much wider than the others, begin where their neighbour's density is, and fall from there.
    Shapes: `counts` is (levels,).
    """
    layout = levels(column)
    bins = layout.bins
    widths = np.diff(layout.ranks).astype(np.float64)
    if bins < 2 or widths.max(initial=1) <= 1:
        return Inside(layout=layout, slopes=np.zeros(bins))
    floor = max(float(counts[:bins].sum()) * 1e-5, 1e-9)
    density = np.log(np.maximum(counts[:bins], floor) / np.maximum(widths, 1))
    middle = layout.ranks[:-1] + widths / 2
    left, right = np.maximum(np.arange(bins) - 1, 0), np.minimum(np.arange(bins) + 1, bins - 1)
    slope = (density[right] - density[left]) / np.maximum(middle[right] - middle[left], 1e-9)
    slopes = slope * widths
    slopes[0] = _from_edge(float(density[1] - density[0]))
    slopes[-1] = -_from_edge(float(density[-2] - density[-1]))
    return Inside(layout=layout, slopes=np.where(widths > 1, np.clip(slopes, -_STEEPEST, _STEEPEST), 0.0))


def _from_edge(higher: float) -> float:
    """The slope of a bin at whose end the density's logarithm is near its neighbour's, which is `higher` than its own.

    With slope s the density at the end is s / (1 - e^-s) times the mean.
    """
    wanted = math.exp(min(0.75 * abs(higher), math.log(_STEEPEST)))
    low, high = 0.0, _STEEPEST
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if middle / -math.expm1(-max(middle, 1e-12)) < wanted else (low, middle)
    return math.copysign(low, higher)


def kept(region: Region, inside: Inside) -> Floats:
    """The part of each level that a region keeps. Shapes: (levels,)."""
    layout = inside.layout
    out = np.zeros(layout.size)
    every = np.arange(layout.bins)
    if region.present and region.only is None and region.lower <= region.upper:
        ends = layout.rank(np.array([region.lower, region.upper + 1]))
        out[: layout.bins] = inside.below(np.full(layout.bins, ends[1]), every) - inside.below(
            np.full(layout.bins, ends[0]), every
        )
        out[layout.bins : layout.bins + layout.atoms.size] = (layout.atoms >= region.lower) & (
            layout.atoms <= region.upper
        )
        gone = [one for one in region.without if region.lower <= one <= region.upper]
        out -= _points(np.array(sorted(gone), dtype=np.int64), inside)
    elif region.present:
        listed = region.listed()
        out += _points(np.zeros(0, dtype=np.int64) if listed is None else listed, inside)
    if layout.missing:
        out[-1] = float(region.missing)
    return np.clip(out, 0.0, 1.0)


def _points(values: npt.NDArray[np.int64], inside: Inside) -> Floats:
    """The part of each level that single granules make up."""
    layout = inside.layout
    out = np.zeros(layout.size)
    if not values.size:
        return out
    codes, ranks = layout.codes(values), layout.rank(values)
    binned = codes < layout.bins
    bins = codes[binned]
    np.add.at(out, bins, inside.below(ranks[binned] + 1, bins) - inside.below(ranks[binned], bins))
    out[codes[~binned]] = 1.0
    return out


def shaken_kept(share: Floats, rng: np.random.Generator) -> Floats:
    """What a condition might keep of levels that it cuts; others stay."""
    cut = (share > 0) & (share < 1)
    if not cut.any():
        return share
    out = share.copy()
    spread = np.sqrt(_DISPERSION * share[cut] * (1 - share[cut]) + _HEAP**2)
    out[cut] = np.clip(share[cut] + spread * rng.standard_normal(int(cut.sum())), 0.0, 1.0)
    return out


def ends(column: ModelledColumn, region: Region, inside: Inside) -> tuple[Floats, Floats]:
    """The lowest and highest value that a region can keep of each level, in the column's unit; 0 for the missing level.

    Shapes: (levels,), twice.
    """
    unit = float(column.unit) if isinstance(column, IntegerColumn | NumberColumn) else 1.0
    first, last = inside.layout.span(np.arange(inside.layout.size))
    low = np.where(first == MISSING, 0, np.maximum(first, region.lower)) * unit
    return low, np.where(last == MISSING, 0, np.minimum(last, region.upper)) * unit


def values(column: ModelledColumn, region: Region, inside: Inside) -> tuple[Floats, Floats]:
    """Mean value and mean squared value of what a region keeps of each level, in the column's unit; 0 where it keeps nothing.

    Shapes: (levels,), twice. A bin that a region cuts is taken to be even inside.
    """
    layout = inside.layout
    first, last = layout.span(np.arange(layout.size))
    low, high = ends(column, region, inside)
    whole_bin = (first >= region.lower) & (last <= region.upper)
    centre = np.full(layout.size, 0.5)
    centre[: layout.bins] = inside.centres()
    width = np.maximum(high - low, 0.0)
    place = np.where(whole_bin, centre, 0.5)
    mean = low + place * width
    # Of a density e^(slope x) on [0, 1], the variance of x is near (1/12) (1 - (2 place - 1)^2)^2, exact where it is flat.
    variance = width**2 / 12 * (1 - (2 * place - 1) ** 2) ** 2
    if layout.missing:
        mean[-1] = variance[-1] = 0.0
    return mean, mean**2 + variance
