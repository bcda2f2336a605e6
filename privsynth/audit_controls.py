"""The audit's own controls: a planted leak has to be caught, and people who were never seen must not be taken for a leak.

Must never be left out: an attack that cannot see a leak passes everything, and one that sees leaks everywhere means nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, final

import numpy as np

from privsynth import progress, statistics
from privsynth.attack import AbstractAttack, AttackResult, Target, together
from privsynth.audit_people import People
from privsynth.audit_plan import AuditPlan, ReleaseTerms
from privsynth.findings import Finding
from privsynth.private import Private


def planted_leak(plan: AuditPlan, people: People, *, rng: np.random.Generator) -> Finding:
    """Copy a share of the members into the release: every attack has to notice.

    Where one does not, all members that it tries are copied. An attack that does not notice that either is excused when it
    could not exceed its limit even so: then a leak of this kind tells nothing in this table.
    """
    terms = plan.release
    target = people.target(people.size_for(terms.control_attempts))
    found = []
    for step, (entry, attack) in enumerate(plan.attacks()):
        progress.report("audit: planted leak", step, len(terms.attacks))
        limit = entry.tau or terms.tau
        found.append(_planted(attack, target, terms, limit=limit, rng=rng))
    blind = [sight.attack for sight in found if sight.seen == "nothing"]
    return Finding(
        check="control: planted leak",
        family="release",
        threat="that the audit is blind",
        verdict="INCONCLUSIVE" if blind else "PASS",
        threshold=None,
        detectable=None,
        ceiling=None,
        meaning=_planted_meaning(found),
        figures={f"p-value of no leak, {sight.attack}": sight.p_value for sight in found}
        | {f"noticed, {sight.attack}": sight.seen for sight in found},
    )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What an attack made of a planted leak: the p-value of there being none, and how much had to be planted."""

    attack: str
    p_value: float
    seen: Literal["a share", "all", "harmless", "nothing"]


def _planted(
    attack: AbstractAttack, target: Target, terms: ReleaseTerms, *, limit: float, rng: np.random.Generator
) -> Sight:
    size = target.members.open().rows
    p_value = _smallest(attack.run(_with_copies(target, math.ceil(terms.planted_share * size)), rng=rng))
    if p_value <= terms.alpha_control:
        return Sight(attack=attack.name, p_value=p_value, seen="a share")
    results = attack.run(_with_copies(target, size), rng=rng)
    p_value = _smallest(results)
    if p_value <= terms.alpha_control:
        return Sight(attack=attack.name, p_value=p_value, seen="all")
    harmless = all(statistics.excess_upper(result.comparison, terms.alpha_pass) < limit for result in results)
    return Sight(attack=attack.name, p_value=p_value, seen="harmless" if harmless else "nothing")


def _planted_meaning(found: Sequence[Sight]) -> str:
    """One sentence for all that pass: what each attack saw is computed on members, and stays in the figures."""
    blind = any(sight.seen == "nothing" for sight in found)
    if blind:
        return "With so few people, an attack cannot see a leak planted on purpose."
    return "Records copied into the release on purpose were noticed by every attack that such a leak could take over its limit."


def holdout_as_release(plan: AuditPlan, people: People, *, rng: np.random.Generator) -> Finding:
    """Present half of the controls as the release: no attack may tell members from the other half.

    This is also the test of whether members and controls are exchangeable at all, in either direction.
    """
    terms = plan.release
    controls = people.controls.open()
    size = min(people.size_for(terms.control_attempts), controls.rows // 2)
    target = Target(
        schema=people.schema,
        synthetic=controls.take(np.arange(size, controls.rows)),
        members=Private(people.members.open().take(np.arange(size))),
        controls=Private(controls.take(np.arange(size))),
    )
    p_values = {}
    for entry_number, (_, attack) in enumerate(plan.attacks()):
        progress.report("audit: holdout as release", entry_number, len(terms.attacks))
        for result in attack.run(target, rng=rng):
            p_values[result.label] = _two_sided(result)
    told_apart = min(statistics.holm(list(p_values.values()))) <= terms.alpha_control
    return Finding(
        check="control: holdout as release",
        family="release",
        threat="that the audit sees leaks where there are none",
        verdict="FAIL" if told_apart else "PASS",
        threshold=None,
        detectable=None,
        ceiling=None,
        meaning="Members and controls differ even without the release, so they cannot be compared: draw the controls at random."
        if told_apart
        else "No attack takes people whom the generator never saw for its training data.",
        figures={f"p-value of no difference, {label}": value for label, value in p_values.items()},
    )


def _with_copies(target: Target, copies: int) -> Target:
    copied = target.members.open().take(np.arange(copies))
    return replace(target, synthetic=together(target.synthetic, copied))


def _smallest(results: tuple[AttackResult, ...]) -> float:
    return min(statistics.holm([statistics.fisher_p_value(result.comparison) for result in results]))


def _two_sided(result: AttackResult) -> float:
    greater, less = (statistics.fisher_p_value(counts) for counts in (result.comparison, result.comparison.swapped))
    return min(1.0, 2 * min(greater, less))
