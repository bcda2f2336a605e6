"""The planted leak: who has to notice it, who is excused, and that an audit which is blind passes nothing."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from privsynth.attack import AbstractAttack, Outcome, Tier, View
from privsynth.audit_plan import AttackEntry, AuditPlan
from privsynth.findings import Finding
from tests.unit.auditing.test_halves import PLAN, Blind, Told, audited, people


class Sighted(Told):
    """Succeeds on whoever stands in the release."""

    name: ClassVar[str] = "sighted"

    def attack(self, view: View, *, rng: np.random.Generator) -> tuple[Outcome, ...]:
        found = np.isin(view.targets.ticks["odd"], view.synthetic.ticks["odd"])
        return (Outcome(label="sighted", success=found, attempted=np.ones_like(found), baseline=0.0),)


class Coarse(Blind):
    tier: ClassVar[Tier] = "transcript"


def planted(patch: pytest.MonkeyPatch, *tried: AbstractAttack, share: float = 0.1, **changes: str) -> Finding:
    patch.setattr(AuditPlan, "attacks", lambda plan: [(AttackEntry(name=attack.name), attack) for attack in tried])
    text = PLAN
    for key, value in changes.items():
        before, after = text.split(f"\n{key} = ")
        text = f"{before}\n{key} = {value}\n{after.partition(chr(10))[2]}"
    found = audited(AuditPlan.loads(text), people(4000, share, start=0), people(4000, share, start=100_000))
    return found["control: planted leak"]


def test_an_attack_that_could_not_exceed_its_limit_even_so_is_excused_where_another_notices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nine in ten succeed anyway: copying them all adds less than the limit of 45 points."""
    row = planted(monkeypatch, Told(), Sighted(), share=0.9, tau="0.45", control_attempts="20")
    assert row.verdict == "PASS"
    assert row.figures["noticed, told"] == "harmless"
    assert row.figures["noticed, sighted"] == "a share"


def test_where_no_attack_notices_nothing_is_excused(monkeypatch: pytest.MonkeyPatch) -> None:
    row = planted(monkeypatch, Told(), share=0.9, tau="0.45", control_attempts="20")
    assert row.figures["noticed, told"] == "harmless"
    assert row.verdict == "INCONCLUSIVE"
    assert "cannot see a leak planted on purpose" in row.meaning


def test_coarse_attacks_are_excused_where_another_notices_and_the_figures_say_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = planted(monkeypatch, Coarse(), Sighted())
    assert row.verdict == "PASS"
    assert str(row.figures["noticed, told"]).startswith("nothing, which is excused")
    assert planted(monkeypatch, Coarse()).verdict == "INCONCLUSIVE"
    assert planted(monkeypatch, Blind(), Sighted()).verdict == "INCONCLUSIVE"
