"""The audit's own controls: a planted leak has to be caught, and people who were never seen must not be taken for a leak.

Must never be left out: an attack that cannot see a leak passes everything, and one that sees leaks everywhere means nothing.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from privsynth import progress, statistics
from privsynth.attack import AbstractAttack, AttackResult, Target, together
from privsynth.audit_people import People
from privsynth.audit_plan import AuditPlan
from privsynth.findings import Finding
from privsynth.private import Private


def planted_leak(plan: AuditPlan, people: People, *, rng: np.random.Generator) -> Finding:
    """Copy a share of the members into the release: every attack has to notice.

    An attack that does not notice is excused when copying every one of them would not exceed its limit either: then no leak
    of this kind matters in this table (its records are so few and so common that a copy tells nothing).
    """
    terms = plan.release
    size = people.size_for(terms.control_attempts)
    target = people.target(size)
    blind: list[str] = []
    excused: list[str] = []
    figures: dict[str, float] = {}
    for entry, attack in plan.attacks():
        progress.report("audit: planted leak", len(figures), len(terms.attacks))
        planted = _planted(target, math.ceil(terms.planted_share * size))
        results = attack.run(planted, rng=rng)
        figures[attack.name] = _smallest(results)
        if figures[attack.name] <= terms.alpha_control:
            continue
        limit = entry.tau or terms.tau
        harmless = _harmless(attack, _planted(target, size), limit, terms.alpha_pass, rng)
        (excused if harmless else blind).append(attack.name)
    meaning = "Every attack noticed records that were copied into the release on purpose."
    if excused:
        meaning += f" Or could not exceed its limit on this table even if all were copied: {', '.join(excused)}."
    if blind:
        meaning = f"With so few people, these attacks cannot see a leak planted on purpose: {', '.join(blind)}."
    return Finding(
        check="control: planted leak",
        family="release",
        threat="that the audit is blind",
        verdict="INCONCLUSIVE" if blind else "PASS",
        threshold=None,
        detectable=None,
        ceiling=None,
        meaning=meaning,
        figures={f"p-value of no leak, {name}": value for name, value in figures.items()},
    )


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


def _planted(target: Target, copies: int) -> Target:
    copied = target.members.open().take(np.arange(copies))
    return replace(target, synthetic=together(target.synthetic, copied))


def _smallest(results: tuple[AttackResult, ...]) -> float:
    return min(statistics.holm([statistics.fisher_p_value(result.comparison) for result in results]))


def _harmless(attack: AbstractAttack, target: Target, limit: float, alpha: float, rng: np.random.Generator) -> bool:
    uppers = [statistics.excess_upper(result.comparison, alpha) for result in attack.run(target, rng=rng)]
    return max(uppers) < limit


def _two_sided(result: AttackResult) -> float:
    greater, less = (statistics.fisher_p_value(counts) for counts in (result.comparison, result.comparison.swapped))
    return min(1.0, 2 * min(greater, less))
