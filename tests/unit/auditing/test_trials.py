"""The course of an audit: it stops at the first failure, and says what was not tried and what it would take."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from privsynth import statistics
from privsynth.attack import AbstractAttack, AttackResult, Need, Outcome, View
from privsynth.audit_plan import AttackEntry, AuditPlan
from privsynth.auditing import trials, verdicts
from privsynth.errors import AuditError
from tests.unit.auditing.test_halves import PLAN, Told, audit_of, audited, people, rates


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> AuditPlan:
    monkeypatch.setattr(AuditPlan, "attacks", lambda plan: [(plan.release.attacks[0], Told())])
    return AuditPlan.loads(PLAN)


class Slow(Told):
    """Succeeds on nobody, and must not be tried where another has failed."""

    name: ClassVar[str] = "slow"

    def attack(self, view: View, *, rng: np.random.Generator) -> tuple[Outcome, ...]:
        none = np.zeros(view.targets.rows, dtype=bool)
        return (Outcome(label="slow", success=none, attempted=~none, baseline=0.0),)


class Forbidden(Slow):
    def attack(self, view: View, *, rng: np.random.Generator) -> tuple[Outcome, ...]:
        raise AssertionError("tried after another attack had failed")


def both(monkeypatch: pytest.MonkeyPatch, *tried: AbstractAttack) -> None:
    monkeypatch.setattr(
        AuditPlan, "attacks", lambda plan: [(AttackEntry(name=attack.name), attack) for attack in tried]
    )


def test_the_audit_stops_at_the_first_failure_and_says_so(monkeypatch: pytest.MonkeyPatch, plan: AuditPlan) -> None:
    both(monkeypatch, Told(), Forbidden())
    found = audited(plan, people(4000, 0.5, start=0), people(4000, 0.1, start=100_000))
    assert found["told, everyone"].verdict == "FAIL"
    assert found["told, everyone"].figures["attempts"] == 200
    waiting = [found[name] for name in ("slow, everyone", "told, the most isolated people")]
    assert {(row.verdict, row.meaning) for row in waiting} == {
        ("INCONCLUSIVE", "Not finished, because the audit had failed already.")
    }
    assert waiting[0].threshold == 0.1
    assert waiting[1].threshold == 0.3
    assert found["control: planted leak"].verdict == "INCONCLUSIVE"
    assert "Not run" in found["control: planted leak"].meaning
    assert found["control: holdout as release"].verdict == "FAIL", "these groups differ without any release"


def test_undecided_rows_of_a_failed_audit_would_have_been_looked_at_again(
    monkeypatch: pytest.MonkeyPatch, plan: AuditPlan
) -> None:
    """The first row is open at 200 people (0.30 against 0.20), when the second fails."""

    class Other(Slow):
        def attack(self, view: View, *, rng: np.random.Generator) -> tuple[Outcome, ...]:
            member = view.targets.ticks["odd"] % 2 == 0
            return (Outcome(label="slow", success=member, attempted=np.ones_like(member), baseline=0.0),)

    both(monkeypatch, Told(), Other())
    found = audited(plan, people(4000, 0.30, start=0), people(4000, 0.20, start=100_000))
    assert found["slow, everyone"].verdict == "FAIL"
    assert found["told, everyone"].meaning == "Not finished, because the audit had failed already."


class Listening(Told):
    needs: ClassVar[Need] = "the noisy answers"


def test_what_an_attack_lacks_is_said_and_nothing_tried_is_an_error(
    monkeypatch: pytest.MonkeyPatch, plan: AuditPlan
) -> None:
    both(monkeypatch, Slow(), Listening())
    tables = people(4000, 0.1, start=0), people(4000, 0.1, start=100_000)
    found = audit_of(plan, *tables)
    assert found.not_tried == {"told": "It needs the noisy answers of this release, which the audit was not given."}
    assert not any(row.check.startswith("told") for row in found.rows)
    both(monkeypatch, Listening())
    with pytest.raises(AuditError, match="no attack of plan"):
        audit_of(plan, *tables)


def test_a_row_that_cannot_be_decided_says_how_many_people_would_do(plan: AuditPlan) -> None:
    row = rates(plan, 0.30, 0.20, count=250)
    assert row.verdict == "INCONCLUSIVE"
    number = int(row.meaning.rsplit(" people in each table", 1)[0].rsplit(" ", 1)[1].replace(",", ""))
    assert number % 100 == 0
    assert statistics.detectable_excess(number, alpha=0.0125) <= 0.1
    assert statistics.detectable_excess(round(number * 0.8), alpha=0.0125) > 0.1


def test_what_an_earlier_look_has_decided_does_not_stop_a_later_one(plan: AuditPlan) -> None:
    look = verdicts.Look(attempts=200, pool=200, alpha_pass=0.025, alpha_fail=0.01, enough=True, ceiling=None)
    trial = verdicts.Trial(attack=Told(), group="everyone", limit=0.1)
    leak = AttackResult(label="told", attempts=200, members=150, controls=9, failed=0, baseline=0.0)
    calm = AttackResult(label="told", attempts=200, members=9, controls=9, failed=0, baseline=0.0)
    for before, stops in ((calm, False), (None, True)):
        earlier = {}
        if before is not None:
            row = verdicts.judged(trial, before, verdicts.Rejection(limit=1.0), look, plan.release)
            earlier = {row.check: row}
            assert row.verdict == "PASS"
        assert trials._fails(trial, [leak], earlier, look, of=1) is stops
