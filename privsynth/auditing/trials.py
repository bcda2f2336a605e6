"""The trials of an audit: each attack on each group of people, look after look, until it is decided or another has failed.

Must never drop a trial that was not carried out: it stands among the findings, with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from privsynth import progress
from privsynth.attack import AbstractAttack, AttackResult, Target
from privsynth.audit_plan import AuditPlan
from privsynth.auditing import verdicts
from privsynth.auditing.people import AbstractPeople
from privsynth.auditing.verdicts import Group, Look, Trial
from privsynth.errors import AuditError
from privsynth.findings import Claim, Finding


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """The rows of all trials, and the attacks that failed."""

    rows: Sequence[Finding]
    failing: Sequence[AbstractAttack]


def sorted_out(plan: AuditPlan, people: AbstractPeople) -> tuple[list[AbstractAttack], dict[str, str]]:
    """The attacks that can be tried, in the plan's order, and why which others cannot.

    Raises: AuditError when none can.
    """
    possible, missing = [], {}
    for entry, attack in plan.attacks():
        if people.offers(attack):
            possible.append(attack)
        else:
            missing[entry.name] = f"It needs {attack.needs} of this release, which the audit was not given."
    if not possible:
        raise AuditError(
            f'no attack of plan "{plan.name}" could be tried: each needs what this audit was not given; take another plan'
        )
    return possible, missing


def attack_all(
    plan: AuditPlan,
    attacks: Sequence[AbstractAttack],
    people: AbstractPeople,
    claim: Claim | None,
    rng: np.random.Generator,
) -> Tried:
    """Run every trial, look after look, until all are decided, the plan's looks are used up, or one has failed.

    A clear leak so costs one small look, and as a rule the first attacks of the plan alone.
    """
    trials = verdicts.trials(plan, attacks)
    found: dict[Trial, list[Finding]] = {}
    for look in verdicts.looks(plan.release, people, claim):
        waiting = [trial for trial in trials if _open(found.get(trial, ()))]
        if _one_look(plan, waiting, look, people, found, of=len(trials), rng=rng):
            failing = [trial.attack for trial, rows in found.items() if any(row.verdict == "FAIL" for row in rows)]
            return Tried(rows=_stopped(plan, trials, found, claim), failing=list(dict.fromkeys(failing)))
    return Tried(rows=[row for trial in trials for row in found[trial]], failing=[])


def _open(rows: Sequence[Finding]) -> bool:
    return not rows or any(row.verdict == "INCONCLUSIVE" for row in rows)


def _one_look(
    plan: AuditPlan,
    waiting: Sequence[Trial],
    look: Look,
    people: AbstractPeople,
    found: dict[Trial, list[Finding]],
    *,
    of: int,
    rng: np.random.Generator,
) -> bool:
    """Carry out the waiting trials at this size until one fails, and enter their rows into `found`; true if one failed."""
    crowd = _Crowd(people, look, plan.release.isolated_share)
    results: dict[Trial, Sequence[AttackResult]] = {}
    earlier = {trial: {row.check: row for row in found.get(trial, ())} for trial in waiting}
    for done, trial in enumerate(waiting):
        progress.report("audit", done, len(waiting))
        results[trial] = trial.attack.run(crowd.target(trial.group), rng=rng)
        if _fails(trial, results[trial], earlier[trial], look, of=of):
            break
    rejections = verdicts.adjusted(results, look, of=of)
    for trial, of_trial in results.items():
        found[trial] = [
            _kept(
                earlier[trial],
                verdicts.judged(trial, result, rejections[trial, result.label], look, plan.release),
            )
            for result in of_trial
        ]
    progress.report("audit", len(waiting), len(waiting))
    return any(row.verdict == "FAIL" for rows in found.values() for row in rows)


def _fails(trial: Trial, results: Sequence[AttackResult], earlier: dict[str, Finding], look: Look, *, of: int) -> bool:
    """Whether a row that was undecided fails by this trial's part of the error rate alone; Holm's rejects those too."""
    alone = verdicts.adjusted({trial: results}, look, of=of)
    decided = {check for check, row in earlier.items() if row.verdict != "INCONCLUSIVE"}
    return any(
        rejected.smallest <= look.alpha_fail and verdicts.name_of(trial, label) not in decided
        for (_, label), rejected in alone.items()
    )


def _kept(earlier: dict[str, Finding], now: Finding) -> Finding:
    """What an earlier look has decided stays decided."""
    before = earlier.get(now.check)
    return now if before is None or before.verdict == "INCONCLUSIVE" else before


def _stopped(
    plan: AuditPlan, trials: Sequence[Trial], found: dict[Trial, list[Finding]], claim: Claim | None
) -> list[Finding]:
    limit = verdicts.ceiling(claim)
    rows = []
    for trial in trials:
        rows += [verdicts.left_open(row) for row in found.get(trial, ())]
        if trial not in found:
            rows.append(verdicts.unfinished(trial, plan.release, limit))
    return rows


@final
class _Crowd:
    """The people of one look; the most isolated are sought when they are first asked for."""

    def __init__(self, people: AbstractPeople, look: Look, isolated_share: float) -> None:
        self._people, self._look, self._share = people, look, isolated_share
        self._targets: dict[Group, Target] = {}

    def target(self, group: Group) -> Target:
        """Members and controls of a group."""
        if group not in self._targets:
            self._targets[group] = (
                self._people.target(self._look.attempts)
                if group == "everyone"
                else self._people.most_isolated(self._look.pool, self._share)
            )
        return self._targets[group]
