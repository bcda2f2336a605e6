"""Designs: terms follow from the schema, rows where something is missing are left out, and what cannot be asked is refused."""

import numpy as np
import pytest

import privsynth as ps
from privsynth import records
from privsynth.combining.design import Design
from privsynth.errors import InputError, SchemaError

SCHEMA = ps.Schema.loads(
    """
[table]
name = "people"
[columns.age]
kind = "integer"
lower = 0
upper = 99
missing = [""]
bins = {method = "uniform", count = 10}
[columns.pay]
kind = "number"
lower = "0.0"
upper = "100.0"
precision = "0.5"
bins = {method = "uniform", count = 10}
[columns.day]
kind = "date"
lower = 2020-01-01
upper = 2020-12-31
bins = {method = "uniform", count = 4}
[columns.ward]
kind = "category"
values = ["east", "north", "west"]
missing = ["?"]
[columns.back]
kind = "category"
values = ["no", "soon", "late"]
"""
)
TABLE = {
    "age": ["30", "", "50", "70"],
    "pay": ["1.5", "2.0", "2.5", "3.0"],
    "day": ["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-04"],
    "ward": ["east", "west", "?", "north"],
    "back": ["no", "soon", "late", "late"],
}


def test_labels_are_compared_with_the_first_and_numbers_are_in_their_unit():
    design = Design.of(SCHEMA, "back", ["ward", "pay", "age"], ("soon", "late"))
    assert design.kind == "logistic"
    assert [term.name for term in design.terms] == ["intercept", "ward: north", "ward: west", "pay", "age"]
    found = design.rows(records.read_public(TABLE, SCHEMA))
    assert found.complete.tolist() == [True, False, False, True]
    assert found.x.tolist() == [[1, 0, 0, 1.5, 30], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [1, 1, 0, 3.0, 70]]
    assert found.y.tolist() == [0, 0, 0, 1]


def test_another_reference_and_a_number_to_explain():
    design = Design.of(SCHEMA, "pay", ["ward"], references={"ward": "west"})
    assert design.kind == "linear"
    assert [term.name for term in design.terms] == ["intercept", "ward: east", "ward: north"]
    found = design.rows(records.read_public(TABLE, SCHEMA))
    assert found.y.tolist() == [1.5, 2.0, 0, 3.0]
    assert design.places("ward").tolist() == [1, 2]


def test_a_label_can_be_left_out_with_its_rows():
    design = Design.of(SCHEMA, "pay", ["ward"])
    less = design.skipping([design.terms[1]])
    assert [term.name for term in less.terms] == ["intercept", "ward: west"]
    assert less.rows(records.read_public(TABLE, SCHEMA)).complete.tolist() == [True, True, False, False]


def test_a_time_is_an_input_in_days():
    found = Design.of(SCHEMA, "pay", ["day"]).rows(records.read_public(TABLE, SCHEMA))
    assert np.diff(found.x[:, 1]).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("target", "inputs", "outcome", "references", "found"),
    [
        ("back", ["age"], (), {}, "which of them count as the outcome"),
        ("back", [], ("late",), {}, "a list of one column"),
        ("back", "age", ("late",), {}, "a list of one column"),
        ("back", ["wing"], ("late",), {}, '"wing" is no modelled column'),
        ("back", ["age", "age"], ("late",), {}, "twice"),
        ("back", ["back"], ("late",), {}, "twice, or the target"),
        ("back", ["age"], ("never",), {}, '"never" is no label'),
        ("wing", ["age"], (), {}, "no modelled column"),
        ("day", ["age"], (), {}, "is a time"),
        ("pay", ["ward"], (), {"ward": "south"}, '"south" is no label'),
        ("pay", ["age"], (), {"age": "3"}, "is no input with labels"),
    ],
)
def test_what_cannot_be_asked_is_refused(target, inputs, outcome, references, found):
    with pytest.raises((InputError, SchemaError), match=found):
        Design.of(SCHEMA, target, inputs, outcome, references)
