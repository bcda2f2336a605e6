"""Ticks: a declared value is a whole number and comes back as the same text."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth.schema import Schema
from privsynth.schema.ticks import MISSING, from_granules, granules, rebased, text, tick


def column(**keys):
    return Schema.from_json({"table": {"name": "t"}, "columns": [{"name": "x", **keys}]}).column("x")


NUMBER = column(kind="number", lower="-10", upper="10", precision="0.05")
INTEGER = column(kind="integer", lower=-100, upper=100, step=5)
DAY = column(kind="date", lower="1900-01-01", upper="2100-01-01")
MONTH = column(kind="date", lower="1900-01-01", upper="2100-01-01", granularity="month")
YEAR = column(kind="date", lower="1900-01-01", upper="2100-01-01", granularity="year")
HOUR = column(kind="datetime", lower="1900-01-01T00:00:00", upper="2100-01-01T00:00:00", granularity="hour")
LABELS = column(kind="category", values=["a", "7"])
BOOLEAN = column(kind="boolean", true=["Y", "1"], false=["N"])
CODES = column(kind="category", codes="icd9-chapters")


@pytest.mark.parametrize(
    ("one", "value", "expected", "written"),
    [
        (NUMBER, "1.5", 30, "1.50"),
        (NUMBER, 1, 20, "1.00"),
        (NUMBER, -0.35, -7, "-0.35"),
        (NUMBER, Decimal("0.10"), 2, "0.10"),
        (INTEGER, 15, 3, "15"),
        (INTEGER, "-5", -1, "-5"),
        (INTEGER, 10.0, 2, "10"),
        (DAY, dt.date(1970, 1, 2), 1, "1970-01-02"),
        (DAY, "1969-12-31", -1, "1969-12-31"),
        (DAY, dt.datetime(1970, 1, 2, 23), 1, "1970-01-02"),
        (MONTH, "1970-02-28", 31, "1970-02"),
        (MONTH, "1969-12", -31, "1969-12"),
        (YEAR, "1971", 365, "1971"),
        (YEAR, dt.date(1969, 5, 5), -365, "1969"),
        (HOUR, dt.datetime(1970, 1, 1, 5, 59), 5, "1970-01-01T05:00:00"),
        (HOUR, "1969-12-31T23:30:00", -1, "1969-12-31T23:00:00"),
        (HOUR, dt.date(1970, 1, 2), 24, "1970-01-02T00:00:00"),
        (LABELS, "a", 0, "a"),
        (LABELS, 7, 1, "7"),
        (BOOLEAN, True, 1, "Y"),
        (BOOLEAN, "1", 1, "Y"),
        (BOOLEAN, "N", 0, "N"),
        (CODES, "250.83", 2, "240-279 Endocrine, nutritional, metabolic and immunity"),
    ],
)
def test_values_and_texts(one, value, expected, written):
    assert tick(one, value) == expected
    assert text(one, expected) == written
    assert tick(one, written) == expected


@pytest.mark.parametrize(
    ("one", "value"),
    [
        (NUMBER, "1.51"),
        (NUMBER, "x"),
        (NUMBER, float("nan")),
        (NUMBER, float("inf")),
        (NUMBER, True),
        (NUMBER, None),
        (INTEGER, 7),
        (DAY, "31.12.1999"),
        (DAY, "2001-02-30"),
        (DAY, 7),
        (HOUR, "noon"),
        (HOUR, "1970-01-01T05:00:00+01:00"),
        (HOUR, 5),
        (LABELS, "c"),
        (LABELS, True),
        (BOOLEAN, "yes"),
        (CODES, "nonsense"),
    ],
)
def test_what_is_no_value(one, value):
    with pytest.raises(ValueError, match=r"expected|multiple|none of its labels"):
        tick(one, value)


def test_missing_has_a_text():
    assert text(NUMBER, MISSING) == "missing"


@given(st.lists(st.integers(-20_000, 40_000), min_size=1, max_size=20), st.sampled_from([DAY, MONTH, YEAR]))
def test_granules_cut_to_the_first_day(days, one):
    ticks = np.array([*days, MISSING], dtype=np.int64)
    cut = from_granules(one, granules(one, ticks))
    assert cut[-1] == MISSING
    for day, first in zip(days, cut.tolist(), strict=False):
        date = dt.date(1970, 1, 1) + dt.timedelta(days=day)
        expected = {DAY: date, MONTH: date.replace(day=1), YEAR: date.replace(month=1, day=1)}[one]
        assert dt.date(1970, 1, 1) + dt.timedelta(days=first) == expected
    assert (granules(one, cut) == granules(one, ticks)).all()


def test_rebasing_keeps_the_moment_and_missing():
    hours = np.array([0, 25, -1, MISSING], dtype=np.int64)
    assert rebased(DAY, HOUR, hours).tolist() == [0, 1, -1, MISSING]
    days = np.array([1, -1, MISSING], dtype=np.int64)
    assert rebased(HOUR, DAY, days).tolist() == [24, -24, MISSING]
    assert rebased(DAY, DAY, days) is days
