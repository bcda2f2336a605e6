"""New keys link as the drawn rows do, repeat nowhere, and hold nothing of the source's."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.database import Database, DatabaseSchema, Rows, keys, reading, writing
from privsynth.errors import SchemaError
from privsynth.histories.deriving import derive
from tests import made_database
from tests.made_database import CLINIC_TOML

RNG = np.random.default_rng


def same(left, right):
    """Whether two databases hold the same rows with the same links."""
    for name, rows in left.tables.items():
        other = right.tables[name]
        assert np.array_equal(rows.parent, other.parent), name
        assert np.array_equal(rows.unit, other.unit), name
        if rows.records is not None:
            assert all(np.array_equal(ticks, other.records.ticks[one]) for one, ticks in rows.records.ticks.items())
    return True


@pytest.fixture(scope="module")
def clinic():
    return made_database.clinic(60, RNG(1))


def test_children_have_their_parents_new_keys(clinic):
    made = keys.regenerate(clinic.schema, clinic, RNG(2))
    assert {name: list(columns) for name, columns in made.items()} == {
        "patients": ["patient_id"],
        "stays": ["patient_id", "stay_id"],
        "diagnoses": ["stay_id", "patient_id"],
    }
    patients, stays = made["patients"]["patient_id"], made["stays"]["stay_id"]
    assert len(set(patients)) == clinic.units
    assert len(set(stays)) == clinic.tables["stays"].count
    rows = clinic.tables["diagnoses"]
    assert made["diagnoses"]["stay_id"] == [stays[parent] if parent >= 0 else None for parent in rows.parent]
    assert made["diagnoses"]["patient_id"] == [patients[unit] for unit in rows.unit]
    assert None in made["diagnoses"]["stay_id"]


def test_the_same_rng_makes_the_same_keys(clinic):
    made = keys.regenerate(clinic.schema, clinic, RNG(2))
    assert made == keys.regenerate(clinic.schema, clinic, RNG(2))
    assert made != keys.regenerate(clinic.schema, clinic, RNG(3))


def test_units_that_no_table_lists_have_keys():
    database = made_database.events(20, RNG(1))
    made = keys.regenerate(database.schema, database, RNG(2))
    units = made["patient"]["subject_id"]
    assert made["tests"] == {"subject_id": [units[unit] for unit in database.tables["tests"].unit]}
    assert len(set(units)) == 20


SITES = """
[database]
name = "sites"
unit = "people"
[tables.people]
key = ["site", "number"]
[tables.people.columns]
site = {kind = "identifier", make = "S-####"}
number = {kind = "identifier", make = "N-####"}
phone = {kind = "identifier", range = "us-phone-fictional"}
[tables.visits]
key = ["site", "number", "visit"]
parent = {table = "people", columns = ["site", "number"]}
bound = {rows = 9}
[[tables.visits.derived]]
name = "visit"
kind = "sequence"
[tables.lines]
key = ["site", "who", "visit", "line"]
parent = {table = "visits", columns = ["site", "who", "visit"]}
bound = {rows = 20}
[tables.lines.columns]
line = {kind = "identifier", make = "L-##"}
"""


def _linked(schema, visits, lines):
    """A database without any modelled column: numbers of children alone."""
    person = np.repeat(np.arange(len(visits)), visits)
    visit = np.repeat(np.arange(len(person)), np.resize(lines, len(person)))
    root = np.arange(len(visits))
    tables = {
        "people": Rows(records=None, parent=np.full(len(root), -1), unit=root),
        "visits": Rows(records=None, parent=person, unit=person),
        "lines": Rows(records=None, parent=visit, unit=person[visit]),
    }
    return Database(schema=schema, tables=tables)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.lists(st.integers(0, 12), min_size=1, max_size=4))
@settings(max_examples=15, deadline=None)
def test_composite_keys_and_numbered_rows_come_back_linked(visits, lines):
    schema = DatabaseSchema.loads(SITES)
    database = _linked(schema, visits, lines)
    tables = writing.to_tables(database, keys.regenerate(schema, database, RNG(1)), derive(schema, database))
    assert tables["lines"].schema.field("visit").type == tables["visits"].schema.field("visit").type == pa.int64()
    for name in ("people", "visits", "lines"):
        key = schema.table(name).key
        rows = list(zip(*(tables[name].column(one).to_pylist() for one in key), strict=True))
        assert len(set(rows)) == len(rows)
    assert same(database, reading.read_public(tables, schema))


def test_short_patterns_repeat_between_parents_but_never_within_one():
    schema = DatabaseSchema.loads(SITES)
    database = _linked(schema, [2] * 40, [10])
    made = keys.regenerate(schema, database, RNG(1))["lines"]["line"]
    assert len(made) == 800
    assert len(set(made)) == 10
    with pytest.raises(SchemaError, match=r'"line": of make = .* there are too few different ones'):
        keys.regenerate(schema, _linked(schema, [1], [101]), RNG(1))


def test_identifiers_that_are_no_key_may_repeat():
    schema = DatabaseSchema.loads(SITES.replace("us-phone-fictional", "ipv4-documentation"))
    made = keys.regenerate(schema, _linked(schema, [0] * 300, [0]), RNG(1))["people"]
    assert len(made["phone"]) == 300
    assert len(set(made["phone"])) <= 256


def test_one_part_of_a_composite_key_tells_the_rows_apart():
    schema = DatabaseSchema.loads(SITES.replace('make = "S-####"', 'make = "S-#"'))
    made = keys.regenerate(schema, _linked(schema, [0] * 300, [0]), RNG(1))["people"]
    assert len(set(made["number"])) == 300
    assert len(set(made["site"])) == 10


def test_too_small_a_range_is_refused():
    small = DatabaseSchema.loads(CLINIC_TOML.replace("P-######", "P-#"))
    database = made_database.clinic(30, RNG(1))
    with pytest.raises(
        SchemaError,
        match=r'^\[tables.patients\]: column "patient_id": of make = "P-#" there.*; draw fewer, or let the schema',
    ):
        keys.regenerate(small, database, RNG(1))


@given(st.integers(1, 12), st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_what_is_read_and_written_again_has_the_same_links_and_none_of_the_keys(units, seed):
    drawn = made_database.clinic(units, RNG(seed))
    schema = drawn.schema
    source = writing.to_tables(drawn, _marked(drawn), derive(schema, drawn))
    read = reading.read(source, schema, out_of_domain="clamp").open()
    assert same(drawn, read)
    made = writing.to_tables(read, keys.regenerate(schema, read, RNG(seed)), derive(schema, read))
    assert same(read, reading.read_public(made, schema, out_of_domain="clamp"))
    assert not any("raw" in str(table.to_pydict()) for table in made.values())
    assert all("raw" in str(table.to_pydict()) for table in source.values() if table.num_rows)


def _marked(database):
    """Keys of a source: they say so."""
    stays, diagnoses = database.tables["stays"], database.tables["diagnoses"]
    people = [f"raw {unit}" for unit in range(database.units)]
    stay = [f"raw|{place}" for place in range(stays.count)]
    return {
        "patients": {"patient_id": people},
        "stays": {"patient_id": [people[unit] for unit in stays.unit], "stay_id": stay},
        "diagnoses": {
            "stay_id": [None if parent < 0 else stay[parent] for parent in diagnoses.parent],
            "patient_id": [people[unit] for unit in diagnoses.unit],
        },
    }
