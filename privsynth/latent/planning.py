"""The plan: how much of the budget one-way tables get, which levels are merged, and what each table weighs.

Must never see anything but noisy one-way tables, the schema's facts and the budget.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, final

import numpy as np
import numpy.typing as npt

from privsynth.domain import LevelFacts
from privsynth.latent.grouping import merge_rare

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ONE_WAY_SHARES: Final = tuple(Fraction(share, 100) for share in (10, 15, 25, 35, 50, 65, 80))
"""Shares of the budget for one-way tables that are compared; the last choice is all of it, and no pairs."""

_MERGE_BELOW = 4.0
"""Levels of fewer noisy records than this many standard deviations of a pair's cell are merged."""

_MOST_GROUPS, _FEWEST_GROUPS = 1_500, 2
"""Groups of all attributes together, whatever the counts: all pairs are a square of as many. An attribute has two at least."""

_DEPENDENCE = (0.3, 0.1)
"""The strengths that every pair is taken to have before anything is known of it: its first two canonical correlations."""

_GIVEN = 0.3
"""How much the pairs of two given attributes weigh, where others weigh 1: they are measured elsewhere, and here they only tell
dependence through others apart. docs/decisions/0020."""

_ABOVE = 2.0
"""How much the pairs weigh of a given attribute that is not of the record before and one that is not given."""

_STEPS = 0.3
"""Share of all pairs' weight for the pairs of a chain, an attribute and the same of the record before: drawn rows hand their
errors on to the next ones, and no other table tells of these. docs/decisions/0020."""

_GRID = 1 << 20


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What there is to spend: rho for the plan, and what one unit moves a table by (L2, squared)."""

    rho: float
    sensitivity_squared: int

    def variance(self, weight: Floats) -> Floats:
        """Noise variance of tables that get these shares of rho."""
        return self.sensitivity_squared / (2 * self.rho * weight)


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """What is measured next.

    `one_way_share` counts what was spent on one-way tables already; 1 means no pairs. `groups` has the group of each level,
    an attribute each. `weights[i, j]` is how a pair's share of the pairs' budget compares.
    """

    one_way_share: Fraction
    groups: tuple[Ints, ...]
    weights: Floats


def one_way_weights(sizes: Sequence[int]) -> tuple[Fraction, ...]:
    """How one-way tables share their budget: like the square root of their levels.

    A table of s levels errs by s times its noise, which is 1 / sqrt(weight); the sum over tables is least for weights like
    s^(2/3), and smoothing and merging make wide tables easier than that.
    """
    return exact_shares(np.sqrt(np.asarray(sizes, dtype=np.float64)))


def exact_shares(weights: Floats) -> tuple[Fraction, ...]:
    """Positive weights as exact fractions that sum to 1."""
    whole = [max(1, round(weight)) for weight in (weights / weights.max() * _GRID).tolist()]
    return tuple(Fraction(weight, sum(whole)) for weight in whole)


def of_few_sizes(weights: Floats) -> Floats:
    """Positive weights rounded to powers of the square root of 2.

    Noise of one size is drawn together, from one table of its distribution: a few sizes instead of one for every pair.
    """
    return np.asarray(np.exp2(np.round(2 * np.log2(weights)) / 2))


def make_plan(estimates: Sequence[Floats], facts: Sequence[LevelFacts], budget: Budget, spent: Fraction) -> Plan:
    """Choose the plan of least expected error, mean over all pairs, from estimated one-way tables, which took `spent` of rho.

    A one-way table errs by its noise, or by twice its level where that is less. A pair errs by the part of its dependence
    that the noise of a rank-one estimate hides, or by all of it where it is not measured.
    """
    shares = [share for share in ONE_WAY_SHARES if share >= spent]
    plans = [_priced(estimates, facts, budget, share) for share in (*shares, Fraction(1))]
    return min(plans, key=lambda priced: priced[0])[1]


def _priced(
    estimates: Sequence[Floats], facts: Sequence[LevelFacts], budget: Budget, share: Fraction
) -> tuple[float, Plan]:
    """A plan with this one-way share, and its expected error."""
    total = float(estimates[0].sum())
    important = _importance(facts)
    sizes = np.array([len(counts) for counts in estimates])
    one_way = budget.variance(float(share) * np.array([float(weight) for weight in one_way_weights(sizes.tolist())]))
    if share == 1:
        plan = Plan(
            one_way_share=share, groups=tuple(np.arange(size) for size in sizes), weights=np.zeros_like(important)
        )
        single = _one_way_errors(estimates, 1 / one_way, total)
        return _mean_over_pairs(single, np.full_like(plan.weights, 0.4), important), plan
    for_pairs = 1 - float(share)
    typical = math.sqrt(budget.variance(np.array(for_pairs / (important.sum() / 2))))
    groups = _merged(estimates, facts, _MERGE_BELOW * typical)
    reach = _reach(estimates, groups)
    weights = np.cbrt(reach) * important
    weights /= weights.sum() / 2
    variance = budget.variance(np.where(weights > 0, for_pairs * weights, np.inf))
    noise = np.sqrt(variance) * reach / total
    pair_errors = sum(np.minimum(strength, noise) for strength in _DEPENDENCE)
    counts = np.array([int(group_of.max()) + 1 for group_of in groups])
    told = np.where(variance > 0, 1 / np.where(variance > 0, variance, 1.0), 0.0)
    precision = 1 / one_way + counts / sizes * (told / counts[None, :]).sum(axis=1)
    return (
        _mean_over_pairs(_one_way_errors(estimates, precision, total), np.asarray(pair_errors), important),
        Plan(one_way_share=share, groups=groups, weights=weights),
    )


def _merged(estimates: Sequence[Floats], facts: Sequence[LevelFacts], threshold: float) -> tuple[Ints, ...]:
    """Each attribute's groups of levels; levels are merged further, the rarest first, where there would be too many."""
    while True:
        groups = tuple(merge_rare(counts, threshold, fact) for counts, fact in zip(estimates, facts, strict=True))
        most = max(_MOST_GROUPS, _FEWEST_GROUPS * len(groups))
        if sum(int(group_of.max()) + 1 for group_of in groups) <= most:
            return groups
        threshold *= 2


def _one_way_errors(estimates: Sequence[Floats], precision: Floats, total: float) -> Floats:
    """Expected L1 error of each normalised one-way table. Shapes: (attributes,)."""
    spread = 1 / np.sqrt(precision)
    parts = zip(estimates, spread.tolist(), strict=True)
    return np.array([np.minimum(0.8 * sigma, 2 * counts + 0.4 * sigma).sum() for counts, sigma in parts]) / total


def _reach(estimates: Sequence[Floats], groups: Sequence[Ints]) -> Floats:
    """L1 error of a pair's rank-one estimate at noise 1, in records: sqrt((g_i + g_j) e_i e_j), e effective levels."""
    shares = [counts / counts.sum() for counts in estimates]
    effective = np.array([1 / (share**2).sum() for share in shares])
    counts = np.array([int(group_of.max()) + 1 for group_of in groups])
    return np.asarray(np.sqrt((counts[:, None] + counts[None, :]) * np.outer(effective, effective)))


def _importance(facts: Sequence[LevelFacts]) -> Floats:
    """How much each pair's error counts; 0 on the diagonal. Shapes: (attributes, attributes)."""
    given, chain = np.array([fact.given for fact in facts]), np.array([fact.chain for fact in facts])
    found = np.where(given[:, None] & given[None, :], _GIVEN, 1.0)
    one_given = given[:, None] ^ given[None, :]
    above = given & (chain == "")
    found[one_given & (above[:, None] | above[None, :])] = _ABOVE
    np.fill_diagonal(found, 0.0)
    steps = (chain[:, None] == chain[None, :]) & (chain != "")[:, None] & one_given
    others = float(found[~steps].sum())
    if steps.any() and others > 0:
        found[steps] = max(1.0, _STEPS / (1 - _STEPS) * others / int(steps.sum()))
    return found


def _mean_over_pairs(one_way: Floats, pair: Floats, important: Floats) -> float:
    return float(np.average(one_way[:, None] + one_way[None, :] + pair, weights=important))
