"""Questions: what is read, what is refused, and that an error shows where."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.answering.parsing import parse
from privsynth.answering.profiles import Region
from privsynth.answering.tokens import tokens
from privsynth.errors import InputError, SchemaError
from privsynth.schema import Schema
from privsynth.schema.ticks import MISSING
from tests import clinic

SCHEMA = Schema.loads(clinic.SCHEMA)


def admitted(question, column, granules):
    return parse(question, SCHEMA).where[column].admits(np.array(granules)).tolist()


def test_the_four_kinds_are_read():
    assert parse("count", SCHEMA).where == {}
    found = parse("share where readmitted == 'yes' given age >= 60 and ward != Maternity", SCHEMA)
    assert (found.kind, set(found.where), set(found.given)) == ("share", {"readmitted"}, {"age", "ward"})
    assert parse('mean "charge" where stay > 0', SCHEMA).targets == ("charge",)
    assert parse("CORRELATION age, `stay` WHERE sex == F", SCHEMA).targets == ("age", "stay")


def test_comparisons_admit_what_they_say():
    assert admitted("count where age >= 60", "age", [59, 60, 99]) == [False, True, True]
    assert admitted("count where age > 60", "age", [60, 61]) == [False, True]
    assert admitted("count where age < 60", "age", [59, 60]) == [True, False]
    assert admitted("count where age <= 60 and age > 10", "age", [10, 60, 61]) == [False, True, False]
    assert admitted("count where age < 500", "age", [0, 99]) == [True, True]
    assert admitted("count where age != 60", "age", [59, 60]) == [True, False]
    assert admitted("count where charge < 0.02", "charge", [0, 1, 2]) == [True, True, False]


def test_labels_lists_and_missing_values():
    assert admitted("count where sex in [F, 'M']", "sex", [0, 1, MISSING]) == [True, True, False]
    assert admitted("count where sex is missing", "sex", [0, MISSING]) == [False, True]
    assert admitted("count where sex is not missing", "sex", [0, MISSING]) == [True, False]
    assert admitted("count where sex == '?'", "sex", [0, MISSING]) == [False, True]
    assert admitted("count where sex != F", "sex", [0, 1, MISSING]) == [False, True, False]
    assert admitted("count where ward == 'Surgery, general'", "ward", [1, 2]) == [False, True]


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("", "the question ends here"),
        ("drop table", "expected count"),
        ("count where", "name of a column"),
        ("count where age", "expected =="),
        ("count where age >= 60 or sex == F", "or the end"),
        ("count where age >= 60 extra", "or the end"),
        ("count age >= 60", "where, or the end"),
        ("share", "a share is of those records"),
        ("count where agee >= 60", 'did you mean "age"'),
        ("count where patient == 'x'", "is an identifier: its values are made anew"),
        ("count where note == 'x'", "of kind text, which is never released"),
        ("count where ward == 'Nowhere'", "none of its labels"),
        ("count where ward > 'Maternity'", "have no order"),
        ("count where age >= 200", "no value of the column"),
        ("count where age == 200", "outside the declared bounds"),
        ("count where age > 99", "no value"),
        ("count where age >= old", "expected a number"),
        ("count where age >= 60.5", "not a multiple"),
        ("count where age < 20 and age > 60", "leave nothing"),
        ("count where ward is missing", "never missing"),
        ("count where ward == 'open", "never closed"),
        ("count where sex in F", "a list in brackets"),
        ("count where sex in [F", "a comma or the end"),
        ("count where ; drop", "the name of a column|no column"),
        ("mean ward", "has no mean"),
        ("correlation age", "a comma"),
        ("correlation age, age", "with itself"),
        ("count where age >= 60 given sex == F", "or the end"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(question, said):
    with pytest.raises(InputError, match=said):
        parse(question, SCHEMA)


def test_an_error_points_at_its_place():
    with pytest.raises(SchemaError) as found:
        parse("count where agee >= 60", SCHEMA)
    shown, mark = str(found.value).splitlines()[-2:]
    assert shown[mark.index("^") :].startswith("agee")


def test_names_with_odd_signs_stand_in_quotes():
    odd = Schema.loads(
        '[table]\nname = "t"\n[columns."default.payment, next"]\nkind = "boolean"\ntrue = ["1"]\nfalse = ["0"]\n'
        '[columns."a\\"b"]\nkind = "integer"\nlower = 0\nupper = 5\nbins = {method = "uniform", count = 2}\n'
    )
    assert parse('count where "default.payment, next" == 1', odd).columns == ("default.payment, next",)
    assert parse('mean "a""b"', odd).targets == ('a"b',)


@settings(max_examples=40)
@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_and_nothing_else(text):
    try:
        found = parse(f"count where {text}", SCHEMA)
    except InputError:
        return
    assert found.columns


@given(st.text(alphabet="abc'\"` <>=!,()[]", max_size=30))
def test_tokens_stand_where_they_say(text):
    try:
        found = tokens(text)
    except InputError:
        return
    assert [token.place for token in found] == sorted(token.place for token in found)
    assert found[-1].kind == "end"


@given(st.integers(0, 20), st.integers(0, 20), st.frozensets(st.integers(0, 20)), st.frozensets(st.integers(0, 20)))
def test_two_regions_at_once_admit_what_both_admit(low, high, only, without):
    one = Region(lower=low, upper=20, only=only, missing=True)
    two = Region(lower=0, upper=high, without=without)
    every = np.append(np.arange(21), MISSING)
    np.testing.assert_array_equal(one.met_by(two).admits(every), one.admits(every) & two.admits(every))
