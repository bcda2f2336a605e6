"""Views as records: each attribute means what the layout says, and one unit moves nothing but its own records."""

from __future__ import annotations

import datetime as dt
import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.database.document import DatabaseSchema
from privsynth.database.held import Database, Rows
from privsynth.dataset import Dataset
from privsynth.errors import MechanismError, SchemaError
from privsynth.histories.bounding import most_weight, rows_used
from privsynth.histories.layout import View, views
from privsynth.histories.viewing import view_datasets
from privsynth.schema.ticks import MISSING
from tests import made_database
from tests.made_database import CLINIC_TOML, make_rows

KEY = bytes(range(32))
MAKERS = {"clinic": made_database.clinic, "events": made_database.events, "bank": made_database.bank}

SHARED_TOML = """
[database]
name = "ward"
unit = "patients"
[tables.patients]
key = ["patient"]
[tables.patients.columns]
patient = {kind = "identifier", make = "P-####"}
[tables.visits]
parent = {table = "patients", columns = ["patient"]}
bound = {rows = 4}
time = {column = "day", keep = ["month", "weekday"]}
carry = []
[tables.visits.columns]
day = {kind = "date", lower = 2020-01-01, upper = 2020-12-31}
[tables.labs]
parent = {table = "patients", columns = ["patient"]}
bound = {rows = 4}
time = {column = "at", shared_with = "visits", largest_gap = 1000}
carry = []
[tables.labs.columns]
at = {kind = "datetime", granularity = "hour", lower = 2020-01-01T00:00:00, upper = 2020-12-31T23:00:00}
"""


def without(database: Database, unit: int) -> Database:
    """The neighbour without this unit."""
    return database.of_units(np.arange(database.units) != unit)


def ticks(database: Database, table: str, column: str) -> npt.NDArray[np.int64]:
    records = database.tables[table].records
    assert records is not None
    return records.ticks[column]


def seen(database: Database) -> dict[str, Dataset]:
    return view_datasets(database, KEY, rows_used(database.schema))


def of_unit(rows: Rows, parent: int, unit: int) -> npt.NDArray[np.int64]:
    """The rows of one parent; of a unit's loose ones where the parent is -1."""
    return np.flatnonzero((rows.parent == parent) & (rows.unit == unit))


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("unit", [0, 1, 17])
def test_one_unit_moves_its_own_records_alone_and_by_no_more_than_its_weight(make: str, unit: int) -> None:
    """The first unit has 500 stays and a thousand diagnoses; it is gone from the neighbour, and so are the others."""
    database = MAKERS[make](18, np.random.default_rng(5), biggest=500)
    used = rows_used(database.schema)
    before, after = (view_datasets(one, KEY, used) for one in (database, without(database, unit)))
    for name, data in before.items():
        limit = most_weight(database.schema.table(name), used[name])
        rest = after[name]
        assert data.units is not None
        kept = data.take(data.units != unit)
        assert all(np.array_equal(one, two) for one, two in zip(kept.columns, rest.columns, strict=True)), name
        assert (kept.weights is None) == (rest.weights is None)
        assert kept.weights is None or np.array_equal(kept.weights, rest.weights)
        cliques = [(), *itertools.combinations(data.domain.attributes[-6:], 2)]
        for one, two in zip(data.marginals(cliques), rest.marginals(cliques), strict=True):
            assert (one >= two).all()
            assert int((one - two).sum()) <= limit
            assert int(((one - two) ** 2).sum()) <= limit**2


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.sampled_from(sorted(MAKERS)))
def test_neighbours_at_random_differ_in_one_unit(seed: int, units: int, make: str) -> None:
    rng = np.random.default_rng(seed)
    database = MAKERS[make](units + 1, rng, biggest=int(rng.integers(0, 60)))
    unit = int(rng.integers(units + 1))
    before, after = seen(database), seen(without(database, unit))
    for name, data in before.items():
        assert data.units is not None
        kept = data.take(data.units != unit)
        assert [column.tolist() for column in kept.columns] == [column.tolist() for column in after[name].columns]


@pytest.mark.parametrize("make", MAKERS)
def test_units_with_rows_weigh_alike_and_others_nothing(make: str) -> None:
    database = MAKERS[make](40, np.random.default_rng(6), biggest=300)
    for name, data in seen(database).items():
        terms, rows = database.schema.table(name), database.tables[name]
        assert data.units is not None
        found = np.bincount(data.units, weights=data.weights, minlength=40)
        owned = np.bincount(rows.unit, minlength=40)
        if terms.bound is None:
            assert found.tolist() == [1] * 40
        elif terms.bound.weights == "unit":
            assert found.tolist() == np.where(owned > 0, 256, 0).tolist()
        else:
            assert found.tolist() == np.minimum(owned, terms.bound.rows).tolist()
        assert data.domain == views(database.schema)[name].domain()


def level(view: View, name: str, value: int) -> int:
    """The code of a value in an attribute that has levels."""
    layout = view.attribute(name).layout
    assert layout is not None
    inside = MISSING if value == MISSING else min(max(value, layout.lower), layout.upper)
    return int(layout.codes(np.array([inside]))[0])


def test_numbers_and_first_times_of_children_are_what_was_counted() -> None:
    database = made_database.clinic(25, np.random.default_rng(7), biggest=20)
    view, data = views(database.schema)["patients"], seen(database)["patients"]
    stays, diagnoses = database.tables["stays"], database.tables["diagnoses"]
    admit, noted = (ticks(database, *one) for one in (("stays", "admit"), ("diagnoses", "noted")))
    for unit in range(25):
        mine, loose = of_unit(stays, unit, unit), of_unit(diagnoses, -1, unit)
        first = int(admit[mine].min()) if mine.size else MISSING
        expected = {
            "count.stays": level(view, "count.stays", min(mine.size, 6)),
            "first.stays": level(view, "first.stays", first),
            "count.diagnoses": level(view, "count.diagnoses", loose.size),
            "first.diagnoses": level(view, "first.diagnoses", int(noted[loose].min()) if loose.size else MISSING),
        }
        assert {name: int(data.column(name)[unit]) for name in expected} == expected


def test_a_first_row_is_counted_from_an_anchor_that_tells_more_than_the_bounds_do() -> None:
    database = made_database.bank(25, np.random.default_rng(7))
    view, data, rows = views(database.schema)["accounts"], seen(database)["accounts"], database.tables["transactions"]
    day, opened = ticks(database, "transactions", "day"), ticks(database, "accounts", "opened")
    found = data.column("first.transactions")
    for account in range(database.tables["accounts"].count):
        mine = np.flatnonzero(rows.parent == account)
        first = int(day[mine].min()) - int(opened[account]) if mine.size else MISSING
        assert int(found[account]) == level(view, "first.transactions", first)


def test_a_diagnosis_knows_its_stay_its_patient_and_the_one_before() -> None:
    made = made_database.clinic(25, np.random.default_rng(8))
    schema = DatabaseSchema.loads(CLINIC_TOML.replace("rows = 8", "rows = 100"))
    database = Database(schema=schema, tables=made.tables, unit_names=made.unit_names)
    view, data = views(database.schema)["diagnoses"], seen(database)["diagnoses"]
    rows = database.tables["diagnoses"]
    assert data.rows == rows.count
    noted, code, ward = (
        ticks(database, *one) for one in (("diagnoses", "noted"), ("diagnoses", "code"), ("stays", "ward"))
    )
    sex = ticks(database, "patients", "sex")
    for row in range(rows.count):
        parent, unit = int(rows.parent[row]), int(rows.unit[row])
        siblings = of_unit(rows, parent, unit)
        before = siblings[siblings < row]
        expected = {
            "stays.ward": 3 if parent < 0 else int(ward[parent]),
            "stays.count.diagnoses": 13 if parent < 0 else siblings.size,
            "patients.sex": int(sex[unit]),
            "patients.count.diagnoses": of_unit(rows, -1, unit).size,
            "previous.code": int(code[before[-1]]) if before.size else 3,
            "gap": level(view, "gap", int(noted[row] - noted[before[-1]]) if before.size else MISSING),
            "code": int(code[row]),
        }
        assert {name: int(data.column(name)[row]) for name in expected} == expected
    assert (rows.parent < 0).any()


def test_days_of_the_week_and_months_and_days_that_are_shared() -> None:
    schema = DatabaseSchema.loads(SHARED_TOML)
    epoch = dt.date(1970, 1, 1)
    visits = [(dt.date(2020, 2, 29) - epoch).days, (dt.date(2020, 12, 31) - epoch).days]
    labs = [24 * visits[0] + 13, 24 * visits[0] + 24, 24 * visits[1]]
    none, two = np.full(2, -1), np.arange(2)
    tables = {
        "patients": Rows(records=None, parent=none, unit=two),
        "visits": make_rows(schema, "visits", {"day": np.array(visits)}, np.zeros(2, np.int64), np.zeros(2, np.int64)),
        "labs": make_rows(schema, "labs", {"at": np.array(labs)}, np.array([0, 0, 1]), np.array([0, 0, 1])),
    }
    found = seen(Database(schema=schema, tables=tables, unit_names=(b"a", b"b")))
    assert found["visits"].column("weekday").tolist() == [5, 3]  # a Saturday and a Thursday
    assert found["visits"].column("month").tolist() == [1, 11]
    assert found["labs"].column("shared").tolist() == [1, 0, 0]  # the day after is not shared, nor is another's day
    gap = views(schema)["labs"]
    assert found["labs"].column("gap").tolist() == [level(gap, "gap", one) for one in (MISSING, 11, MISSING)]


def test_moments_that_are_missing_or_beyond_the_levels_have_a_level() -> None:
    toml = CLINIC_TOML.replace("upper = 2026-12-31, bins", 'upper = 2026-12-31, missing = [""], bins')
    made = made_database.clinic(6, np.random.default_rng(9))
    schema = DatabaseSchema.loads(toml)
    rows = made.tables["diagnoses"]
    changed = {name: ticks(made, "diagnoses", name) for name in ("noted", "code", "grade")}
    changed["noted"] = np.full(rows.count, MISSING)
    tables = {name: made.tables[name] for name in ("patients", "stays")}
    tables["diagnoses"] = make_rows(schema, "diagnoses", changed, rows.parent, rows.unit)
    late = {name: ticks(made, "patients", name) for name in ("sex", "birth", "death")}
    late["birth"] = late["birth"].max(keepdims=True).repeat(6) + 0 * late["birth"]
    tables["patients"] = make_rows(schema, "patients", late, np.full(6, -1), np.arange(6))
    found = seen(Database(schema=schema, tables=tables, unit_names=made.unit_names))
    last = views(schema)["diagnoses"].attribute("gap").size - 1
    assert set(found["diagnoses"].column("gap").tolist()) == {last}
    assert (found["patients"].column("first.diagnoses") == 6).all()


def test_an_empty_table_is_measured_as_such() -> None:
    database = made_database.clinic(3, np.random.default_rng(0))
    keep = np.zeros(database.tables["diagnoses"].count, dtype=bool)
    rows = database.tables["diagnoses"]
    assert rows.records is not None
    empty = Rows(records=rows.records.take(keep), parent=rows.parent[keep], unit=rows.unit[keep])
    found = seen(Database(schema=database.schema, tables={**database.tables, "diagnoses": empty}))
    assert (found["diagnoses"].rows, found["diagnoses"].total) == (0, 0)
    assert not found["patients"].column("count.diagnoses").any()


@pytest.mark.parametrize("wrong", ["anothers", "order", "time", "units"])
def test_rows_that_are_not_where_they_should_be_are_refused(wrong: str) -> None:
    """A row that hangs on another unit's parent would carry that unit's values into its own records."""
    database = made_database.clinic(12, np.random.default_rng(1), biggest=5)
    name = "patients" if wrong == "units" else "stays"
    rows = database.tables[name]
    assert rows.records is not None
    parent, unit, records = rows.parent.copy(), rows.unit.copy(), rows.records
    if wrong == "anothers":
        parent[0] = rows.unit[-1]
    elif wrong == "time":
        records = records.take(np.r_[4, 1:4, 0, 5 : rows.count])
    else:
        order = np.r_[1:12, 0] if wrong == "units" else np.r_[rows.count - 1, 0 : rows.count - 1]
        parent, unit = parent[order], unit[order]
    moved = Rows(records=records, parent=parent, unit=unit)
    with pytest.raises(MechanismError, match="by unit, parent and time"):
        seen(Database(schema=database.schema, tables={**database.tables, name: moved}, unit_names=None))


def test_a_view_knows_what_is_given_and_what_its_rules_leave_empty() -> None:
    rule = """
[[tables.stays.rules]]
kind = "implication"
if = {column = "ward", in = ["A"]}
then = {column = "sort", in = ["p"]}
"""
    column = 'sort = {kind = "category", values = ["p", "q"]}\nward ='
    schema = DatabaseSchema.loads(CLINIC_TOML.replace("ward =", column) + rule)
    view = views(schema)["stays"]
    domain = view.domain()
    assert {name for name in domain.attributes if domain.fact(name).given} == {one.name for one in view.context}
    (one,) = domain.impossible
    assert set(one.clique) == {"sort", "ward"}
    assert one.table(domain).sum() == 1
    assert not views(schema)["patients"].impossible


@pytest.mark.parametrize("name", ["gap", "previous.result", "patient.gender"])
def test_columns_that_are_called_as_something_measured_are_refused(name: str) -> None:
    toml = made_database.EVENTS_TOML + f'"{name}" = {{kind = "boolean"}}\n'
    with pytest.raises(SchemaError, match=f'"{name}".*rename'):
        views(DatabaseSchema.loads(toml))
