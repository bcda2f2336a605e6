"""Purchases with scripted noise: a right one gives out no label below its threshold, and draws no noise after a failure."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from privsynth.conformance import thresholds
from privsynth.conformance.purchases import Bought
from privsynth.errors import BudgetExceeded
from privsynth.privacy import purchase
from privsynth.privacy.unit import PrivacyUnit
from tests.laboratory import PATIENT, REPLACED, ROW, Pairs

MANY = PrivacyUnit(name="patient", column="patient", max_rows=4)
VERY_MANY = PrivacyUnit(name="patient", column="patient", max_rows=500)


def found(unit: PrivacyUnit) -> list[str]:
    return list(thresholds.problems(Bought.of(Pairs(), unit), unit))


@pytest.mark.parametrize("unit", [ROW, PATIENT, MANY, VERY_MANY, REPLACED], ids=["row", "3", "4", "500", "replaced"])
def test_right_purchases_pass(unit: PrivacyUnit) -> None:
    assert found(unit) == []


@pytest.mark.parametrize("variance", [Fraction(1, 3), Fraction(7), Fraction(400)])
@pytest.mark.parametrize("most", [1, 4])
def test_the_threshold_is_that_of_the_curator(variance: Fraction, most: int) -> None:
    delta = Fraction(1, 10**6)
    assert thresholds.needed(variance, most, delta) == purchase.stability_threshold(variance, most, delta)


def test_a_threshold_for_one_row_a_unit_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = purchase.stability_threshold
    monkeypatch.setattr(purchase, "stability_threshold", lambda variance, _, delta: right(variance, 1, delta))
    assert found(MANY) == ["a label was given out below the count that its failure probability requires"]


def test_bounds_that_are_bought_until_they_are_found_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = purchase.bounds

    def bounds(*args: Any, **named: Any) -> Any:
        try:
            return right(*args, **named)
        except BudgetExceeded:
            return right(*args, **named)

    monkeypatch.setattr(purchase, "bounds", bounds)
    assert found(ROW) == ["noise was drawn again after a purchase that failed"]


def test_bounds_of_nothing_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purchase, "_stands_out", lambda event, cells: 0)
    assert "bounds were found where nothing stood out" in found(ROW)
