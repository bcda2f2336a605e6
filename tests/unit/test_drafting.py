"""Drafts: names and kinds, every private fact a question; what is answered loads, what is not is refused by name."""

import re
import tomllib

import pandas as pd
import pyarrow as pa
import pytest

from privsynth.drafting import draft
from privsynth.errors import RecordsError, SchemaError
from privsynth.policy import Policy
from privsynth.policy.checks import made_anew
from privsynth.schema import Schema

GUESSES = {
    "patient_id": ([f"p{index}" for index in range(9)], "identifier"),
    "PatientName": ([f"n{index}" for index in range(9)], "identifier"),
    "group_id": (["1", "2"] * 5, "integer"),
    "paid": (["x"] * 9, "category"),
    "age": (["30", "41", "?"], "integer"),
    "year": (["2001.0", "2002.0"], "integer"),
    "cost": (["1.5", "2", ""], "number"),
    "tiny": (["1e-5", "2"], "number"),
    "day": (["2001-01-01", "2002-01-01"], "date"),
    "moment": (["2001-01-01T00:00:00", "2002-01-01 01:00"], "datetime"),
    "flag": (["true", "False"], "boolean"),
    "city": (["Ulm", "Bonn", "Aachen", "Kiel"], "category"),
    "nothing": (["", ""], "category"),
    "remark": (["word " * 30, "word " * 20], "text"),
    "typed int": (pa.array([1, 2]), "integer"),
    "typed float": (pa.array([1.5, 2]), "number"),
    "typed date": (pa.array([1, 2], pa.date32()), "date"),
    "typed bool": (pa.array([True, False]), "boolean"),
    "typed null": (pa.array([None, None]), "category"),
}


@pytest.mark.parametrize("name", GUESSES)
def test_kinds_are_guessed(name):
    values, kind = GUESSES[name]
    document = tomllib.loads(draft({name: values}))
    assert document == {"table": {"name": "table"}, "columns": {name: {"kind": kind}}}


def test_nothing_but_names_and_kinds_is_declared(tmp_path):
    frame = pd.DataFrame(
        {"sex": ["female", "male"], 'odd "name".x': [17.25, 99.5], "when": ["2001-03-04", "2002-03-04"]}
    )
    frame.to_csv(tmp_path / "stays.csv", index=False)
    text = draft(tmp_path / "stays.csv")
    assert tomllib.loads(text)["table"] == {"name": "stays"}
    for value in ("female", "male", "17", "99", "2001", "2002", "03-04"):
        assert value not in text
    assert draft(frame).replace('"table"', '"stays"') == text


def test_the_same_kinds_give_the_same_draft_whatever_the_values():
    assert draft({"a": ["x", "y"], "b": ["1", "2"]}) == draft(
        {"a": ["u"] * 7, "b": ["-900", "7", "8", "9", "1", "2", "3"]}
    )


def test_three_lawful_answers_stand_beside_each_question():
    text = draft({"city": ["a", "b"], "age": ["1", "2"]})
    assert all(answer in text for answer in ("1. declare it", "2. code list", "3. buy it", "icd9-chapters"))
    city, age = re.split(r"\[columns\.", text)[1:]
    assert all(answer in city for answer in ("values = ", "codes = ", "buy = true"))
    assert all(answer in age for answer in ("lower = ", "upper = ", 'buy = "bounds"'))


def test_an_unfilled_draft_says_what_to_fill_in():
    table = {"patient_id": "a", "age": "1", "cost": "1.5", "day": "2001-01-01", "city": "Ulm", "remark": "word " * 30}
    text = draft({name: [value] for name, value in table.items()})
    with pytest.raises(SchemaError) as caught:
        Schema.loads(text)
    lines = str(caught.value).splitlines()
    for name, say in (
        ("patient_id", "give exactly one of make"),
        ("age", 'buy = "bounds"'),
        ("cost", "the precision is not declared"),
        ("day", "the bounds are not declared"),
        ("city", "values = [...]"),
        ("remark", "drop = true"),
    ):
        assert any(line.startswith(f"[columns.{name}]") and say in line for line in lines), name


def test_the_pattern_that_a_draft_proposes_is_one_that_policies_allow():
    (proposed,) = re.findall(r'make = "(.+?)"', draft({"patient_id": [str(number) for number in range(300)]}))
    schema = Schema.loads(
        f'[table]\nname = "t"\n[columns.id]\nkind = "identifier"\nmake = "{proposed}"\n'
        '[columns.sick]\nkind = "boolean"\n'
    )
    terms = Policy.load("public-release").deidentification
    assert made_anew(schema.identifiers, (), terms, None).result == "pass"


def test_what_a_table_is_for_is_asked_last():
    text = draft({"sick": ["true"], "age": ["1", "2"]})
    text = text.replace('kind = "integer"\n', 'kind = "integer"\nbuy = "bounds"\n', 1).replace("# [use]", "[use]")
    text = text.replace('# target = "..."', 'target = "sick"').replace('# outcome = ["..."]', 'outcome = ["true"]')
    assert Schema.loads(text).use.target == "sick"
    assert {"protected", "legitimate"} <= set(re.findall(r"^# (\w+) = ", text.split("[use]")[1], re.M))


def test_an_answered_draft_is_a_schema():
    text = draft({"age": ["1"], "city": ["Ulm"], "sick": ["true"]})
    text = text.replace('kind = "integer"\n', 'kind = "integer"\nbuy = "bounds"\n', 1)
    text = text.replace('kind = "category"\n', 'kind = "category"\ncodes = "us-states"\n', 1)
    schema = Schema.loads(text)
    assert [column.kind for column in schema.columns] == ["integer", "category", "boolean"]
    assert [column.name for column in schema.unresolved] == ["age"]


@pytest.mark.parametrize(
    "names",
    [["a", "a"], ["=cmd", "b"], ["", "b"], ["a\tb", "b"], ["x" * 300, "b"]],
    ids=["twice", "formula", "empty", "tab", "long"],
)
def test_names_that_cannot_be_used(names):
    table = pa.Table.from_arrays([pa.array(["1"]), pa.array(["2"])], names=names)
    with pytest.raises(RecordsError, match="names of the columns cannot be used"):
        draft(table)


def test_a_table_without_columns():
    with pytest.raises(RecordsError, match="no columns"):
        draft({})


@pytest.mark.parametrize("first", ["17", "2001-05-03", "12.50", "jane@example.org"])
def test_a_first_line_that_is_a_record_is_refused_and_not_repeated(tmp_path, first):
    table = tmp_path / "table.csv"
    table.write_text(f"Secretname,{first}\nother,3\n")
    with pytest.raises(RecordsError, match="first line") as refused:
        draft(table)
    assert "Secretname" not in str(refused.value)
    assert first not in str(refused.value)
