"""Profiles: one row a unit, right by hand, and a function of the unit's own rows alone."""

from collections import Counter

import numpy as np
import pytest

from privsynth.database.document import DatabaseSchema
from privsynth.database.held import Database, Rows
from privsynth.encoding import encode_public
from privsynth.histories import profiling
from privsynth.histories.gathering import taken
from privsynth.histories.profiling import profile, profile_schema, summaries
from privsynth.records import MISSING, Records
from tests.made_database import bank, clinic, events

MADE = [clinic, events, bank]


@pytest.mark.parametrize("made", MADE)
def test_a_profile_is_a_row_of_the_profiles_schema_for_each_unit(made):
    database = made(25, np.random.default_rng(1))
    found = profile(database)
    assert found.rows == database.units
    assert found.schema == profile_schema(database.schema)
    assert (found.units.tolist(), found.unit_names) == (list(range(25)), database.unit_names)
    assert encode_public(found).rows == 25


@pytest.mark.parametrize("made", MADE)
def test_a_units_profile_is_a_function_of_its_own_rows(made):
    database = made(25, np.random.default_rng(2))
    order = np.random.default_rng(3).permutation(25)[:10]
    all_of_them, some = profile(database), profile(taken(database, order))
    for name, ticks in some.ticks.items():
        assert np.array_equal(ticks, all_of_them.ticks[name][order]), name


def test_every_summary_is_what_counting_by_hand_gives():
    database = clinic(40, np.random.default_rng(4))
    found, stays, notes = profile(database).ticks, database.tables["stays"], database.tables["diagnoses"]
    for unit in range(40):
        mine, noted = stays.unit == unit, notes.unit == unit
        assert found["stays: rows"][unit] == mine.sum()
        admit, leave = (stays.records.ticks[name][mine] for name in ("admit", "discharge"))
        ward, grade = stays.records.ticks["ward"][mine], notes.records.ticks["grade"][noted]
        known = grade[grade != MISSING]
        when = notes.records.ticks["noted"][noted]
        expected = {
            "diagnoses: sum grade": known.sum() if len(known) else MISSING,
            "diagnoses: span noted": when.max() - when.min() if len(when) else MISSING,
        }
        if mine.any():
            commonest = max(Counter(ward.tolist()).items(), key=lambda item: (item[1], -item[0]))[0]
            expected |= {
                "stays: first admit": admit[0],
                "stays: span admit": admit.max() - admit.min(),
                "stays: sum discharge": (leave - admit).sum(),
                "stays: last discharge": (leave - admit)[-1],
                "stays: first ward": ward[0],
                "stays: commonest ward": commonest,
            }
        else:
            expected |= {"stays: first admit": MISSING, "stays: commonest ward": MISSING}
        assert {name: found[name][unit] for name in expected} == expected


def test_roles_go_to_one_summary_of_each_column():
    database = clinic(2, np.random.default_rng(5))
    told = database.schema.to_json()
    for table in told["tables"]:
        for column in table["content"]["columns"]:
            column["role"] = {"ward": "sensitive", "sex": "quasi"}.get(column["name"], column.get("role", "other"))
    schema = profile_schema(DatabaseSchema.from_json(told))
    roles = {column.name: column.role for column in schema.modelled if column.role != "other"}
    assert roles == {"patients: sex": "quasi", "stays: commonest ward": "sensitive"}


def test_wide_schemas_keep_one_summary_of_each_column(monkeypatch):
    schema = bank(2, np.random.default_rng(6)).schema
    monkeypatch.setattr(profiling, "_WIDE", 10)
    kept = [(one.table, one.column) for one in summaries(schema) if one.column is not None]
    assert len(kept) == len(set(kept)) == sum(len(table.columns) for table in schema.tables)


def test_sums_beyond_the_bounds_are_held_inside():
    schema = DatabaseSchema.loads("""
[database]
name = "d"
unit = "u"
[tables.t]
parent = {columns = ["id"]}
bound = {rows = 3}
[tables.t.columns]
id = {kind = "identifier", make = "####"}
n = {kind = "integer", lower = 0, upper = 1125899906842624, bins = {method = "uniform", count = 2}}
""")
    records = Records(schema=schema.table("t").content, ticks={"n": np.full(3, 1 << 50)})
    zeros = np.zeros(3, dtype=np.int64)
    tables = {
        "u": Rows(records=None, parent=np.array([-1]), unit=np.array([0])),
        "t": Rows(records=records, parent=zeros, unit=zeros),
    }
    assert profile(Database(schema=schema, tables=tables)).ticks["t: sum n"].tolist() == [1 << 50]
