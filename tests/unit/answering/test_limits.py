"""Intervals at the edges: never a point where nothing is known, never outside what can be, and no answer of no records."""

import numpy as np
import pytest

import privsynth as ps
from privsynth.errors import InputError

SCHEMA = ps.Schema.loads("""
[table]
name = "stays"
[columns.age]
kind = "integer"
lower = 0
upper = 99
missing = [""]
bins = { method = "uniform", count = 20 }
[columns.sex]
kind = "category"
values = ["F", "M"]
[columns.ward]
kind = "category"
values = ["A", "B", "never"]
[columns.back]
kind = "boolean"
[columns.month]
kind = "date"
lower = 2020-01-01
upper = 2022-12-31
granularity = "month"
""")


def table(rows: int = 3000) -> dict[str, list[str]]:
    rng = np.random.default_rng(4)
    return {
        "age": [str(age) if age < 95 else "" for age in rng.integers(0, 99, rows)],
        "sex": rng.choice(["F", "M"], rows).tolist(),
        "ward": rng.choice(["A", "B"], rows).tolist(),
        "back": rng.choice(["true", "false"], rows).tolist(),
        "month": [
            f"202{year}-{month:02}"
            for year, month in zip(rng.integers(0, 3, rows), rng.integers(1, 13, rows), strict=True)
        ],
    }


@pytest.fixture(scope="module", params=["independent", "mst"])
def model(request):
    return ps.fit(table(), SCHEMA, epsilon=1, delta="1e-6", generator=request.param)


def test_a_count_that_may_be_none_has_an_interval_and_no_point(model):
    found = model.answer("count where ward == 'never'")
    assert 0 <= found.lower <= found.value
    assert found.upper - found.lower > 5


@pytest.mark.parametrize("question", ["mean back", "mean back where ward == 'never'", "mean age where ward == 'never'"])
def test_means_stay_in_the_declared_range(model, question):
    found = model.answer(question)
    assert 0 <= found.lower <= found.value <= found.upper <= (1 if "back" in question else 99)


def test_of_records_that_may_not_be_there_all_is_possible(model):
    found = model.answer("share where sex == 'F' given ward == 'never'")
    assert (found.lower, found.upper) == (0, 1)
    assert found.notes


def test_bounds_of_a_mean_hold_where_its_own_condition_overlaps_the_others_as_little_as_can_be():
    rows = 6000
    old = np.arange(rows) < rows // 2
    frame = table(rows) | {
        "age": ["90" if one and place % 10 else "60" if one else "20" for place, one in enumerate(old)],
        "sex": ["F" if not one or place % 10 == 0 else "M" for place, one in enumerate(old)],
    }
    independent = ps.fit(frame, SCHEMA, epsilon=10, delta="1e-6", generator="independent")
    found = independent.answer("mean age where age >= 50 and sex == 'F'")
    assert found.lower <= 60


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("mean age where age is missing", "no number where it is missing"),
        ("correlation age, back where age == 20", "the same in all of these records"),
        ("count where month >= 2021-02-15", "write a whole month"),
        ("count where month <= 2021-02-01", "write a whole month"),
    ],
)
def test_what_has_no_answer_is_refused_in_words(model, question, said):
    with pytest.raises(InputError, match=said):
        model.answer(question)


def test_a_month_is_asked_for_as_such(model):
    assert model.answer("count where month >= 2021-02").value < model.answer("count where month >= 2021-01").value
