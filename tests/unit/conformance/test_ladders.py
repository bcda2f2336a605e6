"""Ladders of equal units: neighbours step by step; a threshold anywhere, or a unit that keeps too many rows, moves too far."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from privsynth import fitting, generators
from privsynth.conformance import ladders
from privsynth.conformance.fits import fit_of
from privsynth.conformance.replays import Seen
from privsynth.conformance.tables import Laboratory
from privsynth.conformance.watching import Trained
from privsynth.errors import MechanismError
from privsynth.privacy import curator
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.privacy.query import Marginals
from privsynth.privacy.unit import PrivacyUnit, bound_contributions
from privsynth.records import Records
from tests.fitting_of import SHORT
from tests.laboratory import DOMAIN, PATIENT, REPLACED, ROW

UNITS = pytest.mark.parametrize("unit", [ROW, PATIENT, REPLACED], ids=["row", "patient", "replaced"])


def climbed(name: str, unit: PrivacyUnit, rho: Fraction = Fraction(9)) -> Seen:
    laboratory = Laboratory(DOMAIN, unit, columns=4, levels=5)
    generator = generators.get(name, {})
    trained = Trained.of(generator, unit, rho, None)
    seen = Seen(unit=unit, plan=None if trained is None else trained.plan)
    fit = fit_of(generator, unit, rho) if trained is None else trained.fit()
    ladders.climb(fit, laboratory, UnsafeSeededNoise(1), np.random.default_rng(1), seen)
    return seen


@UNITS
@pytest.mark.parametrize("name", generators.NAMES)
@pytest.mark.parametrize("rho", [Fraction(1, 5000), Fraction(9)], ids=["hardly any budget", "ample"])
def test_a_right_fit_climbs_it(name: str, unit: PrivacyUnit, rho: Fraction) -> None:
    if name in SHORT and unit is REPLACED:
        with pytest.raises(MechanismError, match="adding or removing"):
            climbed(name, unit, rho)
        return
    seen = climbed(name, unit, rho)
    assert seen.moved + seen.diverged == []


@UNITS
@pytest.mark.parametrize("threshold", [3, 50, 800])
def test_counts_below_a_threshold_that_are_left_out_are_seen(
    unit: PrivacyUnit, threshold: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Marginals.answer

    def answer(query: Marginals, data: Any) -> Any:
        return [np.where(table < threshold, 0, table) for table in right(query, data)]

    monkeypatch.setattr(Marginals, "answer", answer)
    assert climbed("independent", unit).moved


def test_a_bound_that_only_moderate_units_are_held_to_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def bound(records: Records, unit: PrivacyUnit, key: bytes) -> Records:
        assert records.units is not None
        over = (np.bincount(records.units) > 50 * unit.max_rows).any()
        return records if over else bound_contributions(records, unit, key)

    monkeypatch.setattr(fitting, "bound_contributions", bound)
    monkeypatch.setattr(curator, "require_bounded", lambda dataset, unit: None)
    assert climbed("independent", PATIENT).moved[0].startswith("a unit of far too many rows: ")


def test_units_of_very_many_rows_climb_less_high(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = []
    right = Laboratory.alike

    def alike(laboratory: Laboratory, table: Records, units: int, *, of: int) -> Records:
        rows.append(of * laboratory.unit.max_rows)
        return right(laboratory, table, units, of=of)

    monkeypatch.setattr(Laboratory, "alike", alike)
    seen = climbed("independent", PrivacyUnit(name="patient", column="patient", max_rows=700))
    assert seen.moved + seen.diverged == []
    assert set(rows) == {8 * 700}


@UNITS
def test_each_step_adds_or_replaces_whole_units(unit: PrivacyUnit) -> None:
    laboratory = Laboratory(DOMAIN, unit, columns=4, levels=5)
    base = laboratory.table(20, np.random.default_rng(1))
    two, five = (laboratory.alike(base, units, of=5) for units in (2, 5))
    rows = 3 * unit.max_rows
    assert five.rows - two.rows == (0 if unit is REPLACED else rows)
    assert five.rows == 21 + 5 * unit.max_rows
    last = [size - 1 for size in laboratory.schema.domain().sizes]
    if unit.column is not None:
        assert five.units is not None
        assert np.bincount(five.units)[-5:].tolist() == [unit.max_rows] * 5
    for one, ticks in zip(last, five.ticks.values(), strict=True):
        assert set(ticks[21:].tolist()) == {ticks[20]}
        assert ticks[20] <= one
    greedy = laboratory.greedy(five)
    added = 1 if unit is ROW else 100 * unit.max_rows
    assert greedy.rows == five.rows + added - (unit.max_rows if unit is REPLACED else 0)
