"""The data dictionary: Croissant's required parts, the files' digests, every released column, the guarantee."""

import copy
import json

import pytest

from privsynth import dictionary
from privsynth.errors import ClaimMismatch, SchemaError
from privsynth.schema import Schema

SCHEMA = Schema.loads(
    """
[table]
name = "stays"
title = "Stays"
key = ["id"]
[columns.id]
kind = "identifier"
make = "S-######"
[columns.ward]
kind = "category"
values = ["north", "<south>"]
missing = ["?"]
role = "quasi"
description = "Which ward."
[columns.days]
kind = "integer"
lower = 0
upper = 30
[columns.cost]
kind = "number"
lower = "0.00"
upper = "99.50"
precision = "0.01"
[columns.admitted]
kind = "date"
lower = 2001-01-01
upper = 2008-12-31
[columns.left]
kind = "date"
after = "admitted"
lower = 0
upper = 60
[columns.seen]
kind = "datetime"
lower = 2001-01-01T00:00:00
upper = 2008-12-31T00:00:00
[columns.note]
kind = "text"
drop = true
[[rules]]
kind = "order"
left = "left"
op = ">="
right = "admitted"
"""
)
PREDICATE = {
    "releaseId": "r-1",
    "issuedAt": "2026-11-22T09:00:00Z",
    "expiresAt": "2027-11-22T09:00:00Z",
    "guarantee": {
        "definition": "zCDP",
        "relation": "add-remove",
        "unit": {"name": "patient", "column": "id", "maxRows": 1},
        "epsilon": "1.25",
        "delta": "0.0000001",
        "rho": "0.03",
    },
    "generator": {"name": "mst"},
    "recipients": {"class": "partner", "contract": "the agreement"},
}
DIGESTS = {"data.csv": "11" * 32, "data.parquet": "22" * 32, "report.html": "33" * 32, "odd": "44" * 32}


@pytest.fixture
def described():
    return dictionary.describe(SCHEMA, DIGESTS, PREDICATE)


def fields(described):
    (record_set,) = described["recordSet"]
    return {field["name"]: field for field in record_set["field"]}


def test_it_is_a_croissant_dataset(described):
    assert described["@type"] == "sc:Dataset"
    assert described["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert described["@context"]["cr"] == "http://mlcommons.org/croissant/"
    assert described["name"] == "stays"
    assert described["license"] == "the agreement"
    assert described["datePublished"] == "2026-11-22T09:00:00Z"
    assert described["isLiveDataset"] is False
    assert "no row is a person" in described["description"]


def test_every_file_has_its_digest_and_type(described):
    found = {file["@id"]: (file["@type"], file["sha256"], file["encodingFormat"]) for file in described["distribution"]}
    assert found == {
        "data.csv": ("cr:FileObject", "11" * 32, "text/csv"),
        "data.parquet": ("cr:FileObject", "22" * 32, "application/vnd.apache.parquet"),
        "report.html": ("cr:FileObject", "33" * 32, "text/html"),
        "odd": ("cr:FileObject", "44" * 32, "application/octet-stream"),
    }


def test_every_released_column_is_a_field_in_order(described):
    found = fields(described)
    assert list(found) == ["id", "ward", "days", "cost", "admitted", "left", "seen"]
    types = [field["dataType"] for field in found.values()]
    assert types == ["sc:Text", "sc:Text", "sc:Integer", "sc:Float", "sc:Date", "sc:Date", "sc:DateTime"]
    assert found["ward"]["description"] == "Which ward."
    assert found["ward"]["privsynth:role"] == "quasi"
    assert found["ward"]["source"] == {"fileObject": {"@id": "data.csv"}, "extract": {"column": "ward"}}
    assert described["recordSet"][0]["key"] == [{"@id": "records/id"}]
    ids = [field["@id"] for field in found.values()]
    assert len(set(ids)) == len(ids)


def test_domains_are_those_of_the_schema(described):
    found = {name: field["privsynth:domain"] for name, field in fields(described).items()}
    assert found["id"] == {"kind": "identifier", "regenerated": True}
    assert found["ward"] == {"kind": "category", "values": ["north", "<south>"], "missing": ["?"]}
    assert found["days"] == {"kind": "integer", "lower": "0", "upper": "30", "step": "1"}
    assert found["cost"] == {"kind": "number", "lower": "0.00", "upper": "99.50", "step": "0.01"}
    assert found["admitted"] == {"kind": "date", "lower": "2001-01-01", "upper": "2008-12-31", "granularity": "day"}
    assert found["left"]["daysAfter"] == "admitted"


def test_the_guarantee_and_the_rules_are_said(described):
    assert described["privsynth:guarantee"]["epsilon"] == "1.25"
    assert described["privsynth:guarantee"]["unit"] == {"name": "patient", "column": "id", "maxRows": 1}
    assert described["privsynth:rules"] == ["left >= admitted"]


def test_it_is_a_pure_function_that_leaves_its_arguments_alone(described):
    before = copy.deepcopy(PREDICATE)
    assert json.dumps(dictionary.describe(SCHEMA, dict(reversed(DIGESTS.items())), PREDICATE)) == json.dumps(described)
    assert before == PREDICATE


def test_a_release_without_a_table_is_refused():
    with pytest.raises(SchemaError, match=r"data\.csv"):
        dictionary.describe(SCHEMA, {"report.html": "33" * 32}, PREDICATE)


@pytest.mark.parametrize("part", ["guarantee", "recipients", "releaseId"])
def test_an_incomplete_statement_is_refused(part):
    with pytest.raises(ClaimMismatch, match=part):
        dictionary.describe(SCHEMA, DIGESTS, {key: value for key, value in PREDICATE.items() if key != part})
