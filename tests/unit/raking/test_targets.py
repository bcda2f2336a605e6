"""Declared shares against a schema: what they stand for, and what is wrong with them."""

import datetime as dt
import json
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from privsynth.errors import InputError, SchemaError
from privsynth.raking import columns_of, from_json, require_none, to_json
from privsynth.raking.targets import read_targets
from privsynth.schema import Schema
from tests import clinic

SCHEMA = Schema.loads(clinic.SCHEMA)


def test_groups_are_no_finer_than_what_is_declared():
    plan = read_targets(SCHEMA, {"age": {(60, 79): 0.5}, ("sex", "age"): {("F", (70, 99)): 0.2}})
    assert plan.columns == ("age", "sex")
    assert plan.groups("age") == 4
    assert plan.groups("sex") == 2
    assert not plan.one_way
    of = plan.group_of["age"]
    assert [len(set(of[part])) for part in (slice(0, 12), slice(12, 14), slice(14, 16), slice(16, 20))] == [1, 1, 1, 1]
    assert len({of[0], of[12], of[14], of[16]}) == 4
    assert plan.targets[0].shares.tolist() == [0.5, 0.5]
    assert plan.targets[1].shares.sum() == 1


def test_missing_values_and_lists_of_values():
    plan = read_targets(
        SCHEMA, {"sex": {None: 0.1}, "ward": {frozenset({"A & E", "Maternity"}): 0.4}, "stay": {0: 0.3}}
    )
    assert plan.group_of["sex"].tolist() in ([0, 0, 1], [1, 1, 0])
    assert len(set(plan.group_of["ward"][[0, 3]])) == 1
    assert plan.groups("stay") == 2


@pytest.mark.parametrize(
    ("targets", "says"),
    [
        ({}, "expected targets such as"),
        (3, "expected targets such as"),
        ({"agee": {(60, 79): 0.5}}, 'no column "agee"'),
        ({"note": {"x": 0.5}}, "never modelled"),
        ({3: {"x": 0.5}}, "expected the name of a column"),
        ({("sex", "sex"): {("F", "F"): 0.5}}, "names a column twice"),
        ({"sex": {"F": 0.5}, ("sex",): {"F": 0.5}}, "declared twice"),
        ({"sex": 0.5}, "expected shares of some of its values"),
        ({"sex": {}}, "expected shares of some of its values"),
        ({"sex": {"F": 1.2}}, "the share of F is a number from 0 to 1, found 1.2"),
        ({"sex": {"F": True}}, "from 0 to 1, found True"),
        ({"sex": {"F": float("nan")}}, "from 0 to 1, found nan"),
        ({"sex": {"F": 0.7, "M": 0.6}}, "add up to 1.3, which is more than 1"),
        ({"sex": {"X": 0.7}}, "none of its labels"),
        ({"ward": {("A & E", "Maternity"): 0.7}}, "no pair"),
        ({"age": {(60, 80): 0.5}}, r"\(60, 80\) is a part of the level 80 to 84, .*here 60 to 64 and 80 to 84"),
        ({"age": {61: 0.5}}, "61 is a part of the level 60 to 64"),
        ({"age": {(0, 59): 0.5, (55, 79): 0.2}}, r"\(0, 59\) and \(55, 79\) overlap"),
        ({"readmitted": {"yes": 0.5, "no": 0.4}}, "all that there is is named, and its shares add up to 0.9"),
        ({("sex", "ward"): {"F": 0.5}}, "expected 2 values, one a column, found 'F'"),
    ],
)
def test_what_is_wrong_is_said(targets, says):
    with pytest.raises(SchemaError, match=says):
        read_targets(SCHEMA, targets)


def test_any_kind_of_number_is_a_share():
    for share in (Fraction(1, 4), Decimal("0.25"), np.float32(0.25), 0.25):
        assert read_targets(SCHEMA, {"sex": {"F": share}}).targets[0].shares.tolist() == [0.25, 0.75]
    assert read_targets(SCHEMA, {"sex": {"F": 1}}).targets[0].shares.tolist() == [1, 0]


def test_shares_that_miss_one_by_rounding_are_taken_as_one():
    plan = read_targets(SCHEMA, {"readmitted": {"yes": 0.1 + 0.2, "no": 0.7}})
    assert np.allclose(plan.targets[0].shares, [0.3, 0.7, 0])


def test_json_comes_back():
    targets = {
        "sex": {"F": 0.5, None: 0.1},
        "age": {(60, None): 0.3},
        ("ward", "age"): {(frozenset({"A & E", "Maternity"}), (60, 79)): Decimal("0.2")},
        "charge": {(Decimal("0.00"), "499.99"): 0.5},
    }
    back = from_json(json.loads(json.dumps(to_json(targets))))
    assert to_json(back) == to_json(targets)
    assert to_json({"day": {dt.date(2001, 1, 2): np.float64(0.5)}})[0]["cells"][0] == {
        "values": ["2001-01-02"],
        "share": 0.5,
    }
    one, two = read_targets(SCHEMA, targets), read_targets(SCHEMA, back)
    assert all((one.group_of[name] == two.group_of[name]).all() for name in one.columns)
    with pytest.raises(TypeError):
        from_json([{"columns": "sex", "cells": []}])


def test_columns_of_shifts_and_what_a_what_if_has_not():
    assert columns_of([{"a": {}, ("b", "a"): {}}, {"c": {}}]) == ("a", "b", "c")
    require_none([], "error")
    with pytest.raises(InputError, match=r"error: not of a shifted model.*ask the model that was shifted"):
        require_none([{"a": {}}], "error")
