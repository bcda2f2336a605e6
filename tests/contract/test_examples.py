"""Laws of every folder in examples/: the schema covers the table, its rules are true, the policy admits it, credit is given."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from privsynth import records, rules
from privsynth.policy import Policy
from privsynth.schema import Schema
from tests import clinic

_FOLDERS = sorted(file.parent for file in (Path(__file__).parents[2] / "examples").glob("*/policy.toml"))
EXAMPLES = [folder for folder in _FOLDERS if (folder / "schema.toml").exists()]


@pytest.fixture(params=EXAMPLES, ids=lambda folder: folder.name, scope="module")
def folder(request):
    return request.param


@pytest.fixture(scope="module")
def schema(folder):
    return Schema.load(folder / "schema.toml")


@pytest.fixture(scope="module")
def policy(folder):
    return Policy.load(folder / "policy.toml")


@pytest.fixture(scope="module")
def table(folder):
    (source,) = folder.glob("*.csv.gz")
    return source


def test_both_examples_are_here():
    assert [folder.name for folder in EXAMPLES] == ["credit_default", "hospital_stays"]


def test_the_schema_declares_every_column_with_role_and_description(schema, table):
    with gzip.open(table, "rt", encoding="utf-8", newline="") as lines:
        header = next(csv.reader(lines))
    assert [column.name for column in schema.columns] == header
    assert all(column.description for column in schema.columns)
    assert {"quasi", "sensitive", "identifier"} <= {column.role for column in schema.columns}
    assert schema.unresolved == ()
    assert schema.unit in header


def test_the_business_rules_are_true_of_the_real_records(schema, table, policy):
    read = records.read(table, schema, out_of_domain=policy.records.out_of_domain).open()
    broken = rules.check(schema.rules, read)
    assert len(broken) == len(schema.rules) >= 20
    assert not [rule for rule, mask in broken.items() if mask.any()]


def test_the_rules_say_something(schema, table, policy):
    """Shuffling every column by itself breaks most rules; the others are about values that are too rare."""
    read = records.read(table, schema, out_of_domain=policy.records.out_of_domain).open()
    rng = np.random.default_rng(1)
    shuffled = records.Records(
        schema=schema, ticks={name: rng.permutation(ticks) for name, ticks in read.ticks.items()}
    )
    idle = [rule for rule, mask in rules.check(schema.rules, shuffled).items() if not mask.any()]
    assert len(idle) <= len(schema.rules) / 3, idle


def test_the_policy_declares_the_population_and_admits_the_schema(policy, schema):
    assert policy.require_population().public_size > 0
    assert policy.unit.max_rows == 1
    assert not [check for check in policy.check_schema(schema) if check.result == "fail"]


def test_authors_source_and_licence_are_named(folder):
    text = (folder / "README.md").read_text(encoding="utf-8")
    for needed in (
        "UCI Machine",
        "https://doi.org/10.24432/",
        "CC BY 4.0",
        "creativecommons.org/licenses/by/4.0",
        "Changes:",
    ):
        assert needed in text


def test_the_finance_twin_is_released_and_verifies(tmp_path, monkeypatch):
    """The whole path on the bank's clients; `make demo` does it on the hospital's stays."""
    clinic.widen_limits(monkeypatch.setattr)
    from privsynth import api
    from privsynth.certificate import keys

    (bank,) = [folder for folder in EXAMPLES if folder.name == "credit_default"]
    keys.new(tmp_path / "key.pem", tmp_path / "trust.toml", "machine")
    made = api.release(
        bank / "clients.csv.gz",
        schema=bank / "schema.toml",
        policy=bank / "policy.toml",
        key=tmp_path / "key.pem",
        out=tmp_path / "release",
        ledger=tmp_path / "ledger" / "ledger.sqlite3",
    )
    verified = api.verify(made.folder, trust=tmp_path / "trust.toml")
    assert verified.predicate["audit"]["verdict"] == "PASS"
    assert verified.predicate["guarantee"]["epsilon"] == "4"
    released = records.read_public(made.folder / "data.csv", Schema.load(bank / "schema.toml"))
    assert not any(mask.any() for mask in rules.check(released.schema.rules, released).values())
