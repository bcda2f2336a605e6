"""Laws of every folder in examples/ with several tables: the schema covers them, keys resolve, the policy admits it, credit."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from privsynth.database import DatabaseSchema, reading
from privsynth.histories import across, deriving
from privsynth.policy import Policy
from privsynth.schema.columns import IdentifierColumn, TextColumn

EXAMPLES = sorted(file.parent for file in (Path(__file__).parents[2] / "examples").glob("*/database.toml"))


@pytest.fixture(params=EXAMPLES, ids=lambda folder: folder.name, scope="module")
def folder(request):
    return request.param


@pytest.fixture(scope="module")
def schema(folder):
    return DatabaseSchema.load(folder / "database.toml")


@pytest.fixture(scope="module")
def policy(folder):
    return Policy.load(folder / "policy.toml")


@pytest.fixture(scope="module")
def database(folder, schema, policy):
    return reading.read(folder, schema, out_of_domain=policy.records.out_of_domain).open()


def header(folder, table):
    with gzip.open(folder / f"{table}.csv.gz", "rt", encoding="utf-8", newline="") as lines:
        return next(csv.reader(lines))


def described(schema):
    return [column for table in schema.tables if table.content for column in table.content.columns]


def test_a_health_and_a_finance_history_are_here():
    assert [folder.name for folder in EXAMPLES] == ["clinic_tests", "credit_histories"]


def test_the_schema_declares_every_column_with_role_and_description(folder, schema):
    declared = described(schema)
    assert all(column.description for column in declared)
    assert {"quasi", "sensitive", "identifier"} <= {column.role for column in declared}
    for table in schema.tables:
        if table.listed:
            links = () if table.parent is None else table.parent.columns
            own = {column.name for column in declared} | {*links, *table.constant}
            assert set(header(folder, table.name)) <= own


def test_keys_resolve_and_every_unit_has_a_name(schema, database):
    for table in schema.tables[1:]:
        rows = database.tables[table.name]
        assert (rows.parent >= 0).all()
        assert (database.tables[table.parent_table].unit[rows.parent] == rows.unit).all()
    assert len(set(database.unit_names)) == database.units


def test_bounds_hold_most_histories(schema, database):
    """All rows of at least 98 units in 100 are used, and numbers of rows are told apart beyond them."""
    for table in schema.tables[1:]:
        sizes = np.bincount(database.tables[table.name].unit, minlength=database.units)
        assert (sizes <= table.bound.rows).mean() >= 0.98
        assert sizes.max() <= table.bound.largest


def test_nothing_impossible_is_in_the_real_tables(schema, database):
    assert not [rule for rule, mask in across.broken(schema, database).items() if mask.any()]


def test_names_never_come_out(folder, schema):
    released = {name for table in schema.tables for name in table.released}
    dropped = {column.name for column in described(schema) if isinstance(column, TextColumn)}
    made = {column.name for column in described(schema) if isinstance(column, IdentifierColumn)}
    assert not dropped & released
    assert made
    if folder.name == "clinic_tests":
        assert dropped == {"fake_first_name", "fake_last_name"}


def test_balances_add_up_to_the_changes():
    """The finance example: the last running balance of a client is the client's own."""
    (bank,) = [folder for folder in EXAMPLES if folder.name == "credit_histories"]
    schema = DatabaseSchema.load(bank / "database.toml")
    database = reading.read(bank, schema).open()
    derived = deriving.derive(schema, database)
    rows = database.tables["months"]
    running = derived["months"]["balance"].to_numpy()
    last = np.flatnonzero(np.append(rows.unit[1:] != rows.unit[:-1], True))
    own = np.zeros(database.units)
    own[rows.unit[last]] = running[last]
    assert (derived["clients"]["balance"].to_numpy() == own).all()
    assert (derived["clients"]["active_months"].to_numpy() == np.bincount(rows.unit, minlength=database.units)).all()
    assert (np.bincount(rows.unit, minlength=database.units) == 0).any()


def test_the_policy_declares_the_population_and_admits_the_tables(policy, schema):
    assert policy.require_population().public_size > 0
    assert not [check for check in policy.check_described(schema) if check.result == "fail"]


def test_authors_source_and_licence_are_named(folder):
    text = (folder / "README.md").read_text(encoding="utf-8")
    licences = {
        "clinic_tests": ("MIT", "medicaldata", "LICENSE.txt"),
        "credit_histories": ("CC BY 4.0", "10.24432/C55S3H"),
    }
    for needed in (*licences[folder.name], "https://", "Changes:", "de-identified"):
        assert needed in text
