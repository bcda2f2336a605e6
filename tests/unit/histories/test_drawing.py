"""Drawing databases: in order, within bounds and limits, every row from the model of its view, whatever the model says."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pytest

from privsynth.database.document import DatabaseSchema
from privsynth.database.held import Database
from privsynth.errors import FitError
from privsynth.histories import drawing
from privsynth.histories.drawing import Drawn
from privsynth.histories.kinship import lifted
from privsynth.schema.levels import granule_bounds
from privsynth.schema.ticks import MISSING
from tests import made_database, made_models

Ints = npt.NDArray[np.int64]
TOMLS = {"clinic": made_database.CLINIC_TOML, "events": made_database.EVENTS_TOML, "bank": made_database.BANK_TOML}


@lru_cache
def drawn(name: str, units: int = 400) -> Drawn:
    schema = DatabaseSchema.loads(TOMLS[name])
    rng = np.random.default_rng(11)
    return drawing.draw(schema, made_models.of_views(schema, rng), units, rng)


def times(database: Database, table: str) -> Ints:
    terms, records = database.schema.table(table), database.tables[table].records
    assert terms.time is not None
    assert records is not None
    return records.ticks[terms.time.column]


@pytest.mark.parametrize("name", TOMLS)
def test_rows_are_in_order_of_unit_parent_and_time_and_hang_on_their_own_units_rows(name: str) -> None:
    database = drawn(name).database
    for terms in database.schema.tables[1:]:
        rows, parents = database.tables[terms.name], database.tables[terms.parent_table]
        assert rows.count
        time = np.zeros(rows.count) if terms.time is None else times(database, terms.name)
        np.testing.assert_array_equal(np.lexsort((time, rows.parent, rows.unit)), np.arange(rows.count))
        hangs = rows.parent >= 0
        np.testing.assert_array_equal(parents.unit[rows.parent[hangs]], rows.unit[hangs])
        assert hangs.all() or (terms.parent is not None and terms.parent.optional)
    assert database.units == 400


@pytest.mark.parametrize("name", TOMLS)
def test_values_are_inside_their_columns_and_numbers_of_rows_inside_their_bounds(name: str) -> None:
    database = drawn(name).database
    for terms in database.schema.tables:
        rows = database.tables[terms.name]
        assert terms.content is not None
        assert rows.records is not None
        for column in terms.content.modelled:
            values = rows.records.ticks[column.name]
            if any(column is after for after, _ in terms.content.following):
                continue
            low, high = granule_bounds(column)
            present = values[values != MISSING]
            assert low <= present.min()
            assert present.max() <= high
        if terms.bound is not None:
            of_parent = rows.parent[rows.parent >= 0]
            assert np.bincount(of_parent).max() <= terms.bound.largest


def test_nothing_is_before_its_anchor_or_after_its_limit_and_what_follows_a_date_is_after_it() -> None:
    clinic = drawn("clinic").database
    stays = clinic.tables["stays"].records
    assert stays is not None
    _, birth = lifted(clinic, "stays", "patients.birth")
    _, death = lifted(clinic, "stays", "patients.death")
    admit, discharge = stays.ticks["admit"], stays.ticks["discharge"]
    assert (admit >= birth).all()
    known = (death != MISSING) & (death > birth)
    assert (admit[known] <= death[known]).all()
    assert ((discharge - admit >= 0) & (discharge - admit <= 60)).all()
    bank = drawn("bank").database
    _, opened = lifted(bank, "transactions", "opened")
    assert (times(bank, "transactions") >= opened).all()


def test_what_is_moved_into_its_limit_is_counted() -> None:
    found = drawn("clinic")
    assert set(found.repaired) == {
        "stays.admit after the last moment that it may have",
        "diagnoses.noted after the last moment that it may have",
    }
    assert found.repaired["stays.admit after the last moment that it may have"] > 0


def test_units_without_rows_and_no_units_at_all() -> None:
    schema = DatabaseSchema.loads(made_database.CLINIC_TOML)
    rng = np.random.default_rng(1)
    empty = drawing.draw(schema, made_models.of_views(schema, rng), 0, rng).database
    assert [rows.count for rows in empty.tables.values()] == [0, 0, 0]


def test_many_parents_are_drawn_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "_TOGETHER", 64)
    drawn.cache_clear()
    try:
        test_rows_are_in_order_of_unit_parent_and_time_and_hang_on_their_own_units_rows("clinic")
        test_nothing_is_before_its_anchor_or_after_its_limit_and_what_follows_a_date_is_after_it()
    finally:
        drawn.cache_clear()


def test_models_of_other_views_are_refused() -> None:
    schema = DatabaseSchema.loads(made_database.CLINIC_TOML)
    models = made_models.of_views(schema, np.random.default_rng(1))
    with pytest.raises(FitError, match="no model of its view"):
        drawing.draw(schema, {**models, "stays": models["patients"]}, 3, np.random.default_rng(2))
    with pytest.raises(FitError, match="no model of its view"):
        drawing.draw(schema, {"patients": models["patients"]}, 3, np.random.default_rng(2))
