"""Parsing: every kind of column reads what is declared, knows what is missing, and refuses or moves the rest."""

import datetime as dt
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pytest

from privsynth.errors import RecordsError
from privsynth.parsing import distinct_texts
from privsynth.records import MISSING, read
from privsynth.schema import Schema

HEAD = '[table]\nname = "t"\n'
KINDS = {
    "category": 'kind = "category"\nvalues = ["a", "b", "1"]\nother = "b"',
    "codes": 'kind = "category"\ncodes = "icd9-chapters"',
    "ordered": 'kind = "ordered"\nvalues = ["lo", "hi"]',
    "integer": 'kind = "integer"\nlower = 0\nupper = 100\nstep = 5',
    "number": 'kind = "number"\nlower = -1\nupper = 10\nprecision = "0.1"',
    "date": 'kind = "date"\nlower = 2001-01-01\nupper = 2001-12-31',
    "month": 'kind = "date"\nlower = 2001-01-01\nupper = 2001-12-31\ngranularity = "month"',
    "year": 'kind = "date"\nlower = 2001-01-01\nupper = 2009-12-31\ngranularity = "year"',
    "day first": 'kind = "date"\nlower = 2001-01-01\nupper = 2001-12-31\nformat = "%d/%m/%Y"',
    "datetime": 'kind = "datetime"\nlower = 2001-01-01T00:00:00\nupper = 2001-12-31T00:00:00\ngranularity = "minute"',
    "boolean": 'kind = "boolean"',
    "yes": 'kind = "boolean"\ntrue = ["Yes", "Y"]\nfalse = ["No"]',
}


def schema(column: str, extra: str = "") -> Schema:
    return Schema.loads(f"{HEAD}[columns.x]\n{column}\n{extra}")


def ticks(kind: str, values: object, *, missing: str = "", out_of_domain="refuse") -> list[int]:
    one = schema(KINDS[kind], f"missing = {missing}" if missing else "")
    return read({"x": values}, one, out_of_domain=out_of_domain).open().ticks["x"].tolist()


def day(year, month, number):
    return (dt.date(year, month, number) - dt.date(1970, 1, 1)).days


READ = [
    ("category", ["b", "1", "a"], [1, 2, 0]),
    ("category", pa.array(["b", "a"]).dictionary_encode(), [1, 0]),
    ("category", pa.array([1, 1]), [2, 2]),
    ("category", pa.array([1.0, 1.0]), [2, 2]),
    ("codes", ["250.83", "V27", "001-139 Infectious and parasitic diseases"], [2, 17, 0]),
    ("ordered", ["hi", "lo"], [1, 0]),
    ("integer", ["5", "+10", " 15 ", "20.0", "1e2", "-0"], [1, 2, 3, 4, 20, 0]),
    ("integer", pa.array([5, 10], pa.uint8()), [1, 2]),
    ("integer", pa.array([5.0, 10.0]), [1, 2]),
    ("integer", pa.array([5.0, 10.0], pa.float16()), [1, 2]),
    ("number", ["0.1", "-.5", "1.", "1E-1", "0.26", "-0"], [1, -5, 10, 1, 3, 0]),
    ("number", pa.array([0.1, 0.3, 9.9]), [1, 3, 99]),
    ("number", pa.array([1, 2]), [10, 20]),
    ("number", pa.array([Decimal("0.70"), Decimal("1.00")]), [7, 10]),
    ("date", ["2001-02-28", " 2001-12-31", "2001-03-01T23:59:59"], [day(2001, 2, 28), day(2001, 12, 31), day(2001, 3, 1)]),
    ("date", pa.array([day(2001, 5, 6)], pa.date32()), [day(2001, 5, 6)]),
    ("date", pa.array([dt.datetime(2001, 5, 6, 7, 8, 9, 123)]), [day(2001, 5, 6)]),
    ("month", ["2001-02", "2001-02-17"], [day(2001, 2, 1)] * 2),
    ("year", ["2003", "2003-05", "2003-05-06"], [day(2003, 1, 1)] * 3),
    ("year", pa.array([2003]), [day(2003, 1, 1)]),
    ("day first", ["06/05/2001", "6/5/2001", "2001-05-06"], [day(2001, 5, 6)] * 3),
    ("day first", pa.array([day(2001, 5, 6)], pa.date32()), [day(2001, 5, 6)]),
    ("datetime", ["2001-01-02 03:04:59", "2001-01-02T03:04"], [day(2001, 1, 2) * 1440 + 184] * 2),
    ("datetime", ["2001-01-02"], [day(2001, 1, 2) * 1440]),
    ("datetime", pa.array([dt.datetime(2001, 1, 2, 3, 4, 5)]), [day(2001, 1, 2) * 1440 + 184]),
    ("boolean", ["true", "False", "True"], [1, 0, 1]),
    ("boolean", pa.array([True, False]), [1, 0]),
    ("yes", ["Yes", "Y", "No"], [1, 1, 0]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "values", "expected"), READ, ids=str)
def test_values_are_read(kind, values, expected):
    assert ticks(kind, values) == expected
    assert ticks(kind, values, missing='[""]') == expected


@pytest.mark.parametrize("kind", KINDS)
def test_missing_values_are_a_level_where_markers_are_declared(kind):
    assert ticks(kind, ["n/a", "", None, "-99"], missing='["n/a", "-99"]') == [MISSING] * 4
    assert ticks(kind, pa.array([None, None]), missing='["n/a"]') == [MISSING] * 2
    for values in ([""], [None], pa.array([None])):
        with pytest.raises(
            RecordsError, match=r'column "x" has empty cells.*declare missing = \[""\] in \[columns.x\]'
        ):
            ticks(kind, values)


def test_sentinels_of_frames_are_missing():
    assert ticks("integer", pa.array([-99, 5]), missing='["-99"]') == [MISSING, 1]
    assert ticks("number", pd.Series([-99.0, 5.0]), missing='["-99"]') == [MISSING, 50]
    assert ticks("number", pa.array([float("nan"), 5.0]), missing='["nan"]') == [MISSING, 50]


@pytest.mark.parametrize("kind", ["integer", "number"])
@pytest.mark.parametrize("value", ["NaN", "nan", "inf", "-Infinity", float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("out_of_domain", ["refuse", "clamp", "other"])
def test_nan_and_infinity_are_refused(kind, value, out_of_domain):
    with pytest.raises(RecordsError, match='column "x" holds NaN or infinity'):
        ticks(kind, [value], missing='["?"]', out_of_domain=out_of_domain)


OUTSIDE = {
    "category": ["z", "A", "a "],
    "codes": ["nonsense", "V99"],
    "ordered": ["mid"],
    "integer": ["101", "-5", "7", "1e300", "9" * 40],
    "number": ["10.06", "-1.06", "1e300", "-1e300"],
    "date": ["2002-01-01", "1999-12-31"],
    "month": ["2002-01"],
    "year": ["2010"],
    "day first": ["01/01/2002"],
    "datetime": ["2001-12-31T00:01"],
}
UNREADABLE = {
    "integer": ["five", "0x10", "1,000", "5 %", "1e999999"],
    "number": ["five", "1,5", "--1", "."],
    "date": [
        "2001-02-29",
        "2001-13-01",
        "2001-00-01",
        "01/02/2001",
        "soon",
        "2001-02",
        "0000-01-01",
        "2001-01-01T25:00",
    ],
    "month": ["2001", "2001-13"],
    "year": ["01", "20010"],
    "day first": ["31/02/2001", "5/2001"],
    "datetime": ["2001-01-01T24:00", "2001-01-01T00:60", "2001-01-01T00:00:00Z", "noon"],
    "boolean": ["yes", "1"],
    "yes": ["true"],
}


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind in OUTSIDE for value in OUTSIDE[kind]])
def test_values_outside_the_domain_are_refused(kind, value):
    with pytest.raises(RecordsError, match='column "x" holds values outside its domain; expected'):
        ticks(kind, [value])


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind in UNREADABLE for value in UNREADABLE[kind]])
@pytest.mark.parametrize("out_of_domain", ["refuse", "clamp", "other"])
def test_values_of_another_form_are_refused(kind, value, out_of_domain):
    with pytest.raises(RecordsError, match='column "x" holds values outside its domain; expected'):
        ticks(kind, [value], out_of_domain=out_of_domain)


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("integer", ["101", "-7", "7", "8", "1e300", "-1e300"], [20, 0, 1, 2, 20, 0]),
        ("number", ["10.06", "-1.06", "1e300"], [100, -10, 100]),
        ("date", ["2002-05-01", "1999-12-31"], [day(2001, 12, 31), day(2001, 1, 1)]),
        ("month", ["2002-05-01"], [day(2001, 12, 1)]),
        ("datetime", ["2003-01-01"], [day(2001, 12, 31) * 1440]),
        ("category", ["z"], [1]),
    ],
)
def test_clamping_goes_to_the_nearest_bound_or_the_other_label(kind, values, expected):
    assert ticks(kind, values, out_of_domain="clamp") == expected


@pytest.mark.parametrize("kind", ["ordered", "codes"])
def test_labels_without_another_cannot_be_clamped(kind):
    with pytest.raises(RecordsError, match="no place to send them"):
        ticks(kind, ["z"], missing='["?"]', out_of_domain="clamp")


@pytest.mark.parametrize("kind", [*OUTSIDE, "boolean"])
def test_other_goes_to_the_other_label_or_is_missing(kind):
    values = [*OUTSIDE.get(kind, []), *UNREADABLE.get(kind, [])]
    expected = 1 if kind == "category" else MISSING
    assert ticks(kind, values, missing='["?"]', out_of_domain="other") == [expected] * len(values)
    if kind != "category":
        with pytest.raises(RecordsError, match="no place to send them"):
            ticks(kind, values, out_of_domain="other")


@pytest.mark.parametrize(
    ("values", "say"),
    [
        (pa.array([dt.datetime(2001, 1, 1)], pa.timestamp("s", "UTC")), "time zone"),
        (pa.array([[1]]), "is of type list"),
        (pa.array([b"x"]), "is of type binary"),
        (pa.array([dt.time(1)]), "is of type time"),
    ],
    ids=str,
)
def test_types_that_cannot_be_read(values, say):
    with pytest.raises(RecordsError, match=say):
        ticks("date", values)


def test_of_a_dictionary_only_what_occurs_counts_and_doubles_are_one():
    entries = pa.array(["unused", "b", "a", "b", None, "ü"])
    array = pa.DictionaryArray.from_arrays(pa.array([2, 3, 1, None, 4, 2], pa.int8()), entries)
    for piece, texts, positions in (
        (array, ["a", "b"], [0, 1, 1, -1, -1, 0]),
        (array.slice(2, 4), ["b", "a"], [0, -1, -1, 1]),
        (array.slice(0, 0), [], []),
    ):
        found, places = distinct_texts(piece, "x")
        assert found.to_pylist() == texts
        assert places.tolist() == positions
    numbers = pa.DictionaryArray.from_arrays(pa.array([1, 0]), pa.array([1.5, 2.0]))
    assert distinct_texts(numbers, "x")[0].to_pylist() == ["2", "1.5"]
    assert ticks("category", array.slice(0, 3)) == [0, 1, 1]


@pytest.mark.parametrize("dictionary", [False, True])
def test_text_that_is_no_utf8_is_refused_without_showing_it(dictionary):
    """A Parquet file can hold such text; Arrow itself does not look."""
    raw = pa.array([b"Zq-741\xff", b"b"])
    texts = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
    with pytest.raises(RecordsError, match=r'^column "a" holds what is no UTF-8 text') as caught:
        distinct_texts(texts.dictionary_encode() if dictionary else texts, "a")
    assert "Zq" not in str(caught.value)
