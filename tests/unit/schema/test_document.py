"""Schemas: what is declared is read as declared, in TOML and in JSON, and completed by what is bought."""

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path

import pytest

from privsynth.errors import SchemaError
from privsynth.schema import Schema
from privsynth.schema.levels import level_names

EXAMPLES = Path(__file__).parents[3] / "examples"

FULL = """
[table]
name = "stays"
title = "Stays"
unit = "patient"
key = ["stay"]

[columns.stay]
kind = "identifier"
make = "S-####"
[columns.patient]
kind = "identifier"
faker = "name"
[columns.race]
kind = "category"
values = ["a", "b", "Other"]
missing = ["?"]
other = "Other"
role = "quasi"
description = "<script>alert(1)</script>"
[columns.diagnosis]
kind = "category"
codes = "icd9-chapters"
missing = ["?"]
[columns.age]
kind = "ordered"
values = ["[0-10)", "[10-20)"]
[columns.days]
kind = "integer"
lower = 1
upper = 14
[columns.balance]
kind = "number"
lower = -100.00
upper = "5000.00"
precision = "0.01"
bins = {method = "edges", edges = ["0", 10, 99.5]}
atoms = ["0"]
[columns.admit]
kind = "date"
lower = 2001-01-01
upper = 2008-12-31
[columns.discharge]
kind = "date"
after = "admit"
lower = 0
upper = 60
[columns.seen]
kind = "datetime"
granularity = "hour"
lower = 2001-01-01T00:00:00
upper = 2008-12-31T00:00:00
[columns.smoker]
kind = "boolean"
true = ["Yes", "Y"]
false = ["No"]
[columns.notes]
kind = "text"
drop = true

[[rules]]
kind = "order"
left = "discharge"
op = ">="
right = "admit"
[[rules]]
kind = "order"
left = "seen"
op = ">="
value = 2002-01-01T00:00:00
[[rules]]
kind = "implication"
if = {column = "race", in = ["a"]}
then = {column = "days", lower = 2, upper = 9}
[[rules]]
kind = "combination"
columns = ["race", "smoker"]
allowed = [["a", "Yes"], ["b", "No"]]
"""


def test_a_full_schema_is_read_as_declared():
    schema = Schema.loads(FULL)
    assert [column.name for column in schema.columns][:3] == ["stay", "patient", "race"]
    assert (schema.table.name, schema.unit, schema.key) == ("stays", "patient", ("stay",))
    assert [column.name for column in schema.modelled][-1] == "smoker"
    assert [column.name for column in schema.identifiers] == ["stay", "patient"]
    assert "notes" not in [column.name for column in schema.released]
    assert schema.released[0].name == "stay"
    assert schema.column("stay").role == "identifier"
    assert schema.column("race").role == "quasi"
    assert schema.column("balance").lower == Decimal("-100.00")
    assert schema.column("balance").bins.edges == (Decimal(0), Decimal(10), Decimal("99.5"))
    assert schema.column("admit").lower == dt.date(2001, 1, 1)
    assert schema.column("seen").upper == dt.datetime(2008, 12, 31)
    assert len(schema.column("diagnosis").labels) == 19
    assert schema.column("smoker").labels == ("No", "Yes")
    assert [rule.text for rule in schema.rules] == [
        "discharge >= admit",
        "seen >= 2002-01-01T00:00:00",
        "if race in {a} then days >= 2 and days <= 9",
        "(race, smoker) is one of 2 listed combinations",
    ]
    assert schema.unresolved == ()


def test_html_in_a_description_or_label_is_only_text():
    assert Schema.loads(FULL).column("race").description == "<script>alert(1)</script>"


def test_domain_counts_bins_atoms_and_missing():
    domain = Schema.loads(FULL).domain()
    assert dict(zip(domain.attributes, domain.sizes, strict=True)) == {
        "race": 4,
        "diagnosis": 20,
        "age": 2,
        "days": 14,
        "balance": 5,
        "admit": 32,
        "discharge": 32,
        "seen": 32,
        "smoker": 2,
    }


def test_json_round_trip_and_digest():
    schema = Schema.loads(FULL)
    published = json.loads(json.dumps(schema.to_json()))
    assert Schema.from_json(published) == schema
    assert Schema.from_json(published).digest() == schema.digest()
    assert len(schema.digest()) == 64
    assert Schema.loads(FULL.replace("upper = 60", "upper = 61")).digest() != schema.digest()


def test_the_digest_does_not_move():
    schema = Schema.from_domain({"age": 3})
    assert schema.digest() == "3e818c28e772749e02d9666aa457c9ddeb9870c66e3699a1ab8fb160bd918e71"


@pytest.mark.parametrize("example", ["hospital_stays", "credit_default"])
def test_the_examples_round_trip(example):
    schema = Schema.load(EXAMPLES / example / "schema.toml")
    assert Schema.from_json(schema.to_json()) == schema
    assert min(schema.domain().sizes) >= 1


def test_from_domain_is_one_level_a_code():
    schema = Schema.from_domain({"age": 85, "sex": 2, "one": 1})
    assert schema.domain().sizes == (85, 2, 1)
    assert level_names(schema.column("age"))[:3] == ("0", "1", "2")
    assert schema.unit is None
    assert Schema.from_domain({"age": 2}, unit="who").unit == "who"


@pytest.mark.parametrize("sizes", [{}, {"age": 0}, {"age": -1}, {"age": True}, {"=age": 3}])
def test_from_domain_refuses(sizes):
    with pytest.raises(SchemaError):
        Schema.from_domain(sizes)


def test_an_unknown_column_is_an_error():
    schema = Schema.loads(FULL)
    with pytest.raises(SchemaError, match='no column "x"'):
        schema.column("x")
    with pytest.raises(SchemaError, match="never modelled"):
        schema.modelled_column("notes")


OPEN = """
[table]
name = "t"
[columns.city]
kind = "category"
buy = true
[columns.job]
kind = "category"
buy = true
other = "Other"
missing = ["?"]
[columns.income]
kind = "number"
precision = "0.50"
buy = "bounds"
bins = {method = "uniform", count = 16}
atoms = ["0"]
[columns.age]
kind = "integer"
lower = 0
upper = 100
buy = "edges"
bins = {method = "quantiles", count = 4}
"""


def test_what_is_to_be_bought_is_unresolved():
    schema = Schema.loads(OPEN)
    assert [column.name for column in schema.unresolved] == ["city", "job", "income", "age"]
    with pytest.raises(SchemaError, match="something to buy: city, job, income, age"):
        schema.domain()
    assert Schema.from_json(schema.to_json()) == schema


def test_resolving_fills_in_what_was_bought():
    schema = Schema.loads(OPEN)
    schema = schema.resolve("city", "categories", ("Bonn", "Aachen"))
    assert schema.column("city").labels == ("Bonn", "Aachen")
    assert schema.column("city").missing == ("",)
    schema = schema.resolve("job", "categories", ("nurse",))
    assert schema.column("job").labels == ("nurse", "Other")
    assert schema.column("job").missing == ("?",)
    schema = schema.resolve("income", "bounds", ("10.3", "100.1"))
    assert (schema.column("income").lower, schema.column("income").upper) == (Decimal(0), Decimal("100.5"))
    schema = schema.resolve("age", "edges", ("18", "30.7", "30.2", "0", "65", "100", "101"))
    assert schema.column("age").bins.edges == (18, 30, 65, 100)
    assert schema.unresolved == ()
    assert schema.domain().sizes == (3, 3, 17, 5)
    assert Schema.from_json(schema.to_json()) == schema


def test_bought_bounds_may_hold_fewer_values_than_bins():
    schema = Schema.loads(OPEN).resolve("income", "bounds", ("0", "2"))
    assert schema.column("income").bins.count == 4
    assert schema.levels("income").size == 5


def test_bought_edges_may_be_none():
    assert Schema.loads(OPEN).resolve("age", "edges", ("0",)).levels("age").size == 1


@pytest.mark.parametrize(
    ("column", "fact", "found", "say"),
    [
        ("city", "bounds", ("0", "1"), "it buys categories"),
        ("income", "edges", ("0", "1"), "it buys bounds"),
        ("income", "bounds", ("0",), "decimal strings"),
        ("income", "bounds", ("0", "NaN"), "finite"),
        ("income", "bounds", ("0", "many"), "decimal strings"),
        ("age", "edges", (), "finite"),
        ("city", "categories", (), "no label was frequent enough"),
        ("city", "categories", ("=cmd",), "formula"),
        ("nobody", "bounds", ("0", "1"), "no column"),
    ],
)
def test_resolving_refuses(column, fact, found, say):
    with pytest.raises(SchemaError, match=say):
        Schema.loads(OPEN).resolve(column, fact, found)


def test_resolving_twice_is_refused():
    schema = Schema.loads(OPEN).resolve("city", "categories", ("a",))
    with pytest.raises(SchemaError, match="nothing to buy"):
        schema.resolve("city", "categories", ("a",))


def test_following_puts_bases_first():
    schema = Schema.loads(
        """
        [table]
        name = "t"
        [columns.c]
        kind = "date"
        after = "b"
        lower = 0
        upper = 9
        [columns.b]
        kind = "datetime"
        after = "a"
        lower = 0
        upper = 9
        [columns.a]
        kind = "date"
        lower = 2001-01-01
        upper = 2001-01-31
        """
    )
    assert [(column.name, base.name) for column, base in schema.following] == [("b", "a"), ("c", "b")]


def test_the_schema_of_the_documentation_is_one():
    page = (EXAMPLES.parent / "docs" / "schema.md").read_text(encoding="utf-8")
    blocks = [block.partition("```")[0] for block in page.split("```toml\n")[1:]]
    schema = Schema.loads("\n".join(blocks))
    assert len(blocks) == 5
    assert len(schema.rules) == 4
    kinds = {"category", "ordered", "boolean", "integer", "number", "date", "datetime", "identifier", "text"}
    assert {column.kind for column in schema.columns} == kinds
    assert [column.name for column in schema.unresolved] == ["city", "income", "visits"]
