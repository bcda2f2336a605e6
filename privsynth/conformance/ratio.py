"""What the likelihood ratios of a fit's answers say about its claim: a row for each stage, and one for the whole fit.

Must never hold a stage to more, or to less, than its own entry in the ledger.

A stage of Gaussian answers is held to mu = the canaries' shift over the stated sigma, which replays have shown to be at most
what the ledger says. A choice's trade-off curve is not Gaussian, so a stage of choices is held to the rate that was paid for,
and to what any mechanism of its rho could show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import final

import numpy as np

from privsynth import epsilon_bounds, progress, statistics
from privsynth.audit_plan import ConformanceTerms
from privsynth.conformance.choices import log_chances
from privsynth.conformance.fits import Asked
from privsynth.conformance.hypothesis import Hypothesis
from privsynth.conformance.residuals import Floats, of_the_least
from privsynth.conformance.transcript import FEW, Simulated, Stage, simulate, slow
from privsynth.epsilon_bounds import Errors
from privsynth.findings import Claim, Curve
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.replay import Call

_TOLD = 1.2
"""The mu of a Gaussian stage for all canaries together at which its bounds are tight."""

_CHOSEN = 0.6
"""The same for choices, up to which the exponential mechanism is near its Gaussian limit."""

_HARDLY = 0.6
"""A mu below it is hard to tell from twice as much; how far canaries move scores is a matter of chance."""

_CROWDED = 16
"""At most one canary for so many records: the canary's cells must stay too empty where they are."""

_CONFIDENCE = 0.01
_PART = "transcript"
WHOLE = f"{_PART}: whole fit"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How many canaries each stage and the whole fit are told apart by: decided from the ledger, before anything is tried."""

    stages: Mapping[str, int]
    whole: int

    @property
    def every(self) -> list[int]:
        """All of them, and the one unit that the exact curve is of."""
        return sorted({1, self.whole, *self.stages.values()})


def sizes(asked: Sequence[Asked], terms: ConformanceTerms, delta: float) -> Sizes:
    """So many canaries that each stage's mu, for all of them together, is about what tells them apart best."""
    rho: dict[str, float] = {}
    choices = {one.stage for one in asked if one.call.kind == "exponential"}
    for one in asked:
        rho[one.stage] = rho.get(one.stage, 0.0) + float(sum(event.rho for event in one.events)) * _seen_of(one.call)
    most = max(1, terms.crowd // _CROWDED)
    wanted = {stage: (_CHOSEN if stage in choices else _TOLD) / math.sqrt(2 * paid) for stage, paid in rho.items()}
    mu = math.sqrt(2 * sum(rho.values()))
    return Sizes(
        stages={stage: min(most, max(1, round(units))) for stage, units in wanted.items()},
        whole=min(most, _best_group(mu, delta, terms.transcripts)),
    )


@lru_cache(maxsize=64)
def _best_group(mu: float, delta: float, runs: int) -> int:
    return epsilon_bounds.best_group(mu, delta, runs, _CONFIDENCE)


def _seen_of(call: Call) -> float:
    """The part of a question that is looked at."""
    return min(1.0, FEW / call.exact.size) if slow(call) else 1.0


def tests(
    terms: ConformanceTerms,
    found: Mapping[int, Sequence[Stage]],
    planned: Sizes,
    claim: Claim,
    source: AbstractNoiseSource,
) -> Iterator[Hypothesis]:
    """The tests "transcript: STAGE" and "transcript: whole fit".

    Args: `found` holds the stages on tables that differ in each number of units of `planned.every`.
    """
    named = _stages(found, planned)
    names = list(named)
    measured: list[Measured] = []
    for step, stage in enumerate(named.values()):
        progress.report("conformance: telling tables apart", step, len(names) + 1)
        simulated = simulate([stage.thinned()], source, terms.transcripts)
        seen = Measured(stage=stage, simulated=simulated, all=len(names))
        measured.append(seen)
        yield seen.choices() if stage.choices else seen.counts(terms)
    progress.report("conformance: telling tables apart", len(names), len(names) + 1)
    yield _whole(terms, found, planned.whole, claim, source, measured)


def _stages(found: Mapping[int, Sequence[Stage]], planned: Sizes) -> dict[str, Stage]:
    """Every stage with the number of units planned for it, or else with the largest number that it comes up with.

    Where units are replaced, another number of them is another table: its fit has other answers, and may have other stages.
    """
    stages = {stage.name: stage for units in sorted(found) for stage in found[units]}
    for units in found:
        stages |= {stage.name: stage for stage in found[units] if planned.stages.get(stage.name) == units}
    return stages


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """A stage and the likelihood ratios of its answers; one of `all` stages."""

    stage: Stage
    simulated: Simulated
    all: int

    @property
    def ledger(self) -> float:
        """The mu that the ledger has for all canaries of this stage."""
        return self.stage.units * math.sqrt(2 * self.stage.rho)

    def mu_lower(self) -> float:
        """Of Gaussian answers, for one unit; all stages' together at the confidence of the page."""
        return max(0.0, self.simulated.errors().mu_between(_CONFIDENCE / (2 * self.all))[0]) / self.stage.units

    def rate_lower(self) -> float:
        """Of choices, the least rate as a multiple of the one that was paid for; at the same confidence."""
        score = self.simulated.score
        if score.variance <= 0:
            return 0.0
        spread = 1 / math.sqrt(score.variance)
        return max(0.0, 1 + (score.z - statistics.normal_quantile(1 - _CONFIDENCE / (2 * self.all))) * spread)

    def counts(self, terms: ConformanceTerms) -> Hypothesis:
        """Gaussian answers against the mu of their shift."""
        errors, reach = self.simulated.errors(), self.stage.thinned().reach
        shown = epsilon_bounds.shows_twice(reach, errors.runs, terms.alpha / (10 * (self.all + 8)))
        share = f"; these canaries use {100 * reach / self.ledger:.0f} % of it"
        if reach < _HARDLY and not shown:
            share += ', too little to see twice as much: this stage is held to its noise ("noise: scale") alone'
        p_value = errors.gdp_p_value(reach) if reach else 1.0
        return self._row(
            errors,
            p_value,
            rejected="its answers tell more than they were paid for",
            shown=shown or reach < _HARDLY,
            share=share,
            allowed=_drawn(lambda rate: statistics.normal_cdf(statistics.normal_quantile(rate) + self.ledger)),
        )

    def choices(self) -> Hypothesis:
        """Choices against their rate, and against the most that their rho allows."""
        errors = self.simulated.errors()
        above = statistics.normal_cdf(-self.simulated.score.z) if self.simulated.score.variance else 1.0
        allowed = statistics.zcdp_advantage_ceiling(self.stage.units**2 * self.stage.rho)
        return self._row(
            errors,
            of_the_least([above, errors.advantage_p_value(allowed)]),
            rejected="its choices follow the data more closely than was paid for",
            shown=True,
            share="; choices are not Gaussian, and are held to their rate",
            allowed=_drawn(lambda rate: min(1.0, rate + allowed)),
        )

    def _row(
        self, errors: Errors, p_value: float, *, rejected: str, shown: bool, share: str, allowed: Curve
    ) -> Hypothesis:
        low, high = errors.mu_between(_CONFIDENCE / 2)
        units, ledger = self.stage.units, self.ledger
        bounds = max(0.0, low) / ledger, max(0.0, high) / ledger
        told = (
            f'Stage "{self.stage.name}": from {errors.runs:,} answers about each of two tables that differ in {units} '
            f"canaries, mu of one is {max(0.0, low) / units:.4g} to {max(0.0, high) / units:.4g} "
            f"({100 * (1 - _CONFIDENCE):g} % confidence); the ledger says {ledger / units:.4g}"
        )
        return Hypothesis(
            check=f"{_PART}: {self.stage.name}",
            threat="that this stage's answers tell more about one unit than its entry in the ledger",
            p_value=p_value,
            rejected=f"{told}: {rejected}.",
            kept=f"{told}{share}.",
            shown=shown,
            undecided=f"{told}; that is too few answers to see twice as much.",
            estimate=(bounds[0] + bounds[1]) / 2,
            interval=bounds,
            curve=self.simulated.curve(),
            allowed=allowed,
        )


def _whole(
    terms: ConformanceTerms,
    found: Mapping[int, Sequence[Stage]],
    units: int,
    claim: Claim,
    source: AbstractNoiseSource,
    measured: Sequence[Measured],
) -> Hypothesis:
    """All stages' answers together against the claimed (epsilon, delta)."""
    rho = sum(stage.rho for stage in found[units])
    mu, runs = math.sqrt(2 * rho), terms.transcripts
    simulated = simulate([stage for stage in found[units] if not stage.slow], source, runs)
    threshold = epsilon_bounds.best_threshold(mu, claim.delta, len(simulated.one), _CONFIDENCE, units)
    chosen, middle = simulated.errors(threshold), simulated.errors()
    single = simulate([stage for stage in found[1] if not stage.slow], source, runs).errors()
    free = chosen.epsilon_lower(claim.delta, _CONFIDENCE, group=units)
    gaussian = max(0.0, middle.mu_between(_CONFIDENCE)[0]) / units
    of_mu = epsilon_bounds.gaussian_epsilon(gaussian, claim.delta)
    exact = _exact(found[1], measured).epsilon(claim.delta)
    told = (
        f"From {chosen.runs:,} answers about each of two tables that differ in {units} canaries, epsilon of one at delta = "
        f"{claim.delta:g} is at least {free:.3g} whatever the mechanism, {of_mu:.3g} if it is as good as Gaussian "
        f"(mu {gaussian:.4g}), and {exact:.3g} by the exact curve of its stages as measured "
        f"({100 * (1 - _CONFIDENCE):g} % confidence each); claimed is {claim.epsilon:.4g}"
    )
    return Hypothesis(
        check=WHOLE,
        threat="that all answers together tell more about one unit than is claimed",
        p_value=of_the_least(
            [
                told_apart.p_value(lambda rate, of=of: _least_negative(rate, claim, of))  # type: ignore[misc]
                for told_apart, of in ((chosen, units), (single, 1))
            ]
        ),
        rejected=f"{told}: the guarantee does not hold.",
        kept=f"{told}.",
        estimate=exact,
        interval=(free, claim.epsilon),
        curve=simulated.curve(),
        allowed=_drawn(lambda rate: 1 - _least_negative(rate, claim, units)),
        figures={"epsilon, any mechanism": free, "epsilon, as Gaussian": of_mu, "epsilon, exact curve": exact},
    )


def _drawn(most: Callable[[float], float]) -> Curve:
    """The most true positives at each rate of false positives, as points; closer together where the curve is steep."""
    inner = ((rate, most(rate)) for rate in ((step / 40) ** 3 for step in range(1, 40)))
    return ((0.0, 0.0), *inner, (1.0, 1.0))


def _least_negative(rate: float, claim: Claim, units: int) -> float:
    """The least false negative rate at a false positive rate, of any test that tells `units` units, under the claim."""
    failure = epsilon_bounds.group_delta(claim.epsilon, claim.delta, units)
    grown = math.exp(min(700.0, units * claim.epsilon))
    return max(0.0, 1 - failure - grown * rate, (1 - failure - rate) / grown)


def _exact(one_unit: Sequence[Stage], measured: Sequence[Measured]) -> epsilon_bounds.Curve:
    """The privacy loss of one unit: Gaussian stages with their audited mu, choices with their audited rates."""
    mu = math.sqrt(sum(seen.mu_lower() ** 2 for seen in measured if not seen.stage.choices))
    rates = {seen.stage.name: seen.rate_lower() for seen in measured if seen.stage.choices}
    choices: list[tuple[Floats, Floats]] = []
    for stage in one_unit:
        for question in stage.questions:
            if question.choice and rates.get(stage.name, 0.0) > 0:
                before, after = (
                    _at(log_chances(scores, question.other.parameter), rates[stage.name]) for scores in question.sides
                )
                choices.append((before, after))
    return epsilon_bounds.Curve(mu=mu, choices=choices)


def _at(logs: Floats, times: float) -> Floats:
    """Log-probabilities at a multiple of the rate."""
    tilted = logs * times
    return np.asarray(tilted - math.log(float(np.exp(tilted).sum())))
