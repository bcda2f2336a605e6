"""What a schema says its table is used for: read, checked, and left out of digests where nothing is said."""

import pytest

from privsynth.errors import SchemaError
from privsynth.schema import Schema

TEXT = """
[table]
name = "stays"
[columns.id]
kind = "identifier"
make = "####"
[columns.age]
kind = "integer"
lower = 0
upper = 99
bins = { method = "uniform", count = 10 }
[columns.sex]
kind = "category"
values = ["F", "M"]
[columns.ward]
kind = "category"
values = ["A", "B", "C"]
[columns.back]
kind = "boolean"
"""


def with_use(lines: str) -> Schema:
    return Schema.loads(f"{TEXT}\n[use]\n{lines}")


def test_a_use_is_read_and_survives_json():
    schema = with_use('target = "ward"\noutcome = ["A", "B"]\nprotected = ["sex"]\nlegitimate = ["age"]')
    assert schema.use.target == "ward"
    assert schema.use.outcome == ("A", "B")
    assert Schema.from_json(schema.to_json()) == schema


def test_a_schema_without_use_says_nothing_of_it():
    schema = Schema.loads(TEXT)
    assert "use" not in schema.to_json()
    assert schema.digest() != with_use('target = "ward"').digest()


def test_a_numeric_target_needs_no_outcome():
    assert with_use('target = "age"').use.outcome == ()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('target = "wards"', 'names "wards"'),
        ('target = "id"', "no modelled column"),
        ('target = "ward"\nprotected = ["ward"]', "names a column twice"),
        ('protected = ["age"]', "no groups"),
        ('legitimate = ["age"]', "declare protected columns"),
        ('outcome = ["A"]', "outcome needs a target"),
        ('target = "age"\noutcome = ["3"]', "has no labels"),
        ('target = "ward"\noutcome = ["D"]', "correct the label"),
        ('target = "ward"\noutcome = ["A", "A"]', "names a label twice"),
        ('target = "ward"\noutcome = ["A", "B", "C"]', "nothing is left to predict"),
        ('aim = "ward"', "unknown key"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(lines, said):
    with pytest.raises(SchemaError, match=r"\[use\] in schema\.toml") as caught:
        with_use(lines)
    assert said in str(caught.value)
