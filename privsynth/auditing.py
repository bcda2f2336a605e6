"""The audit of a release: a plan and tables in, findings out.

Must never let an attack pass by breaking off, by lack of people, or by being too weak to see a planted leak.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias, final

import numpy as np

from privsynth import audit_controls, progress, statistics
from privsynth import conformance as conformance_checks
from privsynth.attack import AbstractAttack, AttackResult, Refit
from privsynth.audit_people import People
from privsynth.audit_plan import AuditPlan, ReleaseTerms
from privsynth.conformance_tables import Laboratory
from privsynth.domain import Domain
from privsynth.findings import Claim, Finding, Findings, Verdict
from privsynth.generator import AbstractGenerator
from privsynth.measurement import Transcript
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.privacy.unit import PrivacyUnit
from privsynth.private import Private
from privsynth.records import Records
from privsynth.schema import Schema

__all__ = ["AuditPlan", "conformance", "run"]

Group: TypeAlias = Literal["everyone", "the most isolated people"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One attack on one group of people, and the excess above which it fails."""

    attack: AbstractAttack
    group: Group
    limit: float


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One size at which undecided trials are run, with its share of the error rates."""

    attempts: int
    pool: int
    alpha_pass: float
    alpha_fail: float
    enough: bool
    ceiling: float | None


def run(
    plan: AuditPlan,
    *,
    schema: Schema,
    synthetic: Records,
    members: Private[Records],
    controls: Private[Records],
    claim: Claim | None,
    rng: np.random.Generator,
    transcript: Transcript | None = None,
    refit: Refit | None = None,
) -> Findings:
    """Attack a release as the plan says, with members of its training data and people who were not in it.

    Privacy: reads private records and spends nothing; `Findings.public` may be published, the rest may not. The verdict is
        itself a function of the records: policies limit how often one may try.
    Args: `claim` is what the release promises, None for a table from elsewhere; `transcript` and `refit` are what attackers
        have of it beside (see `attack.View`); attacks that lack what they need are listed in `Findings.not_tried`.
    Raises: AuditError when an attack could not be carried out, or members and controls cannot be compared.
    """
    people = People.draw(
        schema=schema,
        synthetic=synthetic,
        members=members,
        controls=controls,
        transcript=transcript,
        refit=refit,
        rng=rng,
    )
    rows = audit_controls.planted_leak(plan, people, rng=rng), audit_controls.holdout_as_release(plan, people, rng=rng)
    return Findings(rows=(*_attacked(plan, people, claim, rng), *rows))


def conformance(
    plan: AuditPlan,
    generator: AbstractGenerator,
    *,
    domain: Domain,
    unit: PrivacyUnit,
    rho: Fraction,
    noise: AbstractNoiseSource,
    rng: np.random.Generator,
) -> Findings:
    """Check that a generator keeps its claim, on random public tables with columns of this domain; no private data.

    Args: `noise` is the source that the release draws from, so that it is examined too.
    """
    terms = plan.conformance
    laboratory = Laboratory(domain, unit, columns=terms.columns, levels=terms.levels)
    fit = conformance_checks.fit_of(generator, unit, rho)
    plenty = Fraction(unit.l2_squared)
    ample = (conformance_checks.fit_of(generator, unit, plenty), plenty) if rho < plenty else None
    found = conformance_checks.check(
        terms, fit, laboratory, rho=rho, noise=noise, rng=rng, composition=generator.composition, ample=ample
    )
    return Findings(rows=found)


def _ceiling(claim: Claim | None) -> float | None:
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


def _looks(terms: ReleaseTerms, people: People, claim: Claim | None) -> list[Look]:
    sizes = [people.size_for(wanted) for wanted in terms.attempts]
    return [
        Look(
            attempts=size,
            pool=people.size_for(terms.isolated_pool * wanted // terms.attempts[0]),
            alpha_pass=terms.alpha_pass / len(sizes),
            alpha_fail=terms.alpha_fail / len(sizes),
            enough=size >= terms.attempts_min,
            ceiling=_ceiling(claim),
        )
        for index, (size, wanted) in enumerate(zip(sizes, terms.attempts, strict=True))
        if index == 0 or size > sizes[index - 1]
    ]


def _attacked(plan: AuditPlan, people: People, claim: Claim | None, rng: np.random.Generator) -> list[Finding]:
    """Run every trial, look after look, until it is decided or the plan's limit is reached."""
    terms = plan.release
    trials = [
        Trial(attack=attack, group=group, limit=limit)
        for entry, attack in plan.attacks()
        for group, limit in _groups(entry.tau or terms.tau, entry.tau_max or terms.tau_max)
    ]
    found: dict[Trial, Sequence[Finding]] = {}
    for look in _looks(terms, people, claim):
        waiting = [trial for trial in trials if _undecided(found.get(trial))]
        results = _results(waiting, look, people, terms.isolated_share, rng)
        p_values = _adjusted(results, look, decided=sum(len(rows) for rows in found.values()))
        for trial in waiting:
            before = {row.check: row for row in found.get(trial, ()) if row.verdict != "INCONCLUSIVE"}
            now = [_judged(trial, result, p_values[trial, result.label], look, terms) for result in results[trial]]
            found[trial] = [before.get(row.check, row) for row in now]
    return [row for trial in trials for row in found[trial]]


def _groups(tau: float, tau_max: float) -> tuple[tuple[Group, float], ...]:
    return ("everyone", tau), ("the most isolated people", tau_max)


def _undecided(rows: Sequence[Finding] | None) -> bool:
    return rows is None or any(row.verdict == "INCONCLUSIVE" for row in rows)


def _results(
    trials: Sequence[Trial], look: Look, people: People, share: float, rng: np.random.Generator
) -> dict[Trial, tuple[AttackResult, ...]]:
    wanted = {trial.group for trial in trials}
    targets = {}
    if "everyone" in wanted:
        targets["everyone"] = people.target(look.attempts)
    if "the most isolated people" in wanted:
        targets["the most isolated people"] = people.most_isolated(look.pool, share)
    results = {}
    for done, trial in enumerate(trials):
        progress.report("audit", done, len(trials))
        results[trial] = trial.attack.run(targets[trial.group], rng=rng)
    progress.report("audit", len(trials), len(trials))
    return results


def _fails_above(trial: Trial, look: Look) -> float:
    return trial.limit if look.ceiling is None else min(trial.limit, look.ceiling)


def _adjusted(
    results: Mapping[Trial, Sequence[AttackResult]], look: Look, *, decided: int
) -> dict[tuple[Trial, str], float]:
    """P-values of "no leak above the limit", corrected for all hypotheses of the plan, also those no longer tested."""
    keys = [(trial, result) for trial, row in results.items() for result in row]
    p_values = [
        statistics.above_p_value(
            result.comparison, _fails_above(trial, look), alpha=look.alpha_fail / max(1, len(keys))
        )
        for trial, result in keys
    ]
    padding = [1.0] * max(0, decided - len(keys))
    adjusted = statistics.holm([*p_values, *padding])
    return {(trial, result.label): value for (trial, result), value in zip(keys, adjusted, strict=False)}


def _judged(trial: Trial, result: AttackResult, p_value: float, look: Look, terms: ReleaseTerms) -> Finding:
    """The verdict on one result: pass below the limit, fail above it, and undecided in between."""
    upper = statistics.excess_upper(result.comparison, look.alpha_pass)
    verdict: Verdict = "INCONCLUSIVE"
    if p_value <= look.alpha_fail:
        verdict = "FAIL"
    elif upper < trial.limit and look.enough:
        verdict = "PASS"
    return Finding(
        check=f"{result.label}, {trial.group}",
        family="release",
        threat=f"{trial.attack.threat} (attacker has: {trial.attack.tier})",
        verdict=verdict,
        threshold=trial.limit,
        detectable=_rounded_up(statistics.detectable_excess(_least(trial, terms), alpha=look.alpha_pass)),
        ceiling=None if look.ceiling is None else _rounded_up(look.ceiling),
        meaning=_meaning(verdict, trial, look, terms),
        figures={
            "attempts": result.attempts,
            "member successes": result.members,
            "control successes": result.controls,
            "failed attempts": result.failed,
            "baseline": result.baseline,
            "excess": result.comparison.excess,
            "excess, lower bound": statistics.excess_lower(result.comparison, look.alpha_pass),
            "excess, upper bound": upper,
            "p-value of no leak": statistics.fisher_p_value(result.comparison),
            "adjusted p-value of no leak above the limit": p_value,
        },
    )


def _least(trial: Trial, terms: ReleaseTerms) -> int:
    """How many people the plan tries at the least: a public number, where how many were tried tells how many there are."""
    if trial.group == "everyone":
        return terms.attempts_min
    pool = terms.isolated_pool
    while pool > terms.attempts_min:
        pool //= 2
    return max(1, round(pool * terms.isolated_share))


def _rounded_up(rate: float) -> float:
    """To a hundredth of a percentage point, so that a published number is never better than what was computed."""
    return math.ceil(rate * 10_000) / 10_000


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
            f"There are fewer than {terms.attempts_min} people in a group, too few for this plan: hold out more people."
        )
    return f"With the people there are, a leak of {points} can be neither shown nor ruled out: hold out more people."
