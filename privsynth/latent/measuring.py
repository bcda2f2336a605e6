"""Measuring all one-way tables and all pairs within a budget, as a plan from the first one-way tables says.

Must never ask for anything but through the curator, and for nothing but tables.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from privsynth.domain import Clique, Domain
from privsynth.latent.observed import observe
from privsynth.latent.planning import Budget, Plan, exact_shares, make_plan, of_few_sizes, one_way_weights
from privsynth.latent.reconciling import reconcile
from privsynth.measurement import measurements
from privsynth.privacy.source import MAX_COUNT_SIGMA

if TYPE_CHECKING:
    from privsynth.privacy.curator import Curator


def measure_tables(curator: Curator, rho: Fraction, first_share: Fraction) -> Plan | None:
    """One-way tables; the plan; one-way tables again and all pairs, where the budget is enough for pairs.

    Returns: the plan; or None when no pair was measured, and one-way tables got all that the curator had.
    Privacy: spends rho, or all that remains.
    """
    one_way: list[Clique] = [(name,) for name in curator.domain.attributes]
    if not one_way:
        return None
    weights = one_way_weights(curator.domain.sizes)
    curator.measure(one_way, rho=rho * first_share, stage="one-way", weights=weights)
    plan = _planned(curator, rho, first_share)
    if plan is None or plan.one_way_share == 1 or not affords(curator, plan, rho * (1 - plan.one_way_share)):
        curator.measure(one_way, rho=curator.remaining, stage="one-way-again", weights=weights)
        return None
    measure_again(curator, one_way, weights, rho * (plan.one_way_share - first_share))
    measure_pairs(curator, plan, rho * (1 - plan.one_way_share), "pairs")
    return plan


def _planned(curator: Curator, rho: Fraction, first_share: Fraction) -> Plan | None:
    """The plan of the rest, from the first one-way tables; None for a single attribute."""
    domain = curator.domain
    if len(domain) == 1:
        return None
    found = measurements(curator.transcript)
    estimates = [counts + 1e-9 for counts in reconcile(observe(domain, found)).levels]
    budget = Budget(rho=float(rho), sensitivity_squared=found[0].event.sensitivity_squared)
    return make_plan(estimates, [domain.fact(name) for name in domain.attributes], budget, first_share)


def affords(curator: Curator, plan: Plan, rho: Fraction) -> bool:
    """Whether noise for all pairs at this budget is within what can be drawn: decided from public numbers alone."""
    return drawable(curator, rho * min(_pairs(curator.domain, plan)[1]))


def drawable(curator: Curator, rho: Fraction) -> bool:
    """Whether one table's noise at this budget is within what can be drawn."""
    return curator.unit.l2_squared <= 2 * rho * (MAX_COUNT_SIGMA * curator.unit.max_rows) ** 2


def measure_again(curator: Curator, one_way: Sequence[Clique], weights: tuple[Fraction, ...], rho: Fraction) -> None:
    """One-way tables once more, unless noise at this budget could not be drawn: then it stays unspent."""
    if drawable(curator, rho * min(weights)):
        curator.measure(one_way, rho=rho, stage="one-way-again", weights=weights)


def measure_pairs(curator: Curator, plan: Plan, rho: Fraction, stage: str) -> None:
    """All pairs, over the plan's groups, each with the plan's share."""
    pairs, shares = _pairs(curator.domain, plan)
    curator.measure(pairs, rho=rho, stage=stage, groups=groups_of(curator.domain, plan), weights=shares)


def groups_of(domain: Domain, plan: Plan) -> dict[str, tuple[int, ...]]:
    """The attributes whose levels are merged."""
    named = zip(domain.attributes, plan.groups, strict=True)
    return {name: tuple(of.tolist()) for name, of in named if int(of.max()) + 1 < len(of)}


def _pairs(domain: Domain, plan: Plan) -> tuple[list[Clique], tuple[Fraction, ...]]:
    """All pairs and their shares, those of equal shares together."""
    pairs = list(itertools.combinations(domain.attributes, 2))
    shares = exact_shares(of_few_sizes(plan.weights[np.triu_indices(len(domain), 1)]))
    order = sorted(range(len(pairs)), key=shares.__getitem__)
    return [pairs[place] for place in order], tuple(shares[place] for place in order)
