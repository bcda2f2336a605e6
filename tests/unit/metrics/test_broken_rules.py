"""Impossible rows are counted by rule, and small numbers of real rows are not shown."""

from dataclasses import replace

import numpy as np
import pytest

from privsynth import records
from privsynth.metrics.broken_rules import count_broken
from privsynth.schema import Schema

SCHEMA = Schema.loads("""
[table]
name = "t"
[columns.ward]
kind = "category"
values = ["Maternity", "Other"]
[columns.sex]
kind = "category"
values = ["F", "M"]
[[rules]]
kind = "implication"
if = {column = "ward", in = ["Maternity"]}
then = {column = "sex", in = ["F"]}
""")


def table(bad, good):
    return records.read_public({"ward": ["Maternity"] * (bad + good), "sex": ["M"] * bad + ["F"] * good}, SCHEMA)


@pytest.mark.parametrize(
    ("bad", "good", "shown"), [(0, 50, 0), (10, 50, None), (11, 50, 11), (50, 10, None), (50, 0, 50)]
)
def test_real_rows_are_shown_unless_there_are_few_on_either_side(bad, good, shown):
    found = count_broken(SCHEMA.rules, table(7, 90), table(bad, good), min_cell=11)
    assert (found.rows, found.of) == (7, 97)
    assert [(one.synthetic, one.real) for one in found.rules] == [(7, shown)]
    assert str(bad) not in str(found.to_json()["rules"]) or shown is not None


def test_without_rules_nothing_is_impossible():
    found = count_broken((), table(7, 90), table(3, 3), min_cell=11)
    assert (found.rows, found.rules) == (0, ())


def test_rows_of_few_people_are_not_counted():
    units = np.where(np.arange(80) < 30, np.arange(80) % 3, np.arange(80))
    real = replace(table(30, 50), units=units)
    assert count_broken(SCHEMA.rules, table(7, 90), real, min_cell=11).rules[0].real is None
