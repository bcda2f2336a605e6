"""The rule of the release half: what one attack's counts mean, in the light of the limit, the claim and all other attacks.

Must never let a number that was computed on people into anything but a finding's internal part.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, final

from privsynth import statistics
from privsynth.attack import AbstractAttack, AttackResult
from privsynth.audit_plan import AuditPlan, ReleaseTerms
from privsynth.auditing.people import AbstractPeople
from privsynth.epsilon_bounds import implied_epsilon
from privsynth.findings import Claim, Figure, Finding, Verdict
from privsynth.sampled_curve import SampledCurve

Group: TypeAlias = Literal["everyone", "the most isolated people"]
Results: TypeAlias = Mapping["Trial", Sequence[AttackResult]]

_LOW_RATES = (0.1, 0.01, 0.001)
_SHARP = 1e-3
_STEEPEST = 30.0
_LEAST_CONTROLS = 10
"""A true-positive rate is told where so many controls at the least lie above its threshold on average."""
STOPPED = "Not finished, because the audit had failed already."


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One attack on one group of people, and what passes at the most: members' rate - `times` controls' rate = `limit`."""

    attack: AbstractAttack
    group: Group
    limit: float
    times: float = 1.0


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Pairs of rates: members' = `slope` * controls' + `offset`."""

    slope: float
    offset: float


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Adjusted p-values of "no leak above the limit" and of "no more than the claim allows" (1 without a claim)."""

    limit: float
    claim: float = 1.0

    @property
    def smallest(self) -> float:
        """Of both."""
        return min(self.limit, self.claim)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One size at which undecided trials are run, with its part of the error rates.

    Units: `attempts` and `pool` are people in each group: those tried, and those among whom the most isolated are sought.
    """

    attempts: int
    pool: int
    alpha_pass: float
    alpha_fail: float
    enough: bool
    ceiling: float | None
    claimed: tuple[Line, ...] = ()


def name_of(trial: Trial, label: str) -> str:
    """What the row of one thing attacked is called."""
    return f"{label}, {trial.group}"


def trials(plan: AuditPlan, attacks: Sequence[AbstractAttack]) -> list[Trial]:
    """Everyone first, in the plan's order, then the most isolated people: they have to be sought."""
    terms, wanted = plan.release, set(attacks)
    entries = [(entry, attack) for entry, attack in plan.attacks() if attack in wanted]
    everyone = [
        Trial(attack=attack, group="everyone", limit=entry.tau or terms.tau, times=entry.times)
        for entry, attack in entries
    ]
    isolated = [
        Trial(
            attack=attack,
            group="the most isolated people",
            limit=entry.tau_max or terms.tau_max,
            times=entry.times,
        )
        for entry, attack in entries
    ]
    return everyone + isolated


def spending(count: int) -> list[float]:
    """The parts of an error rate that go to `count` looks: half to the last, half of the rest to the one before, and so on.

    The first look takes what is left, so that they sum to 1. It is there for clear cases, which need little.
    """
    return [2.0 ** -(count - max(1, index)) for index in range(count)]


def looks(terms: ReleaseTerms, people: AbstractPeople, claim: Claim | None) -> list[Look]:
    """The looks of an audit, smallest first. Where there are too few people for all of them, the rest share the alphas."""
    sizes = {people.size_for(wanted): wanted for wanted in reversed(terms.attempts)}
    shares = spending(len(sizes))
    return [
        Look(
            attempts=size,
            pool=people.size_for(terms.isolated_pool * sizes[size] // terms.attempts[0]),
            alpha_pass=terms.alpha_pass * share,
            alpha_fail=terms.alpha_fail * share,
            enough=size >= terms.attempts_min,
            ceiling=ceiling(claim),
            claimed=claimed(claim),
        )
        for size, share in zip(sorted(sizes), shares, strict=True)
    ]


def ceiling(claim: Claim | None) -> float | None:
    """The largest excess that the claim allows; None for no claim."""
    if claim is None:
        return None
    if claim.rho is None:
        return statistics.advantage_ceiling(claim.epsilon, claim.delta)
    if claim.training is not None and claim.composition == "pld":
        return SampledCurve.of(claim.training, claim.rho).delta(0.0)
    if claim.training is not None:
        return statistics.advantage_ceiling(claim.epsilon, claim.delta)
    if claim.composition == "gdp":
        return statistics.gaussian_advantage_ceiling(math.sqrt(2 * claim.rho))
    return min(
        statistics.advantage_ceiling(claim.epsilon, claim.delta),
        statistics.zcdp_advantage_ceiling(claim.rho) + claim.delta,
    )


def claimed(claim: Claim | None) -> tuple[Line, ...]:
    """Lines above which the rates of no attack can lie under the claim: few, because each is a hypothesis more.

    The ceiling is for attacks that succeed on many; for those that succeed on hardly any control, epsilon at delta, and where
    rho is known also epsilon at a delta of `_SHARP`, say far more.
    """
    limit = ceiling(claim)
    if claim is None or limit is None:
        return ()
    pairs = [(claim.epsilon, claim.delta)]
    if claim.rho is not None:
        sharp = implied_epsilon(claim.rho, _SHARP, claim.composition, claim.training)
        pairs.append((sharp, _SHARP + claim.delta))
    steep = [Line(slope=math.exp(epsilon), offset=delta) for epsilon, delta in pairs if epsilon < _STEEPEST]
    return tuple(line for line in (Line(slope=1.0, offset=limit), *steep) if line.offset < 1)


def adjusted(results: Results, look: Look, *, of: int) -> dict[tuple[Trial, str], Rejection]:
    """P-values of "no leak above the limit, none above the claim", corrected for all hypotheses of the audit: of `of` trials.

    Each trial has the same part of the error rate, shared equally by what it attacks, and each of these by the limit and the
    claim's lines, so that the parts are fixed before the other trials are carried out. A trial that is not among the results,
    because it is decided or its turn has not come, counts as one that rejects nothing.
    """
    tests = [
        (trial, result, line, 1 / (of * len(found) * (1 + len(look.claimed))))
        for trial, found in results.items()
        for result in found
        for line in (Line(slope=trial.times, offset=trial.limit), *look.claimed)
    ]
    p_values = [
        statistics.above_p_value(result.comparison, line.offset, alpha=look.alpha_fail * share, slope=line.slope)
        for _, result, line, share in tests
    ]
    corrected = iter(statistics.holm(p_values, [share for *_, share in tests]))
    return {
        (trial, result.label): Rejection(
            limit=next(corrected), claim=min((next(corrected) for _ in look.claimed), default=1.0)
        )
        for trial, found in results.items()
        for result in found
    }


def judged(trial: Trial, result: AttackResult, rejected: Rejection, look: Look, terms: ReleaseTerms) -> Finding:
    """The verdict on one result: pass below the limit, fail above it, and undecided in between.

    FAIL is wrong, over all rows and looks of an audit, with probability `alpha_fail` at most. Proof: at one look, Holm's
        procedure rejects a true hypothesis with at most that look's part, whichever trials were still open (see
        `statistics.holm`); the parts sum to `alpha_fail`. To stop at the first FAIL takes nothing away: the event is the same.
    PASS of the whole audit is wrong, when a row's true excess is above its limit, with probability `alpha_pass` at most.
        Proof: the audit passes only if that row passes too, at one of the looks, and at each its upper bound is below the true
        excess with at most that look's part (Berger 1982, intersection-union). Corrections are for FAIL alone.
    """
    passes = statistics.excess_p_value(result.comparison, trial.limit, alpha=look.alpha_pass, slope=trial.times)
    lower, upper = (
        bound(result.comparison, look.alpha_pass) for bound in (statistics.excess_lower, statistics.excess_upper)
    )
    verdict: Verdict = "INCONCLUSIVE"
    if rejected.smallest <= look.alpha_fail:
        verdict = "FAIL"
    elif passes <= look.alpha_pass and look.enough:
        verdict = "PASS"
    return Finding(
        check=name_of(trial, result.label),
        family="release",
        threat=_threat(trial),
        verdict=verdict,
        threshold=trial.limit,
        detectable=_rounded_up(_detectable(trial, terms)),
        ceiling=None if look.ceiling is None else _rounded_up(look.ceiling),
        meaning=_meaning(verdict, trial, look, terms, against_claim=rejected.claim <= look.alpha_fail),
        figures={**_figures(result), **_p_values(rejected, look)},
        estimate=result.comparison.excess,
        interval=(lower, upper),
        curve=result.curve,
    )


def _p_values(rejected: Rejection, look: Look) -> dict[str, Figure]:
    found: dict[str, Figure] = {"adjusted p-value of no leak above the limit": rejected.limit}
    return {**found, "adjusted p-value of the claim": rejected.claim} if look.claimed else found


def _figures(result: AttackResult) -> dict[str, Figure]:
    found: dict[str, Figure] = {
        "attempts": result.attempts,
        "member successes": result.members,
        "control successes": result.controls,
        "failed attempts": result.failed,
        "baseline": result.baseline,
        "p-value of no leak": statistics.fisher_p_value(result.comparison),
    }
    if result.area is None:
        return found
    found["area under the curve"] = result.area
    for rate in _LOW_RATES:
        if rate * result.attempts >= _LEAST_CONTROLS:
            found[f"members called so where {100 * rate:g} % of controls are"] = result.caught_at(rate)
    return found


def unfinished(trial: Trial, terms: ReleaseTerms, limit: float | None) -> Finding:
    """The row of a trial that was not carried out, because another had failed."""
    return Finding(
        check=name_of(trial, trial.attack.name.replace("_", " ")),
        family="release",
        threat=_threat(trial),
        verdict="INCONCLUSIVE",
        threshold=trial.limit,
        detectable=_rounded_up(_detectable(trial, terms)),
        ceiling=None if limit is None else _rounded_up(limit),
        meaning=STOPPED,
    )


def left_open(row: Finding) -> Finding:
    """An undecided row of an audit that has failed elsewhere: it would have been looked at again."""
    return replace(row, meaning=STOPPED) if row.verdict == "INCONCLUSIVE" else row


def _threat(trial: Trial) -> str:
    return f"{trial.attack.threat} (attacker has: {trial.attack.tier})"


def _strictest(terms: ReleaseTerms) -> float:
    return terms.alpha_pass * min(spending(len(terms.attempts)))


def _detectable(trial: Trial, terms: ReleaseTerms) -> float:
    """What the fewest people that the plan tries would have shown: public, where what those tried did would not be."""
    return statistics.detectable_excess(_least(trial, terms), alpha=_strictest(terms))


def _least(trial: Trial, terms: ReleaseTerms) -> int:
    if trial.group == "everyone":
        return terms.attempts_min
    pool = terms.isolated_pool
    while pool > terms.attempts_min:
        pool //= 2
    return max(1, round(pool * terms.isolated_share))


def _rounded_up(rate: float) -> float:
    """To a hundredth of a percentage point, so that a published number is never better than what was computed."""
    return math.ceil(rate * 10_000) / 10_000


def _needed(trial: Trial, terms: ReleaseTerms) -> int:
    """How many people in each table would tell a leak of the limit from none, at the least favourable rate; rounded up."""
    tried = 10
    while not statistics.tells_apart(tried, trial.limit, times=trial.times, alpha=_strictest(terms)):
        tried = math.ceil(tried * 1.1)
    share = 1.0 if trial.group == "everyone" else terms.isolated_share
    return max(terms.attempts_min, math.ceil(tried / share / 100) * 100)


def _meaning(verdict: Verdict, trial: Trial, look: Look, terms: ReleaseTerms, *, against_claim: bool) -> str:
    points = f"{100 * trial.limit:g} percentage points"
    whom = f"on {'people' if trial.group == 'everyone' else 'unusual people'} in the training data"
    than = f"{points} more often {whom} than on others"
    if trial.times > 1:
        than = f"{trial.times:g} times as often, and {points}, {whom} as on others"
    if verdict == "PASS":
        sure = f"{100 * (1 - terms.alpha_pass):g} %"
        return f"The attack works less than {than} ({sure} confidence)."
    if verdict == "FAIL" and against_claim:
        return f"The attack works more often {whom} than the claimed guarantee allows: the guarantee does not hold."
    if verdict == "FAIL":
        return f"The release leaks: the attack works more than {than}."
    if not look.enough:
        return (
            f"There are fewer than {terms.attempts_min} people in a group, too few for this plan: the training table and the "
            f"holdout need {terms.attempts_min:,} people each."
        )
    return (
        f"With the people there are, a leak of {points} can be neither shown nor ruled out: where there is none, "
        f"{_needed(trial, terms):,} people in each table are enough. If there were that many, it most likely leaks a little: a "
        "smaller epsilon (release_epsilon in the policy) or more people to fit on lower that."
    )
