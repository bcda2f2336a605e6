"""Measuring a refresh: the drift test, then what moved and nothing else; and what is kept of the earlier release.

Must never ask for anything but through the curator, nor decide by anything but what it answered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import TYPE_CHECKING, Final, final

import numpy as np

from privsynth.domain import Clique, Domain
from privsynth.latent.grouping import merge_rare
from privsynth.latent.planning import exact_shares, of_few_sizes, one_way_weights
from privsynth.latent.smoothing import smooth
from privsynth.measurement import Event, Measurement, Transcript, measurements
from privsynth.privacy.query import MarginalErrors
from privsynth.refreshing.covering import KEPT, kept_stage
from privsynth.refreshing.deciding import COLUMNS, PAIRS, Decision, averaged, by_chance, decide
from privsynth.refreshing.prior import Known, Prior

if TYPE_CHECKING:
    from privsynth.privacy.curator import Curator

RENEWED: Final = "renewed: columns"
RENEWED_PAIRS: Final = "renewed: pairs"

_SCORED = Fraction(1, 2)
"""The part of the drift test's budget for pairs, where there are any."""

_STEPS = 1024
"""What moved is paid for in multiples of this part of what measuring everything would cost."""

_LEAST = Fraction(1, 10)
"""The part of what is spent anew that columns get at the least, and pairs."""

_MERGE_BELOW = 4.0
_PAIR = 2
_LARGEST = float(1 << 60)


def watch(curator: Curator, prior: Prior, rho: Fraction, false_alarm: Fraction) -> None:
    """The drift test: noisy tables of all columns, and noisy errors of the old model's pairs of columns that did not move.

    Privacy: spends at most rho. Scores are lowered by what chance and the old release's noise make of them, a public number.
    """
    domain = curator.domain
    scored = rho * _SCORED if prior.expected else Fraction(0)
    one_way: list[Clique] = [(name,) for name in domain.attributes]
    curator.measure(one_way, rho=rho - scored, stage=COLUMNS, weights=one_way_weights(domain.sizes))
    if not scored:
        return
    decision = decide(domain, prior, curator.transcript, false_alarm)
    unmoved = [one for one in prior.expected if decision.keeps(one.clique)]
    if not unmoved:
        return
    scale = decision.total / prior.total
    query = MarginalErrors(
        cliques=tuple(one.clique for one in unmoved),
        references=[one.table * scale for one in unmoved],
        weights=[1] * len(unmoved),
        penalties=[by_chance(one, prior, decision.total)[0] for one in unmoved],
    )
    curator.measure_errors(query, rho=scored, stage=PAIRS)


def least_watched(domain: Domain, prior: Prior, rho: Fraction) -> Fraction:
    """What the drift test pays for the table of one column that it pays least for."""
    scored = rho * _SCORED if prior.expected else Fraction(0)
    return (rho - scored) * min(one_way_weights(domain.sizes), default=Fraction(1))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """What is measured anew, and which part of the cost of measuring everything that is.

    Args: `columns` and `pairs` come with their part of it, which are in proportion to the precision that the earlier release
        measured them with; tables that it did not measure count as the mean of those of as many columns.
    """

    columns: tuple[tuple[str, float], ...]
    pairs: tuple[tuple[Clique, float], ...]
    fraction: Fraction


def renewal(domain: Domain, prior: Prior, decision: Decision) -> Renewal:
    """Plan what is measured anew: moved and new columns, all pairs with one of them, and pairs that moved by themselves."""
    fresh, moved = set(decision.fresh), decision.fresh_pairs
    one_way = prior.prices([(name,) for name in domain.attributes])
    pairs = prior.prices(list(combinations(domain.attributes, _PAIR)) if prior.has_pairs else [])
    whole = prior.whole(domain)
    columns = {clique[0]: price for clique, price in one_way.items() if clique[0] in fresh}
    again = {clique: price for clique, price in pairs.items() if fresh & set(clique) or frozenset(clique) in moved}
    part = (sum(columns.values()) + sum(again.values())) / whole if whole else 0.0
    return Renewal(
        columns=tuple(columns.items()),
        pairs=tuple(again.items()),
        fraction=min(Fraction(1), Fraction(math.ceil(part * _STEPS), _STEPS)),
    )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """How a budget is shared out: rho for columns and for pairs, and each table's part of it, those of equal parts together."""

    columns: tuple[tuple[Clique, Fraction], ...]
    pairs: tuple[tuple[Clique, Fraction], ...]
    for_columns: Fraction
    for_pairs: Fraction

    @property
    def least(self) -> Fraction:
        """What the table is paid that is paid least."""
        paid = [self.for_columns * weight for _, weight in self.columns]
        return min(paid + [self.for_pairs * weight for _, weight in self.pairs])


def shares(plan: Renewal, rho: Fraction) -> Shares:
    """Share rho out in proportion to the plan's prices; columns together get a tenth at the least, and pairs too."""
    columns, pairs = (sum(price for _, price in part) for part in (plan.columns, plan.pairs))
    part = min(max(Fraction(round(columns / (columns + pairs) * _STEPS), _STEPS), _LEAST), 1 - _LEAST)
    part = Fraction(bool(plan.columns)) if not (plan.columns and plan.pairs) else part
    one_way = exact_shares(np.array([price for _, price in plan.columns])) if plan.columns else ()
    weights = exact_shares(of_few_sizes(np.array([price for _, price in plan.pairs]))) if plan.pairs else ()
    found = [(clique, weight) for (clique, _), weight in zip(plan.pairs, weights, strict=True)]
    return Shares(
        columns=tuple(((name,), weight) for (name, _), weight in zip(plan.columns, one_way, strict=True)),
        pairs=tuple(sorted(found, key=lambda one: one[1])),
        for_columns=rho * part,
        for_pairs=rho * (1 - part),
    )


def renew(curator: Curator, prior: Prior, decision: Decision, answers: Transcript, rho: Fraction) -> None:
    """Measure anew what moved. Privacy: spends rho, or nothing where nothing moved."""
    plan = renewal(curator.domain, prior, decision)
    if not plan.columns and not plan.pairs:
        return
    shared = shares(plan, rho)
    if shared.columns:
        cliques, weights = zip(*shared.columns, strict=True)
        curator.measure(cliques, rho=shared.for_columns, stage=RENEWED, weights=weights)
    if shared.pairs:
        cliques, weights = zip(*shared.pairs, strict=True)
        cell = math.sqrt(curator.unit.l2_squared * len(cliques) / (2 * float(shared.for_pairs)))
        groups = _groups(curator, prior, decision, answers, cell)
        curator.measure(cliques, rho=shared.for_pairs, stage=RENEWED_PAIRS, groups=groups, weights=weights)


def _groups(
    curator: Curator, prior: Prior, decision: Decision, answers: Transcript, cell: float
) -> dict[str, tuple[int, ...]]:
    """Groups of the columns' levels: the old ones of columns that did not move; of others by their new noisy counts."""
    domain, fresh = curator.domain, set(decision.fresh)
    found = measurements(answers) + measurements(curator.transcript)
    groups: dict[str, tuple[int, ...]] = {}
    for name in domain.attributes:
        of = prior.groups_of(name)
        if name in fresh and domain.size(name) > 1:
            now = averaged(found, (name,))
            counts = smooth(now.values, now.variance, domain.fact(name).ordered)
            of = tuple(merge_rare(np.maximum(counts, 0.0), _MERGE_BELOW * cell, domain.fact(name)).tolist())
        elif name in fresh:
            of = None
        if of is not None and max(of) + 1 < len(of):
            groups[name] = of
    return groups


def rests_on(prior: Prior, decision: Decision) -> frozenset[str]:
    """The releases whose records what is kept rests on."""
    return frozenset(release for one in prior.known if decision.keeps(one.clique) for release in one.releases)


def kept(prior: Prior, decision: Decision) -> tuple[Measurement, ...]:
    """What the earlier release measured of what did not move, as of the new number of records.

    Counts and noise are rescaled; the noise is widened by what chance makes two tables of so many records differ by, of one
    population. The event says which releases bought the answer: it costs nothing here, and is no part of what is spent.
    """
    scale = decision.total / prior.total
    return tuple(_rescaled(one, prior, decision.total, scale) for one in prior.known if decision.keeps(one.clique))


def _rescaled(one: Known, prior: Prior, total: float, scale: float) -> Measurement:
    variance = Fraction(one.worst * scale**2 + prior.by_chance(one, total)).limit_denominator(1 << 20)
    return Measurement(
        clique=one.clique,
        values=np.rint(np.clip(one.values * scale, -_LARGEST, _LARGEST)).astype(np.int64),
        event=Event(
            stage=kept_stage(one.releases),
            mechanism="rounded-gaussian",
            rho=Fraction(0),
            sensitivity_squared=1,
            sigma_squared=max(variance, Fraction(1, 1 << 20)),
        ),
        groups=dict(one.groups),
    )


def own(transcript: Transcript) -> Transcript:
    """What a refresh measured itself, without what it kept."""
    return tuple(entry for entry in transcript if not entry.event.stage.startswith(KEPT))
