"""The audit's own controls: a planted leak has to be caught, and people who were never seen must not be taken for a leak.

Must never be left out: an attack that cannot see a leak passes everything, and one that sees leaks everywhere means nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from privsynth import progress, statistics
from privsynth.attack import AbstractAttack, AttackResult, Target
from privsynth.audit_plan import AuditPlan, ReleaseTerms
from privsynth.auditing import verdicts
from privsynth.auditing.people import AbstractPeople
from privsynth.auditing.verdicts import Trial
from privsynth.findings import Figure, Finding, Verdict

_COARSE = {"transcript", "algorithm"}
"""Tiers of attacks on noisy answers and on the tables that a generator measures."""
_SEEN = ("a share", "all")
_NOTHING = "nothing"
_PLANTED = "control: planted leak", "that the audit is blind"
_HOLDOUT = "control: holdout as release", "that the audit sees leaks where there are none"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What an attack made of a planted leak: the p-value of there being none, and how much had to be planted."""

    p_value: float
    seen: str

    @property
    def noticed(self) -> bool:
        """Whether it noticed anything."""
        return self.seen in _SEEN


def planted_leak(
    plan: AuditPlan, attacks: Sequence[AbstractAttack], people: AbstractPeople, *, rng: np.random.Generator
) -> Finding:
    """Present a release of which a share is copied members: every attack that was tried has to notice (see `sights`)."""
    return planted_row(sights(plan, attacks, people, rng=rng))


def sights(
    plan: AuditPlan, attacks: Sequence[AbstractAttack], people: AbstractPeople, *, rng: np.random.Generator
) -> dict[str, Sight]:
    """What each attack, by name, makes of a release of which a share is copied members.

    It holds as many rows as members are tried, and where there are noisy answers, they count exactly what it holds. Where an
    attack does not notice, all members that it tries are copied. One that does not notice that either is excused when it
    could not exceed its limit even so: then a leak of this kind tells nothing in this table. So is one that knows the release
    by tables of few columns alone: of few people, such tables tell little, whoever is copied. Where no attack at all notices,
    nothing is excused: an audit that is blind passes nothing.
    """
    terms = plan.release
    size = people.size_for(terms.control_attempts)
    some, all_copied = people.planted(size, math.ceil(terms.planted_share * size)), people.planted(size, size)
    tried = [trial for trial in verdicts.trials(plan, attacks) if trial.group == "everyone"]
    found: dict[AbstractAttack, Sight] = {}
    for step, trial in enumerate(tried):
        progress.report("audit: planted leak", step, len(tried))
        found[trial.attack] = _planted(trial, some, all_copied, terms, rng=rng)
    noticed = any(sight.noticed for sight in found.values())
    for attack, sight in found.items():
        if noticed and sight.seen == _NOTHING and attack.tier in _COARSE:
            found[attack] = excused(sight, "it sees tables of few columns alone")
    return {attack.name: sight for attack, sight in found.items()}


def excused(sight: Sight, reason: str) -> Sight:
    """Nothing was noticed, and that is no fault of the audit."""
    return replace(sight, seen=f"nothing, which is excused: {reason}") if sight.seen == _NOTHING else sight


def planted_row(found: Mapping[str, Sight]) -> Finding:
    """The control's row: passed where some attack noticed the planted leak, and none is blind to it."""
    passed = any(sight.noticed for sight in found.values()) and all(sight.seen != _NOTHING for sight in found.values())
    return _row(
        _PLANTED,
        verdict="PASS" if passed else "INCONCLUSIVE",
        meaning=_planted_meaning(seen=passed),
        figures={f"p-value of no leak, {name}": sight.p_value for name, sight in found.items()}
        | {f"noticed, {name}": sight.seen for name, sight in found.items()},
    )


def _planted(trial: Trial, some: Target, all_copied: Target, terms: ReleaseTerms, *, rng: np.random.Generator) -> Sight:
    p_value = _smallest(trial.attack.run(some, rng=rng))
    if p_value <= terms.alpha_control:
        return Sight(p_value=p_value, seen="a share")
    results = trial.attack.run(all_copied, rng=rng)
    p_value = _smallest(results)
    if p_value <= terms.alpha_control:
        return Sight(p_value=p_value, seen="all")
    harmless = all(
        statistics.excess_p_value(result.comparison, trial.limit, alpha=terms.alpha_pass, slope=trial.times)
        <= terms.alpha_pass
        for result in results
    )
    return Sight(p_value=p_value, seen="harmless" if harmless else _NOTHING)


def _planted_meaning(*, seen: bool) -> str:
    """One sentence for all that pass: what each attack saw is computed on members, and stays in the figures."""
    if not seen:
        return "With so few people, an attack cannot see a leak planted on purpose."
    return (
        "Records copied into the release on purpose were noticed by every attack that they could take over its limit."
    )


def holdout_as_release(
    plan: AuditPlan, attacks: Sequence[AbstractAttack], people: AbstractPeople, *, rng: np.random.Generator
) -> Finding:
    """Present half of the controls as the release: no attack may tell members from the other half.

    This is also the test of whether members and controls are exchangeable at all, in either direction. An audit that has
    failed runs it with the attacks that failed, to tell a leak from groups that differ anyway.
    """
    return holdout_row(differences(plan, attacks, people, rng=rng), plan.release)


def differences(
    plan: AuditPlan, attacks: Sequence[AbstractAttack], people: AbstractPeople, *, rng: np.random.Generator
) -> dict[str, float]:
    """P-values of members and controls being alike, where other controls are the release, by what was attacked."""
    terms = plan.release
    target = people.holdout(min(people.size_for(terms.control_attempts), people.all_controls // 2))
    p_values = {}
    for step, attack in enumerate(attacks):
        progress.report("audit: holdout as release", step, len(attacks))
        for result in attack.run(target, rng=rng):
            p_values[result.label] = _two_sided(result)
    return p_values


def holdout_row(p_values: Mapping[str, float], terms: ReleaseTerms) -> Finding:
    """The control's row: passed where no attack tells the two groups apart, at `alpha_control` over all of them."""
    told_apart = min(statistics.holm(list(p_values.values()))) <= terms.alpha_control
    return _row(
        _HOLDOUT,
        verdict="FAIL" if told_apart else "PASS",
        meaning="Members and controls differ even without the release, so they cannot be compared: draw the controls at random."
        if told_apart
        else "No attack takes people whom the generator never saw for its training data.",
        figures={f"p-value of no difference, {label}": value for label, value in p_values.items()},
    )


def planted_not_run() -> Finding:
    """The row of the planted leak where the audit has failed: it would say whether to trust a pass."""
    return _row(_PLANTED, verdict="INCONCLUSIVE", meaning="Not run, because the audit had failed already.")


def _row(
    control: tuple[str, str], *, verdict: Verdict, meaning: str, figures: Mapping[str, Figure] | None = None
) -> Finding:
    check, threat = control
    return Finding(
        check=check,
        family="release",
        threat=threat,
        verdict=verdict,
        meaning=meaning,
        figures=figures or {},
    )


def _smallest(results: tuple[AttackResult, ...]) -> float:
    return min(statistics.holm([statistics.fisher_p_value(result.comparison) for result in results]))


def _two_sided(result: AttackResult) -> float:
    greater, less = (statistics.fisher_p_value(counts) for counts in (result.comparison, result.comparison.swapped))
    return min(1.0, 2 * min(greater, less))
