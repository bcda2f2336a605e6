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
from privsynth.auditing.people import People
from privsynth.findings import Claim, Figure, Finding, Verdict

Group: TypeAlias = Literal["everyone", "the most isolated people"]
Results: TypeAlias = Mapping["Trial", Sequence[AttackResult]]

_LOW_RATES = (0.1, 0.01, 0.001)
_LEAST_CONTROLS = 10
"""A true-positive rate is told where so many controls at the least lie above its threshold on average."""
STOPPED = "Not finished, because the audit had failed already."


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One attack on one group of people, and the excess that passes at the most."""

    attack: AbstractAttack
    group: Group
    limit: float


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


def name_of(trial: Trial, label: str) -> str:
    """What the row of one thing attacked is called."""
    return f"{label}, {trial.group}"


def trials(plan: AuditPlan, attacks: Sequence[AbstractAttack]) -> list[Trial]:
    """Everyone first, in the plan's order, then the most isolated people: they have to be sought."""
    terms, wanted = plan.release, set(attacks)
    entries = [(entry, attack) for entry, attack in plan.attacks() if attack in wanted]
    everyone = [Trial(attack=attack, group="everyone", limit=entry.tau or terms.tau) for entry, attack in entries]
    isolated = [
        Trial(attack=attack, group="the most isolated people", limit=entry.tau_max or terms.tau_max)
        for entry, attack in entries
    ]
    return everyone + isolated


def spending(count: int) -> list[float]:
    """The parts of an error rate that go to `count` looks: half to the last, half of the rest to the one before, and so on.

    The first look takes what is left, so that they sum to 1. It is there for clear cases, which need little.
    """
    return [2.0 ** -(count - max(1, index)) for index in range(count)]


def looks(terms: ReleaseTerms, people: People, claim: Claim | None) -> list[Look]:
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
        )
        for size, share in zip(sorted(sizes), shares, strict=True)
    ]


def ceiling(claim: Claim | None) -> float | None:
    """The largest excess that the claim allows; None for no claim."""
    if claim is None:
        return None
    if claim.rho is None:
        return statistics.advantage_ceiling(claim.epsilon, claim.delta)
    if claim.composition == "gdp":
        return statistics.gaussian_advantage_ceiling(math.sqrt(2 * claim.rho))
    return min(
        statistics.advantage_ceiling(claim.epsilon, claim.delta),
        statistics.zcdp_advantage_ceiling(claim.rho) + claim.delta,
    )


def _fails_above(trial: Trial, look: Look) -> float:
    return trial.limit if look.ceiling is None else min(trial.limit, look.ceiling)


def adjusted(results: Results, look: Look, *, of: int) -> dict[tuple[Trial, str], float]:
    """P-values of "no leak above the limit", corrected for all hypotheses of the audit: those of `of` trials.

    Each trial has the same part of the error rate, shared equally by what it attacks, so that the parts are fixed before
    the other trials are carried out. A trial that is not among the results, because it is decided or its turn has not come,
    counts as one that rejects nothing.
    """
    tests = [(trial, result, 1 / (of * len(found))) for trial, found in results.items() for result in found]
    p_values = [
        statistics.above_p_value(result.comparison, _fails_above(trial, look), alpha=look.alpha_fail * share)
        for trial, result, share in tests
    ]
    corrected = statistics.holm(p_values, [share for _, _, share in tests])
    return {(trial, result.label): value for (trial, result, _), value in zip(tests, corrected, strict=True)}


def judged(trial: Trial, result: AttackResult, p_value: float, look: Look, terms: ReleaseTerms) -> Finding:
    """The verdict on one result: pass below the limit, fail above it, and undecided in between.

    FAIL is wrong, over all rows and looks of an audit, with probability `alpha_fail` at most. Proof: at one look, Holm's
        procedure rejects a true hypothesis with at most that look's part, whichever trials were still open (see
        `statistics.holm`); the parts sum to `alpha_fail`. To stop at the first FAIL takes nothing away: the event is the same.
    PASS of the whole audit is wrong, when a row's true excess is above its limit, with probability `alpha_pass` at most.
        Proof: the audit passes only if that row passes too, at one of the looks, and at each its upper bound is below the true
        excess with at most that look's part (Berger 1982, intersection-union). Corrections are for FAIL alone.
    """
    lower, upper = (
        bound(result.comparison, look.alpha_pass) for bound in (statistics.excess_lower, statistics.excess_upper)
    )
    verdict: Verdict = "INCONCLUSIVE"
    if p_value <= look.alpha_fail:
        verdict = "FAIL"
    elif upper < trial.limit and look.enough:
        verdict = "PASS"
    return Finding(
        check=name_of(trial, result.label),
        family="release",
        threat=_threat(trial),
        verdict=verdict,
        threshold=trial.limit,
        detectable=_rounded_up(_detectable(trial, terms)),
        ceiling=None if look.ceiling is None else _rounded_up(look.ceiling),
        meaning=_meaning(verdict, trial, look, terms),
        figures={**_figures(result), "adjusted p-value of no leak above the limit": p_value},
        estimate=result.comparison.excess,
        interval=(lower, upper),
        curve=result.curve,
    )


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
    while statistics.detectable_excess(tried, alpha=_strictest(terms)) > trial.limit:
        tried = math.ceil(tried * 1.1)
    share = 1.0 if trial.group == "everyone" else terms.isolated_share
    return max(terms.attempts_min, math.ceil(tried / share / 100) * 100)


def _meaning(verdict: Verdict, trial: Trial, look: Look, terms: ReleaseTerms) -> str:
    points = f"{100 * trial.limit:g} percentage points"
    whom = "people" if trial.group == "everyone" else "unusual people"
    compared = f"on {whom} in the training data than on others"
    if verdict == "PASS":
        sure = f"{100 * (1 - terms.alpha_pass):g} %"
        return f"The attack works less than {points} more often {compared} ({sure} confidence)."
    if verdict == "FAIL" and _fails_above(trial, look) < trial.limit:
        return f"The attack works more often {compared} than the claimed guarantee allows: the guarantee does not hold."
    if verdict == "FAIL":
        return f"The release leaks: the attack works more than {points} more often {compared}."
    if not look.enough:
        return (
            f"There are fewer than {terms.attempts_min} people in a group, too few for this plan: the training table and the "
            f"holdout need {terms.attempts_min:,} people each."
        )
    return (
        f"With the people there are, a leak of {points} can be neither shown nor ruled out: where there is none, "
        f"{_needed(trial, terms):,} people in each table are enough."
    )
