"""The kill matrix of conformance, for what only other tables show: sizes, many columns, thresholds, and parts of a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import pytest

from privsynth import auditing, fitting, generators
from privsynth.audit_plan import AuditPlan
from privsynth.domain import Domain
from privsynth.privacy import curator, purchase
from privsynth.privacy.curator import Curator
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.privacy.query import Marginals
from privsynth.privacy.unit import PrivacyUnit, bound_contributions
from privsynth.records import Records
from tests.laboratory import PATIENT, REPLACED, ROW, Pairs

WIDE = Domain(tuple(f"answer {turn}" for turn in range(10)), (5,) * 10)


def failing(generator: Any, unit: PrivacyUnit = PATIENT, rho: Fraction = Fraction(1, 8)) -> set[str]:
    found = auditing.conformance(
        AuditPlan.load("quick"),
        generator,
        domain=WIDE,
        unit=unit,
        rho=rho,
        noise=UnsafeSeededNoise(1),
        rng=np.random.default_rng(1),
    )
    return {row.check for row in found.rows if row.verdict != "PASS"}


@pytest.mark.parametrize("unit", [ROW, PATIENT, REPLACED], ids=["row", "patient", "replaced"])
@pytest.mark.parametrize("name", ["independent", "mst"])
def test_right_ones_pass_on_many_columns(name: str, unit: PrivacyUnit) -> None:
    assert failing(generators.get(name, {}), unit) == set()


@dataclass
class AsksBy(Pairs):
    """Asks something else where its records say so."""

    other: Callable[[Any, Fraction], bool]
    name: ClassVar[str] = "asks by"

    def measure(self, curator: Curator) -> None:
        if self.other(curator._data.open(), curator.budget):
            curator.measure([(curator.domain.attributes[0],)], rho=curator.budget, stage="columns")
        else:
            super().measure(curator)


def _few(data: Any, budget: Fraction) -> bool:
    return bool(data.rows < 40)


def _few_for_little(data: Any, budget: Fraction) -> bool:
    return bool(data.rows < 40 and budget < 1)


def _rather_many(data: Any, budget: Fraction) -> bool:
    return bool(500 < data.rows < 2000)


def _very_many(data: Any, budget: Fraction) -> bool:
    return bool(data.rows > 60_000)


def _many_columns(data: Any, budget: Fraction) -> bool:
    return bool(len(data.domain) > 6 and data.columns[0].sum() % 2)


@pytest.mark.parametrize("other", [_few, _few_for_little, _rather_many, _very_many, _many_columns])
def test_control_flow_that_depends_on_the_records_is_caught(other: Callable[[Any, Fraction], bool]) -> None:
    assert "replay: invariance" in failing(AsksBy(other))


def test_counts_that_are_left_out_below_a_threshold_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Marginals.answer

    def answer(query: Marginals, data: Any) -> Any:
        return [np.where(table < 50, 0, table) for table in right(query, data)]

    monkeypatch.setattr(Marginals, "answer", answer)
    assert "replay: sensitivity" in failing(Pairs())


def test_shares_that_are_too_large_for_many_tables_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Marginals.shares

    def shares(query: Marginals, rho: Fraction) -> Any:
        return [share * (2 if len(query.cliques) > 8 else 1) for share in right(query, rho)]

    monkeypatch.setattr(Marginals, "shares", shares)
    assert failing(Pairs()) == {"ledger"}


@dataclass
class TellsTotal(Pairs):
    """Its stored model knows how many records there are exactly, where there are many columns."""

    name: ClassVar[str] = "tells total"
    rows: ClassVar[int] = 0

    def measure(self, curator: Curator) -> None:
        TellsTotal.rows = curator._data.open().rows
        super().measure(curator)

    def restore(self, domain: Any, transcript: Any, arrays: Any) -> Any:
        total = arrays["total"] + 1e-9 * TellsTotal.rows * (len(domain) > 8)
        return super().restore(domain, transcript, {**arrays, "total": total})


def test_a_stored_model_that_knows_more_is_caught() -> None:
    assert failing(TellsTotal()) == {"replay: records"}


def test_a_threshold_that_forgets_how_many_labels_a_unit_may_have_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = purchase.stability_threshold
    monkeypatch.setattr(purchase, "stability_threshold", lambda variance, _, delta: right(variance, 1, delta))
    assert failing(Pairs()) == {"ledger"}


def test_a_hold_out_by_one_shuffle_of_the_table_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def hold_out(records: Records, share: float, key: bytes) -> tuple[Records, Records]:
        held = np.random.default_rng(list(key)).permutation(records.rows) < share * records.rows
        return records.take(~held), records.take(held)

    monkeypatch.setattr(fitting, "hold_out", hold_out)
    assert failing(Pairs()) == {"replay: invariance"}


def test_a_bound_that_gives_up_on_units_of_very_many_rows_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def bound(records: Records, unit: PrivacyUnit, key: bytes) -> Records:
        assert records.units is not None
        over = (np.bincount(records.units) > 50 * unit.max_rows).any()
        return records if over else bound_contributions(records, unit, key)

    monkeypatch.setattr(curator, "require_bounded", lambda dataset, unit: None)
    monkeypatch.setattr(fitting, "bound_contributions", bound)
    assert failing(Pairs()) == {"replay: sensitivity"}
