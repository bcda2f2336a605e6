"""Deciding what moved: noisy tables of new data against those of an earlier release, with stated rates of false alarms.

Must never see anything but noisy answers and public facts: the decision can be made again by anyone who has them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from statistics import NormalDist
from typing import Final, Literal, TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.domain import Clique, Domain
from privsynth.latent.grouping import merge_rare
from privsynth.measurement import ErrorScores, Measurement, Transcript, measurements
from privsynth.privacy.query import MarginalErrors
from privsynth.refreshing.prior import Expected, Known, Prior

Floats = npt.NDArray[np.float64]
Status: TypeAlias = Literal["moved", "kept", "new", "noisy"]

COLUMNS: Final = "drift: columns"
PAIRS: Final = "drift: pairs"

_PAIR = 2
_MERGE_BELOW, _MOST_GROUPS = 4.0, 64
"""Levels below so many standard deviations of what they differ by for no reason are compared together, and no more groups."""

_ABSOLUTE, _SQUARE = math.sqrt(2 / math.pi), 1 - 2 / math.pi
"""Mean of a normal deviation's size, and the variance of it, at a standard deviation of 1."""

_TOGETHER = 3.0
"""The errors of a fitted table's cells go together: their sum of sizes varies by so many times what independent ones would."""

_LEAST, _UNKNOWN, _MOST, _FEW, _REACH = 0.25, 0.75, 1.25, 10, 5.0
"""A model is off where no refit can see it: real tables have structure that noise had hidden. So much beyond what is expected
of a pair, in parts of that, is never called a move. How much, between the least and the most, is told by how far the pairs'
upper quartile lies beyond their median, times five, with ten pairs or more: most did not move by themselves, if any did."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Column:
    """One column: `moved_by` is the share of records that would have to change for the old shares, `error` its noise alone.

    Units: shares of 1; `error` is what chance and noise alone make of it on average, which is taken off. `old` and `new` are
        noisy shares of the levels, `margin` the half-width within which the noise of each difference stays 90 % of the time;
        empty for a new column. `doubt` is the chance of as large a difference where nothing moved.
    """

    name: str
    status: Status
    moved_by: float
    error: float
    doubt: float
    old: Floats
    new: Floats
    margin: Floats


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A pair of columns of which neither moved: what it is off by beyond chance, noise and the model's own error.

    Units: shares of records (half the L1 distance); `bar` is what it would have to reach to count as moved.
    """

    clique: Clique
    status: Status
    moved_by: float
    bar: float


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decision:
    """What moved, from noisy answers alone. `total` is the estimated number of new records, `error` its standard deviation.

    `noisy` are tables of the earlier release that are too noisy to be kept, or to tell a move by.
    """

    total: float
    error: float
    columns: tuple[Column, ...]
    pairs: tuple[Pair, ...]
    noisy: frozenset[Clique] = frozenset()

    @property
    def fresh(self) -> tuple[str, ...]:
        """Columns that are measured anew: moved ones, and those that the earlier release does not tell of."""
        return tuple(column.name for column in self.columns if column.status != "kept")

    @property
    def fresh_pairs(self) -> frozenset[frozenset[str]]:
        """Pairs that moved although their columns did not, or that the earlier release is too noisy about."""
        moved = frozenset(frozenset(pair.clique) for pair in self.pairs if pair.status == "moved")
        return moved | frozenset(frozenset(clique) for clique in self.noisy if len(clique) == _PAIR)

    @property
    def nothing(self) -> bool:
        """Whether nothing moved that can be told, nothing is new, and nothing too noisy to tell."""
        return not self.fresh and not self.fresh_pairs

    def keeps(self, clique: Clique) -> bool:
        """Whether what the earlier release measured of a table is kept: nothing in it moved, and it is not too noisy."""
        inside = set(clique)
        if any(set(one) == inside for one in self.noisy):
            return False
        return inside.isdisjoint(self.fresh) and not any(pair <= inside for pair in self.fresh_pairs)


def decide(domain: Domain, prior: Prior, answers: Transcript, false_alarm: Fraction) -> Decision:
    """Read the drift test's answers; those of pairs may not have been asked for yet.

    Args: `false_alarm` is the chance with which anything at all is called moved when nothing did: half of it for the columns
        together, half for the pairs.
    """
    found = {one.clique[0]: one for one in measurements(answers) if one.event.stage == COLUMNS}
    total, error = _total(list(found.values()))
    alpha = float(false_alarm) / 2 / max(1, len(domain))
    noisy = prior.too_noisy(domain, total)
    columns = tuple(
        replace(one, status="noisy") if one.status == "kept" and (one.name,) in noisy else one
        for one in (_column(domain, prior, found[name], total, alpha) for name in domain.attributes)
    )
    scores = next((one for one in answers if isinstance(one, ErrorScores) and one.event.stage == PAIRS), None)
    pairs = () if scores is None else _pairs(prior, scores, total, float(false_alarm) / 2)
    return Decision(total=total, error=error, columns=columns, pairs=pairs, noisy=noisy)


def _total(found: Sequence[Measurement]) -> tuple[float, float]:
    """The number of records by all tables' sums, at least 1; and its standard deviation."""
    if not found:
        return 1.0, 0.0
    precisions = [1 / (one.values.size * one.variance) for one in found]
    sums = [float(one.values.sum()) for one in found]
    return max(1.0, float(np.average(sums, weights=precisions))), 1 / math.sqrt(sum(precisions))


def _column(domain: Domain, prior: Prior, now: Measurement, total: float, alpha: float) -> Column:
    """Compare the shares of one column's levels, rare ones taken together."""
    name = now.clique[0]
    then = prior.table((name,))
    counts = now.values.astype(np.float64)
    if then is None:
        return Column(
            name=name,
            status="new",
            moved_by=0.0,
            error=0.0,
            doubt=0.0,
            old=np.zeros(0),
            new=counts / total,
            margin=np.zeros(0),
        )
    scale = total / prior.total
    own = np.full(counts.shape, now.variance)
    chance = _shares(then.values * scale, then.noise * scale**2, counts, own)
    noise = then.noise * scale**2 + own
    of = _groups(total * chance, math.sqrt(float(np.median(noise))), domain, name)
    grouped = np.bincount(of, weights=chance).astype(np.float64)
    differences, covariance = np.zeros(len(grouped)), np.zeros((len(grouped),) * 2)
    sides = ((counts, own, total), (-then.values, then.noise, prior.total))
    for values, variances, records in sides:
        summed = np.bincount(of, weights=values)
        differences += (summed - grouped * summed.sum()) / records
        covariance += _covariance(
            grouped, np.bincount(of, weights=variances).astype(np.float64), records, prior.rows_a_unit
        )
    doubt = _doubt(differences, covariance)
    spread = np.sqrt(np.diag(covariance))
    old, new = then.values / prior.total, counts / total
    margin = NormalDist().inv_cdf(0.95) * np.sqrt(noise) / total
    by_chance = float(_ABSOLUTE * spread.sum() / 2)
    return Column(
        name=name,
        status="moved" if doubt < alpha else "kept",
        moved_by=max(0.0, float(np.abs(differences).sum()) / 2 - by_chance),
        error=by_chance,
        doubt=doubt,
        old=old,
        new=new,
        margin=margin,
    )


def _shares(one: Floats, one_variance: Floats, other: Floats, other_variance: Floats) -> Floats:
    """Shares of a column's levels as both tables have them."""
    pooled = (one / one_variance + other / other_variance) / (1 / one_variance + 1 / other_variance)
    positive = np.maximum(pooled, 0.5)
    return np.asarray(positive / positive.sum())


def _groups(counts: Floats, noise: float, domain: Domain, name: str) -> npt.NDArray[np.int64]:
    threshold = _MERGE_BELOW * noise
    while True:
        of = merge_rare(counts, threshold, domain.fact(name)) if len(counts) > 1 else np.zeros(1, dtype=np.int64)
        if int(of.max()) < _MOST_GROUPS:
            return of
        threshold *= 2


def _covariance(shares: Floats, noise: Floats, records: float, together: int) -> Floats:
    """Of a table's shares about given ones, its own sum taken out: noise, and chance of who is in the table.

    Rows of one unit may all be alike: chance is then as large as of so many times fewer units.
    """
    centred = np.eye(len(shares)) - shares[:, None]
    by_noise = (centred * noise) @ centred.T
    by_chance = records * together * (np.diag(shares) - np.outer(shares, shares))
    return np.asarray((by_noise + by_chance) / records**2)


def _doubt(differences: Floats, covariance: Floats) -> float:
    """The chance of differences as large as these, or larger, where nothing moved: chi-square of the squared length.

    Source: Wilson, Hilferty 1931 for the chi-square distribution.
    """
    values, vectors = np.linalg.eigh(covariance)
    kept = values > 1e-9 * values.max(initial=0.0)
    degrees = int(kept.sum())
    if not degrees:
        return 1.0
    squared = float((((differences @ vectors[:, kept]) ** 2) / values[kept]).sum())
    step = 2 / (9 * degrees)
    return NormalDist().cdf(-((squared / degrees) ** (1 / 3) - 1 + step) / math.sqrt(step))


def by_chance(expected: Expected, prior: Prior, total: float) -> tuple[float, float]:
    """What a pair's table is off its scaled reference by where nothing moved, in L1 of records: (mean, variance)."""
    scale = total / prior.total
    reference = np.maximum(expected.table, 0.0)
    rows = prior.rows_a_unit
    variance = total / prior.total * reference * rows + scale**2 * (expected.error + (rows - 1) * reference)
    return float(_ABSOLUTE * np.sqrt(variance).sum()), float(_TOGETHER * _SQUARE * variance.sum())


def _pairs(prior: Prior, scores: ErrorScores, total: float, alpha: float) -> tuple[Pair, ...]:
    """The pairs whose score stands out of what all pairs are off by."""
    assert scores.event.sigma_squared is not None
    known = {frozenset(one.clique): one for one in prior.expected}
    expected = [by_chance(known[frozenset(clique)], prior, total) for clique in scores.cliques]
    means, variances = (np.array(part) for part in zip(*expected, strict=True))
    beyond = scores.values / MarginalErrors.GRID
    noise = float(scores.event.sigma_squared) / MarginalErrors.GRID**2
    misfits = np.array([known[frozenset(clique)].misfit for clique in scores.cliques]) * total / prior.total
    allowed = _allowed(beyond, means, math.sqrt(noise)) * means + misfits
    bars = allowed + NormalDist().inv_cdf(1 - alpha / len(beyond)) * np.sqrt(noise + variances)
    return tuple(
        Pair(
            clique=clique,
            status="moved" if value > bar else "kept",
            moved_by=max(0.0, float(value)) / total / 2,
            bar=float(bar) / total / 2,
        )
        for clique, value, bar in zip(scores.cliques, beyond.tolist(), bars.tolist(), strict=True)
    )


def _allowed(beyond: Floats, means: Floats, noise: float) -> float:
    """Which part of what is expected of a pair models are off by without being seen to be."""
    told = (beyond / means)[means > noise]
    if len(told) < _FEW:
        return _UNKNOWN
    middle, upper = np.quantile(told, [0.5, 0.75])
    return float(min(max(middle + _REACH * (upper - middle), _LEAST), _MOST))


def averaged(found: Sequence[Measurement], clique: Clique) -> Known:
    """One clique's tables in a transcript, all over the same cells, averaged by inverse variance."""
    same = [one for one in found if one.clique == clique]
    precision = sum(1 / one.variance for one in same)
    values = sum((one.values / one.variance for one in same), np.zeros(same[0].values.shape)) / precision
    return Known(clique=clique, values=np.asarray(values), variance=1 / precision, groups={})
