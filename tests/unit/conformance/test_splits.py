"""Splits with the same keys: right ones leave everybody else where they are; those that look at the table do not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from privsynth import fitting
from privsynth.conformance import splits
from privsynth.conformance.tables import Laboratory
from privsynth.privacy.unit import PrivacyUnit
from privsynth.records import Records
from tests.laboratory import DOMAIN, PATIENT, REPLACED, ROW

HELD = "who is held out, or which of its rows stay, depends on other units"
BOTH = "a unit is held out and fitted as well"


def found(unit: PrivacyUnit) -> list[str]:
    return list(splits.problems(Laboratory(DOMAIN, unit, columns=4, levels=5), np.random.default_rng(1)))


@pytest.mark.parametrize("unit", [ROW, PATIENT, REPLACED], ids=["row", "patient", "replaced"])
def test_the_keyed_split_passes(unit: PrivacyUnit) -> None:
    assert found(unit) == []


def _by_permutation(records: Records, share: float, key: bytes) -> tuple[Records, Records]:
    held = np.random.default_rng(list(key)).permutation(records.rows) < share * records.rows
    return records.take(~held), records.take(held)


def _by_row(records: Records, share: float, key: bytes) -> tuple[Records, Records]:
    held = np.random.default_rng(list(key)).random(records.rows) < share
    return records.take(~held), records.take(held)


@pytest.mark.parametrize(("split", "told"), [(_by_permutation, HELD), (_by_row, BOTH)], ids=["permuted", "row by row"])
def test_a_split_that_is_not_by_each_unit_s_own_coin_is_seen(
    split: Callable[[Records, float, bytes], tuple[Records, Records]], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "hold_out", split)
    assert told in found(PATIENT)


def test_rows_that_stay_by_one_shuffle_of_the_table_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def bound(records: Records, unit: PrivacyUnit, key: bytes) -> Records:
        assert records.units is not None
        order = np.random.default_rng(list(key)).permutation(records.rows)
        keep = np.zeros(records.rows, dtype=bool)
        for who in np.unique(records.units):
            keep[order[records.units[order] == who][: unit.max_rows]] = True
        return records.take(keep)

    monkeypatch.setattr(fitting, "bound_contributions", bound)
    assert HELD in found(PATIENT)
