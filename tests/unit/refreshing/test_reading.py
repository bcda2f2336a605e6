"""What an earlier release did not buy goes where it went then: rows are read under the schema as it was before."""

from dataclasses import replace
from fractions import Fraction

import pyarrow as pa
import pytest

from privsynth import records
from privsynth.errors import RecordsError
from privsynth.fitting import completed
from privsynth.measurement import Event, Purchase
from privsynth.records import MISSING
from privsynth.refreshing.aligning import align
from privsynth.refreshing.reading import bought, opened
from privsynth.schema import Schema
from tests import made_refresh as made

DECLARED = """
[table]
name = "t"
[columns.sent]
kind = "category"
buy = true
other = "OTHER"
[columns.lost]
kind = "category"
buy = true
[columns.age]
kind = "integer"
buy = "bounds"
bins = {method = "uniform", count = 3}
[columns.dose]
kind = "integer"
lower = 0
upper = 9
buy = "edges"
[columns.sex]
kind = "category"
values = ["F", "M"]
"""
FOUND = {
    "sent": ("categories", ("x", "y")),
    "lost": ("categories", ("x", "y")),
    "age": ("bounds", ("18", "90")),
    "dose": ("edges", ("3", "6")),
}
EVENT = Event(stage="buy", mechanism="x", rho=Fraction(1, 9), sensitivity_squared=1, sigma_squared=Fraction(1))
FIRST = Schema.loads(DECLARED)
for _name, (_fact, _values) in FOUND.items():
    FIRST = FIRST.resolve(_name, _fact, _values)
ROWS = {
    "sent": ["x", "rare", "y"],
    "lost": ["rare", "x", ""],
    "age": [17, 20, 101],
    "dose": [1, 2, 3],
    "sex": ["F", "M", "F"],
}


def published(schema=FIRST, transcript=None, **predicate):
    if transcript is None:
        transcript = tuple(Purchase(column=name, fact=f, found=v, event=EVENT) for name, (f, v) in FOUND.items())
    return replace(made.published(made.people(50, 1), 1), schema=schema, transcript=transcript, predicate=predicate)


def test_what_was_not_bought_goes_where_it_went_then():
    earlier = published()
    names = bought(earlier, FIRST, align(FIRST, FIRST))
    assert names == ("sent", "lost", "age")
    with pytest.raises(RecordsError):
        records.read(pa.table(ROWS), FIRST)
    then = completed(records.read(pa.table(ROWS), Schema.loads(DECLARED)), FIRST).open()
    now = completed(records.read(pa.table(ROWS), opened(FIRST, names)), FIRST).open()
    assert now.schema == FIRST
    for name in ("sent", "lost", "age", "sex"):
        assert now.ticks[name].tolist() == then.ticks[name].tolist()
    assert now.ticks["sent"].tolist() == [0, 2, 1]
    assert now.ticks["lost"].tolist() == [MISSING, 0, MISSING]
    assert now.ticks["age"].tolist() == [18, 20, 90]


def test_it_goes_on_along_a_chain_and_through_a_new_name_and_ends_where_a_column_is_declared_otherwise():
    chain = published(transcript=(), refresh={"bought": ["lost"]})
    assert bought(chain, FIRST, align(FIRST, FIRST)) == ("lost",)
    text = FIRST.to_json()
    text["columns"][0]["name"] = "renamed"
    text["columns"][1]["values"] = ["y", "x"]
    new = Schema.from_json(text)
    assert bought(published(), new, align(FIRST, new, {"sent": "renamed"})) == ("renamed", "age")
    assert bought(published(transcript=()), FIRST, align(FIRST, FIRST)) == ()


def test_rules_and_uses_that_name_what_was_bought_do_not_matter():
    rule = {"kind": "implication", "if": {"column": "sent", "in": ["x"]}, "then": {"column": "sex", "in": ["F"]}}
    ruled = Schema.from_json({**FIRST.to_json(), "rules": [rule], "use": {"target": "sent", "outcome": ["x"]}})
    assert [one.name for one in opened(ruled, ("sent", "age")).unresolved] == ["sent", "age"]
    assert opened(ruled, ()) is ruled
