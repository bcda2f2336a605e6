"""Margins: how many records each level may really have, given its noisy count, what the fit says, and counts like it.

Must never see anything but noisy tables and what was fitted to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import numpy.typing as npt

from privsynth.latent.fitted import Fitted
from privsynth.latent.layout import group_sums
from privsynth.latent.observed import Observed
from privsynth.latent.smoothing import smooth

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_SWEEPS: Final = 10
_PLACES: Final = 48
"""Sweeps of the sampler, and between how many places it chooses a level's count."""

_SMOOTHINGS: Final = 30
"""Noises from which it is told how far smoothed levels are off inside their groups."""

_SEEN: Final = 2.0
"""A group of fewer noisy records than so many standard deviations is judged from its own count, others from the fit as well."""

_BIASES: Final = np.append(0.0, np.exp2(np.arange(-3.0, 9.0)))
"""Squared distances of a fit from the truth, beyond what noise explains, in units of a count's noise variance."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Column:
    """What is known of one attribute's counts: groups' sums, and how levels differ inside a group, both with normal noise.

    Shapes: `levels` and `group_of` are (levels,); `groups`, `variance` (of their sums) and `size` (levels in each) are
        (groups,); `inside` is the variance of a level's difference from others of its group.
    """

    levels: Floats
    inside: float
    groups: Floats
    variance: Floats
    group_of: Ints
    size: Ints


def columns_of(seen: Observed, total: float, rng: np.random.Generator) -> list[Column]:
    """Each attribute's counts by least squares, from its own table and the sums of all its pairs, summing to `total`."""
    assert seen.pairs is not None
    found = []
    for axis, of in enumerate(seen.group_of):
        noisy, variance, size = seen.levels[axis], seen.level_variances[axis], np.bincount(of)
        told = 1 / (np.array(seen.layout.sizes) * seen.sigma[axis] ** 2)
        rows = np.add.reduceat(seen.pairs[seen.layout.part(axis)], seen.layout.starts, axis=1)
        precision = 1 / (size * variance) + told.sum()
        groups = (group_sums(noisy, of) / (size * variance) + rows @ told) / precision
        groups += (total - groups.sum()) / precision / (1 / precision).sum()
        ordered = seen.domain.fact(seen.domain.attributes[axis]).ordered
        found.append(
            Column(
                levels=smooth(noisy, variance, ordered),
                inside=_inside(np.maximum(smooth(noisy, variance, ordered), 0.0), variance, ordered, of, rng),
                groups=groups,
                variance=1 / precision,
                group_of=of,
                size=size,
            )
        )
    return found


def _inside(counts: Floats, variance: float, ordered: int, of: Ints, rng: np.random.Generator) -> float:
    """The variance of levels' differences inside groups: that of noise, or less where smoothing takes some of it out."""
    size = np.bincount(of)
    merged = (size > 1)[of]
    if not merged[:ordered].any():
        return variance
    squares = np.zeros(len(counts))
    for _ in range(_SMOOTHINGS):
        apart = smooth(counts + np.sqrt(variance) * rng.standard_normal(len(counts)), variance, ordered) - counts
        squares += (apart - (group_sums(apart, of) / size)[of]) ** 2
    return float(max(squares[merged].sum() / _SMOOTHINGS / (1 - 1 / size)[of][merged].sum(), 1e-6 * variance))


def drawn_errors(
    columns: Sequence[Column], fitted: Fitted, noise_part: float, draws: int, rng: np.random.Generator
) -> list[Floats]:
    """Draws of how far the fit's count of each level may be from the real one: the fit's minus a draw of the latter.

    A rare level's error is no symmetric normal one: a count below zero was cut off there, and one of 100 with noise of 60 is
    more likely than not a count of next to none, where most rare levels of the release are so. What counts are like is taken
    from all of them (empirical Bayes), and levels share their group's sum and the number of records.

    Args: `noise_part` is the squared error of a fit's margins in refits, in units of the counts' noise variance. Where a
        fit is further from the counts than that explains, it is taken to be off by the more.
    Shapes: (levels of i, draws) each, in records.
    Source: Robbins 1956; Laird 1978 (a prior from the counts themselves); Geman, Geman 1984 (Gibbs sampling).
    """
    margins = fitted.mixture.layout.split(fitted.total * fitted.mixture.one_way())
    believed = _believed(columns, margins, noise_part)
    prior = Prior(columns, fitted.total)
    counts = [_started(column, fitted.total, draws, rng) for column in believed]
    for _ in range(_SWEEPS):
        prior.learn(counts)
        for column, drawn in zip(believed, counts, strict=True):
            _sweep(column, drawn, prior, rng)
    parts = zip(margins, columns, fitted.within, counts, strict=True)
    return [(groups[one.group_of] * within)[:, None] - drawn for groups, one, within, drawn in parts]


def _believed(columns: Sequence[Column], margins: Sequence[Floats], noise_part: float) -> list[Column]:
    """Counts between the fit's and the noisy ones, each attribute as near to either as their distance says.

    A fit's own error is independent of its distance from the noisy counts where it uses them well; what it is off by beyond
    that (b squared, in units of noise) makes the distance larger, and moves the mean of what is believed towards the counts by
    b^2 / (1 - noise_part + b^2). How large b is, is told from all attributes' distances together.
    """
    part = min(noise_part, 0.98)
    clear = [column.groups > _SEEN * np.sqrt(column.variance) for column in columns]
    freedom = np.array([max(1, int(each.sum()) - 1) for each in clear])
    apart = np.array(
        [
            ((fit - column.groups)[each] ** 2 / column.variance[each]).sum()
            for column, fit, each in zip(columns, margins, clear, strict=True)
        ]
    )
    spread = 1 - part + _BIASES
    chance = mixed(-0.5 * freedom[:, None] * np.log(spread) - 0.5 * apart[:, None] / spread)
    moved = _BIASES / spread
    leaning, width = chance @ moved, chance @ (part + _BIASES * (1 - moved))
    found = []
    for place, (column, fit, each) in enumerate(zip(columns, margins, clear, strict=True)):
        groups = np.where(each, fit + leaning[place] * (column.groups - fit), column.groups)
        variance = np.where(each, width[place] * column.variance, column.variance)
        levels = column.levels + ((groups - group_sums(column.levels, column.group_of)) / column.size)[column.group_of]
        found.append(
            Column(
                levels=levels,
                inside=column.inside,
                groups=groups,
                variance=variance,
                group_of=column.group_of,
                size=column.size,
            )
        )
    return found


def mixed(likelihood: Floats) -> Floats:
    """Chances of each case for each observation, where how common the cases are is learned from all observations.

    Shapes: logarithms of likelihoods (observations, cases) -> chances, summing to 1 over cases.
    Source: Laird 1978. One observation more, shared by all cases, keeps each of them possible.
    """
    raised = np.exp(likelihood - likelihood.max(axis=1, keepdims=True))
    cases = raised.shape[1]
    common = np.full(cases, 1 / cases)
    for _ in range(200):
        chance = raised * common
        chance /= chance.sum(axis=1, keepdims=True)
        common = chance.sum(axis=0) + 1 / cases
        common /= common.sum()
    return np.asarray(chance)


@final
class Prior:
    """What counts of levels are like: none at all, or even between the powers of two of half the smallest noise.

    Shapes: `edges` is (cases,): 0 and where the intervals end; `chances` is (cases,), first that of none.
    """

    def __init__(self, columns: Sequence[Column], total: float) -> None:
        least = min(float(np.sqrt(column.variance.min())) for column in columns) / 2
        doublings = max(1, int(np.ceil(np.log2(max(1.01 * total / least, 1.0)))))
        self.edges = np.append(0.0, least * np.exp2(np.arange(doublings + 1)))
        self.chances = np.full(self.edges.size, 1 / self.edges.size)

    def learn(self, counts: Sequence[Floats]) -> None:
        """Take chances from draws of all levels' counts. Shapes: (levels, draws) each."""
        cases = self.edges.size
        found = sum(np.bincount(self._case(drawn.ravel()), minlength=cases) / drawn.shape[1] for drawn in counts)
        self.chances = (found + 1 / cases) / np.sum(found + 1 / cases)

    def density(self, counts: Floats) -> Floats:
        """The logarithm of the density at counts above none. Shapes: as `counts`."""
        dense = np.log(self.chances[1:] / np.diff(self.edges))
        return np.asarray(dense[np.maximum(self._case(counts) - 1, 0)])

    def _case(self, counts: Floats) -> Ints:
        above = np.clip(np.searchsorted(self.edges, counts, side="right"), 1, self.edges.size - 1)
        return np.asarray(np.where(counts > 0, above, 0))


def _started(column: Column, total: float, draws: int, rng: np.random.Generator) -> Floats:
    """Draws of counts with normal noise alone, none below zero, the largest level making up for the sum."""
    sums = column.groups[:, None] + np.sqrt(column.variance)[:, None] * rng.standard_normal((len(column.size), draws))
    sums += (total - sums.sum(axis=0)) * (column.variance / column.variance.sum())[:, None]
    moved = np.sqrt(column.inside) * rng.standard_normal((len(column.levels), draws))
    moved += column.levels[:, None]
    now = _sums(moved, column.group_of)
    counts = np.maximum(moved + ((sums - now) / column.size[:, None])[column.group_of], 0.0)
    largest = int(np.argmax(counts.mean(axis=1)))
    counts[largest] = np.maximum(0.0, total - (counts.sum(axis=0) - counts[largest]))
    return np.asarray(counts)


def _sums(values: Floats, of: Ints) -> Floats:
    """Sums over the levels of each group. Shapes: (levels, draws) -> (groups, draws)."""
    out = np.zeros((int(of.max()) + 1, values.shape[1]))
    np.add.at(out, of, values)
    return out


def _sweep(column: Column, counts: Floats, prior: Prior, rng: np.random.Generator) -> None:
    """Draw each level's count anew given the others', in place; the largest level gives and takes."""
    hub = int(np.argmax(counts.mean(axis=1)))
    of, size, inside, precision = column.group_of, column.size, column.inside, 1 / column.variance
    apart = counts - column.levels[:, None]
    sums = _sums(apart, of)
    known = group_sums(column.levels, of) - column.groups
    home = of[hub]
    for level in range(len(column.levels)):
        if level == hub:
            continue
        group = of[level]
        slope, its = (
            (apart[one] - sums[which] / size[which]) / inside + precision[which] * (sums[which] + known[which])
            for one, which in ((level, group), (hub, home))
        )
        bend = (2 - 1 / size[group] - 1 / size[home]) / inside + precision[group] + precision[home]
        if group == home:
            bend = 2 / inside
        room = counts[level] + counts[hub]
        new = _chosen(counts[level] - (slope - its) / bend, 1 / np.sqrt(bend), room, prior, rng)
        change = new - counts[level]
        counts[level] = new
        counts[hub] -= change
        apart[level] += change
        apart[hub] -= change
        sums[group] += change
        sums[home] -= change


def _chosen(mean: Floats, spread: float, room: Floats, prior: Prior, rng: np.random.Generator) -> Floats:
    """Counts between none and `room` in proportion to the prior and a normal density. Shapes: (draws,)."""
    low = np.clip(mean - 5 * spread, 0.0, room)
    high = np.minimum(np.maximum(mean + 5 * spread, 2.5 * spread), room)
    step = np.maximum(high - low, 1e-9) / _PLACES
    places = low[:, None] + (np.arange(_PLACES) + rng.random((len(mean), 1))) * step[:, None]
    weights = prior.density(places) + np.log(step)[:, None] - 0.5 * ((places - mean[:, None]) / spread) ** 2
    none = np.log(prior.chances[0]) - 0.5 * (mean / spread) ** 2
    weights = np.concatenate([none[:, None], weights], axis=1)
    ends = np.cumsum(np.exp(weights - weights.max(axis=1, keepdims=True)), axis=1)
    marks = rng.random(len(mean)) * ends[:, -1]
    chosen = np.minimum((ends < marks[:, None]).sum(axis=1), _PLACES)
    found = np.concatenate([np.zeros((len(mean), 1)), places], axis=1)
    return np.asarray(found[np.arange(len(mean)), chosen])
