"""What tells rows, tables and keys apart: ties, purposes, siblings, parents of others, and a budget for Gaussian answers."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from privsynth.conformance.made_databases import Workshop
from privsynth.database.document import DatabaseSchema
from privsynth.database.held import Database, Rows
from privsynth.errors import MechanismError
from privsynth.histories import bounding, measuring, viewing
from privsynth.privacy.accounting import Composition
from privsynth.privacy.guarantee import Budget
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.private import Private
from tests.kill_matrix.generators import Rounds
from tests.made_database import CLINIC_TOML, EVENTS_TOML

KEY = bytes(range(32))

TWICE_TOML = """
[database]
name = "twice"
unit = "patients"
[tables.patients]
key = ["patient_id"]
[tables.patients.columns]
patient_id = {kind = "identifier", make = "P-######"}
[tables.visits]
key = ["visit_id"]
parent = {table = "patients", columns = ["patient_id"]}
bound = {rows = 8}
[tables.visits.columns]
visit_id = {kind = "identifier", make = "V-######"}
kind = {kind = "category", values = ["a", "b"]}
[tables.calls]
parent = {table = "patients", columns = ["patient_id"]}
bound = {rows = 8}
[tables.calls.columns]
kind = {kind = "category", values = ["a", "b"]}
[tables.notes]
parent = {table = "visits", columns = ["visit_id"]}
bound = {rows = 8}
[tables.notes.columns]
kind = {kind = "category", values = ["a", "b"]}
"""
"""Three tables whose rows have no order."""


def made(toml: str, *kinds: str) -> Database:
    """One unit of each of these kinds."""
    workshop, rng = Workshop(DatabaseSchema.loads(toml)), np.random.default_rng(1)
    return workshop.database([workshop.unit(kind, rng) for kind in kinds])


def only(rows: Rows, *, parent: npt.ArrayLike, unit: npt.ArrayLike) -> Rows:
    """As many equal rows, with these parents and units."""
    assert rows.records is not None
    places = np.zeros(np.size(parent), dtype=np.int64)
    return Rows(records=rows.records.take(places), parent=np.array(parent), unit=np.array(unit))


@pytest.mark.parametrize("keep", ["first", "last"])
def test_rows_of_one_moment_are_used_in_the_tables_order(keep: str) -> None:
    toml = CLINIC_TOML.replace('keep = "first"', f'keep = "{keep}"')
    database = made(toml, "a unit with hundreds of equal rows")
    count = database.tables["diagnoses"].count
    used = bounding.used_rows(database, "diagnoses", 8, KEY)
    assert used.tolist() == list(range(8) if keep == "first" else range(count - 8, count))


def test_each_table_and_the_order_of_its_rows_have_draws_of_their_own() -> None:
    database = made(TWICE_TOML, "a unit with hundreds of equal rows")
    visits, calls = (set(bounding.used_rows(database, table, 8, KEY).tolist()) for table in ("visits", "calls"))
    assert len(visits) == len(calls) == 8
    assert len(visits & calls) < 4
    before = bounding.rows_before(database, "visits", KEY)
    place, first = int(np.flatnonzero(before < 0)[0]), []
    while len(first) < 8:
        first.append(place)
        place = int(np.flatnonzero(before == place)[0])
    assert len(visits & set(first)) < 4


def test_rows_without_an_order_stand_in_one_line_with_their_siblings() -> None:
    database = made(TWICE_TOML, "a unit at the bound")
    rows = only(database.tables["notes"], parent=np.repeat(np.arange(5), 6), unit=np.zeros(30, dtype=np.int64))
    database = replace(database, tables={**database.tables, "notes": rows})
    before = bounding.rows_before(database, "notes", KEY)
    for parent in np.unique(rows.parent):
        mine = np.flatnonzero(rows.parent == parent)
        known = before[mine][before[mine] >= 0]
        assert len(known) == len(mine) - 1 == len(np.unique(known))
        assert set(known.tolist()) <= set(mine.tolist())


def test_another_key_holds_out_others() -> None:
    workshop = Workshop(DatabaseSchema.loads(EVENTS_TOML))
    database = workshop.database(workshop.crowd(60, np.random.default_rng(1)))
    held = [bounding.coins(database, 0.5, bytes([turn]) * 32).tolist() for turn in range(3)]
    assert held[0] != held[1] != held[2] != held[0]


@pytest.mark.parametrize(
    ("parent", "unit"),
    [
        pytest.param([1, 0], [0, 1], id="parents of another unit"),
        pytest.param([1, 0], [1, 0], id="units in another order"),
        pytest.param([-1, 2], [0, 1], id="no such parent"),
    ],
)
def test_rows_out_of_place_are_refused_for_that_alone(parent: list[int], unit: list[int]) -> None:
    database = made(EVENTS_TOML, "a unit with one row of each table", "a unit with one row of each table")
    tests = only(database.tables["tests"], parent=parent, unit=unit)
    with pytest.raises(MechanismError, match="must stand by unit, parent and time"):
        viewing.view_datasets(replace(database, tables={**database.tables, "tests": tests}), KEY, {})


def test_rows_of_a_unit_in_another_order_of_parents_are_refused() -> None:
    database = made(TWICE_TOML, "a unit at the bound")
    notes = only(database.tables["notes"], parent=[3, 1], unit=[0, 0])
    with pytest.raises(MechanismError, match="must stand by unit, parent and time"):
        viewing.view_datasets(replace(database, tables={**database.tables, "notes": notes}), KEY, {})


class CallsItselfGaussian(Rounds):
    """Chooses pairs, and says that its answers are Gaussian alone."""

    composition: ClassVar[Composition] = "gdp"


def test_a_choice_is_refused_where_answers_add_up_as_gaussian() -> None:
    database = made(EVENTS_TOML, "a unit at the bound", "a unit without rows")
    plan = measuring.HistoryPlan(
        schema=database.schema,
        generator=CallsItselfGaussian(),
        budget=Budget.of("1", "1e-6", buys=False, composition="gdp"),
        unit_name="patient",
    )
    with pytest.raises(MechanismError, match="selection is no Gaussian mechanism"):
        measuring.measure(Private(database), plan, UnsafeSeededNoise(1), bound_key=KEY)
