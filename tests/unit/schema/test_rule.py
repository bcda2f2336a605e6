"""Rules in words: what a report prints is what the schema says."""

import pytest

from privsynth.errors import SchemaError
from privsynth.schema import Schema

COLUMNS = """
[table]
name = "t"
[columns.sex]
kind = "category"
values = ["F", "M"]
[columns.sick]
kind = "boolean"
missing = ["?"]
[columns.day]
kind = "date"
lower = 2001-01-01
upper = 2001-12-31
[columns.a]
kind = "integer"
lower = 0
upper = 9
missing = [""]
[columns.b]
kind = "number"
precision = "0.5"
lower = 0
upper = 9
"""


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("kind='order'\nleft='a'\nop='<='\nright='b'", "a <= b"),
        ("kind='order'\nleft='day'\nop='=='\nvalue=2001-05-06", "day == 2001-05-06"),
        ("kind='order'\nleft='b'\nop='>'\nvalue=1.50", "b > 1.50"),
        ("kind='sum'\ntotal='a'\nparts=['c', 'd']", "a = c + d"),
        (
            "kind='implication'\nif={column='sex',in=['F','M']}\nthen={column='a',lower=1,upper=2}",
            "if sex in {F, M} then a >= 1 and a <= 2",
        ),
        (
            "kind='implication'\nif={column='sick',in=[true]}\nthen={column='a',missing=true}",
            "if sick in {true} then a is missing",
        ),
        (
            "kind='implication'\nif={column='a',missing=false}\nthen={column='sick',in=['false'],missing=true}",
            "if a is not missing then sick in {false} or sick is missing",
        ),
        (
            "kind='combination'\ncolumns=['sex','day']\nallowed=[['F', 2001-05-06]]",
            "(sex, day) is one of 1 listed combinations",
        ),
    ],
)
def test_rules_have_words(rule, text):
    more = "".join(f"[columns.{name}]\nkind='integer'\nlower=0\nupper=9\n" for name in "cd")
    schema = Schema.loads(f"{COLUMNS}{more}[[rules]]\n{rule}")
    assert schema.rules[0].text == text
    assert Schema.from_json(schema.to_json()).rules == schema.rules


def test_labels_of_truth_values_are_texts():
    rule = "[[rules]]\nkind='implication'\nif={column='sick',in=['yes']}\nthen={column='a',lower=1}"
    with pytest.raises(SchemaError, match="'yes' is none of its labels"):
        Schema.loads(COLUMNS + rule)
