"""Conformance of latent_class: what it asks of large tables alone is replayed too, at a release's own small budget."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from privsynth import auditing
from privsynth.audit_plan import AuditPlan
from privsynth.domain import Domain
from privsynth.findings import Verdict
from privsynth.generators.latent_class import LatentClass
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.privacy.query import MarginalErrors, Marginals
from privsynth.privacy.unit import PrivacyUnit

ROW = PrivacyUnit(name="row")


def verdicts() -> dict[str, Verdict]:
    found = auditing.conformance(
        AuditPlan.load("quick"),
        LatentClass(components=20),
        domain=Domain(("a", "b", "c", "d"), (6, 4, 3, 2)),
        unit=ROW,
        rho=Fraction(1, 60),
        noise=UnsafeSeededNoise(1),
        rng=np.random.default_rng(1),
    )
    return {row.check: row.verdict for row in found.rows}


def test_a_correct_fit_passes() -> None:
    assert set(verdicts().values()) == {"PASS"}


def test_scores_that_move_further_than_they_say_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MarginalErrors, "sensitivity_squared", lambda _, unit: unit.l2_squared)
    assert verdicts()["replay: sensitivity"] == "FAIL"


def test_pairs_that_count_rows_twice_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Marginals.answer
    monkeypatch.setattr(
        Marginals,
        "answer",
        lambda self, dataset: [table * (1 + (table.ndim > 1)) for table in right(self, dataset)],
    )
    assert verdicts()["replay: sensitivity"] == "FAIL"
