"""Records: what is in the table and in the schema is read as ticks, everything else is refused, and it can be written again."""

import datetime as dt
import gzip
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from privsynth import frames
from privsynth.dataset import Dataset
from privsynth.encoding import decode
from privsynth.errors import RecordsError, SchemaError
from privsynth.private import Private
from privsynth.records import MISSING, Records, read, read_public, to_arrow
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


# --- the table as a whole ---

TABLE = Schema.loads(
    """
    [table]
    name = "t"
    unit = "who"
    [columns.visit]
    kind = "identifier"
    make = "##"
    [columns.age]
    kind = "integer"
    lower = 0
    upper = 99
    [columns.who]
    kind = "identifier"
    make = "##"
    [columns.notes]
    kind = "text"
    drop = true
    [columns.sex]
    kind = "category"
    values = ["F", "M"]
    """
)
ROWS = {
    "visit": [1, 2, 3, 4],
    "age": [4, 3, 2, 1],
    "who": ["p", "q", "p", "r"],
    "notes": ["n"] * 4,
    "sex": list("FMMF"),
}


def csv(columns: dict[str, list[object]]) -> bytes:
    return "\n".join(
        ",".join(str(cell) for cell in row) for row in [columns, *zip(*columns.values(), strict=True)]
    ).encode()


def test_a_table_is_read_into_a_box():
    boxed = read(ROWS, TABLE)
    assert isinstance(boxed, Private)
    records = boxed.open()
    assert list(records.ticks) == ["age", "sex"]
    assert records.rows == 4
    assert records.units.tolist() == [0, 1, 0, 2]
    assert records.unit_names == (b"p", b"q", b"r")
    assert "4" not in repr(records)


def test_files_and_frames_read_alike(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbf" + csv(ROWS))
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(csv(ROWS)))
    frames.write_parquet(pa.table(ROWS), tmp_path / "t.parquet")
    files = [tmp_path / "t.csv", str(tmp_path / "t.csv.gz"), tmp_path / "t.parquet"]
    shuffled = pd.DataFrame(ROWS)[["sex", "who", "visit", "notes", "age"]]
    for source in [*files, pd.DataFrame(ROWS), pl.DataFrame(ROWS), pa.table(ROWS), shuffled]:
        records = read(source, TABLE).open()
        assert {name: values.tolist() for name, values in records.ticks.items()} == {
            "age": [4, 3, 2, 1],
            "sex": [0, 1, 1, 0],
        }
        assert records.units.tolist() == [0, 1, 0, 2]


def test_one_row_can_be_read(tmp_path):
    (tmp_path / "t.csv").write_bytes(csv({name: values[:1] for name, values in ROWS.items()}))
    assert read(tmp_path / "t.csv", TABLE).open().rows == 1


def test_no_unit_means_each_row_is_its_own():
    records = read({"x": ["a"]}, schema(KINDS["category"])).open()
    assert records.units is None
    assert records.unit_names is None


def test_a_modelled_column_may_be_the_unit():
    one = Schema.loads('[table]\nname="t"\nunit="x"\n[columns.x]\nkind="integer"\nlower=0\nupper=9')
    records = read({"x": [7, 3, 7]}, one).open()
    assert records.units.tolist() == [0, 1, 0]
    assert records.unit_names == (b"7", b"3")


def test_synthetic_tables_need_no_identifiers():
    records = read_public({"age": [1], "sex": ["F"]}, TABLE)
    assert isinstance(records, Records)
    assert records.units is None
    with pytest.raises(RecordsError, match='lacks columns "visit", "who", "notes"'):
        read({"age": [1], "sex": ["F"]}, TABLE)


def without(name):
    return {key: values for key, values in ROWS.items() if key != name}


BAD_TABLES = {
    "no rows": ({name: [] for name in ROWS}, "no rows; expected at least one"),
    "no columns": ({}, "none of the table's columns"),
    "another table": ({"a": [1], "b": [2]}, "none of the table's columns is in the schema"),
    "a column too few": (without("age"), 'lacks column "age", which the schema declares'),
    "a dropped column too few": (without("notes"), 'lacks column "notes"'),
    "a column too many": ({**ROWS, "zip": [1] * 4}, 'has column "zip", which the schema does not declare'),
    "lengths": ({**ROWS, "age": [1]}, "differ in length"),
    "unit empty": ({**ROWS, "who": ["p", "", "p", "q"]}, 'column "who" names the privacy unit and has empty cells'),
    "unit null": ({**ROWS, "who": ["p", None, "p", "q"]}, 'column "who" names the privacy unit and has empty cells'),
    "mixed types": ({**ROWS, "age": [1, "x", 2, 3]}, 'column "age" cannot be read: it mixes types'),
    "a word in a number": ({**ROWS, "age": ["1", "x", "2", "3"]}, 'column "age" holds values outside'),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_bad_tables_are_refused(case):
    source, say = BAD_TABLES[case]
    with pytest.raises(RecordsError, match=say):
        read(source, TABLE)


def test_columns_named_twice_are_refused(tmp_path):
    for header, say in (
        ("visit,age,who,notes,sex,age", 'more than one column "age"'),
        ("visit,age,who,notes,sex,z,z", '"z"'),
    ):
        (tmp_path / "t.csv").write_text(f"{header}\n{','.join(['1'] * len(header.split(',')))}\n")
        with pytest.raises(RecordsError, match=say):
            read(tmp_path / "t.csv", TABLE)


def test_the_header_alone_is_no_table(tmp_path):
    (tmp_path / "t.csv").write_text("visit,age,who,notes,sex\n")
    with pytest.raises(RecordsError, match="no rows"):
        read(tmp_path / "t.csv", TABLE)


def test_a_file_without_a_header_is_not_quoted(tmp_path):
    (tmp_path / "t.csv").write_text("17,Zebediah,sex\n18,Quentin,sex\n")
    with pytest.raises(RecordsError) as caught:
        read(tmp_path / "t.csv", schema("kind='category'\nvalues=['sex']", "[columns.sex]\nkind='boolean'"))
    assert "Zebediah" not in str(caught.value)


# --- days after another column ---

STAYS = Schema.loads(
    """
    [table]
    name = "t"
    [columns.out]
    kind = "date"
    after = "in"
    lower = 0
    upper = 10
    missing = ["", "?"]
    [columns.in]
    kind = "date"
    lower = 2001-01-01
    upper = 2001-12-31
    missing = [""]
    """
)


def stays(pairs, **keys):
    records = read({"in": [pair[0] for pair in pairs], "out": [pair[1] for pair in pairs]}, STAYS, **keys).open()
    first = day(2001, 1, 1)
    return [
        tuple(None if tick == MISSING else tick - first for tick in pair)
        for pair in zip(records.ticks["in"].tolist(), records.ticks["out"].tolist(), strict=True)
    ]


def test_days_after_another_column_are_dates():
    assert stays([("2001-01-01", "2001-01-11"), ("2001-12-31", "2002-01-05"), ("2001-01-01", "?")]) == [
        (0, 10),
        (364, 369),
        (0, None),
    ]


def test_without_its_base_a_column_is_missing():
    assert stays([("", "2001-01-11"), ("", "")]) == [(None, None), (None, None)]


@pytest.mark.parametrize("out", ["2001-01-12", "2000-12-31"])
def test_days_outside_their_bounds(out):
    pairs = [("2001-01-01", out), ("2001-01-01", "2001-01-02")]
    with pytest.raises(RecordsError, match='expected 0 to 10 days after "in"'):
        stays(pairs)
    assert stays(pairs, out_of_domain="clamp") == [(0, 10 if out > "2001" else 0), (0, 1)]
    assert stays(pairs, out_of_domain="other") == [(0, None), (0, 1)]


# --- what is still to be bought ---

OPEN = Schema.loads(
    """
    [table]
    name = "t"
    [columns.city]
    kind = "category"
    buy = true
    missing = ["?"]
    [columns.job]
    kind = "category"
    buy = true
    other = "rest"
    [columns.income]
    kind = "number"
    precision = "0.5"
    buy = "bounds"
    missing = [""]
    """
)
OPEN_ROWS = {"city": ["Ulm", "?", "Bonn", ""], "job": ["x", "y", None, "x"], "income": ["-7", "1e3", "", "0.5"]}


def test_labels_to_be_bought_are_kept_in_the_box():
    records = read(OPEN_ROWS, OPEN).open()
    assert records.labels == {"city": ("Bonn", "Ulm"), "job": ("x", "y")}
    assert records.ticks["city"].tolist() == [1, MISSING, 0, MISSING]
    assert records.ticks["job"].tolist() == [0, 1, MISSING, 0]
    assert records.ticks["income"].tolist() == [-14, 2000, MISSING, 1]
    assert records.take(np.array([2, 0])).labels == records.labels


def test_what_was_bought_completes_the_records():
    records = read(OPEN_ROWS, OPEN).open()
    completed = OPEN.resolve("city", "categories", ["Ulm", "Berlin"]).resolve("job", "categories", ["y"])
    completed = completed.resolve("income", "bounds", ["0", "100"])
    found = records.with_schema(completed)
    assert found.schema == completed
    assert found.labels == {}
    assert found.ticks["city"].tolist() == [0, MISSING, MISSING, MISSING]
    assert found.ticks["job"].tolist() == [1, 0, MISSING, 1]
    assert found.ticks["income"].tolist() == [0, 200, MISSING, 1]


def test_records_can_be_completed_step_by_step():
    records = read(OPEN_ROWS, OPEN).open()
    first = OPEN.resolve("city", "categories", ["Ulm"])
    second = first.resolve("job", "categories", ["y"]).resolve("income", "bounds", ["0", "100"])
    stepped, at_once = records.with_schema(first).with_schema(second), records.with_schema(second)
    for name in records.ticks:
        assert stepped.ticks[name].tolist() == at_once.ticks[name].tolist()


def test_records_take_no_other_schema():
    with pytest.raises(SchemaError, match="other columns"):
        read(OPEN_ROWS, OPEN).open().with_schema(TABLE)


@pytest.mark.parametrize("label", ["=1+1", "-5", "a\tb", "x" * 300, "\x00", " @x", "a\x9bb"])
def test_labels_that_could_not_be_released_are_not_bought(label):
    one = schema('kind = "category"\nbuy = true')
    with pytest.raises(RecordsError, match="expected lawful labels"):
        read({"x": ["fine", label]}, one)
    records = read({"x": ["fine", label]}, one, out_of_domain="other").open()
    assert records.labels == {"x": ("fine",)}
    assert records.ticks["x"].tolist() == [0, MISSING]


# --- the dataclass ---


def test_records_check_their_shape():
    one = Schema.from_domain({"a": 3, "b": 3})
    good = np.array([0, 1], dtype=np.int64)
    for wrong in (
        {"a": good},
        {"b": good, "a": good},
        {"a": good, "b": good[:1]},
        {"a": good, "b": good.astype(float)},
    ):
        with pytest.raises(RecordsError):
            Records(schema=one, ticks=wrong)
    with pytest.raises(RecordsError):
        Records(schema=one, ticks={"a": good, "b": good}, units=good[:1])


def test_rows_are_taken_with_their_units():
    records = read(ROWS, TABLE).open().take(np.array([3, 0]))
    assert records.ticks["age"].tolist() == [1, 4]
    assert records.units.tolist() == [2, 0]
    assert records.unit_names == (b"p", b"q", b"r")
    assert records.take(np.array([False, True])).ticks["age"].tolist() == [4]


def test_ticks_are_exchanged():
    records = read(ROWS, TABLE).open()
    changed = records.with_ticks({name: values[::-1].copy() for name, values in records.ticks.items()})
    assert changed.ticks["age"].tolist() == [1, 2, 3, 4]
    assert changed.units.tolist() == records.units.tolist()


# --- writing ---

OUT = Schema.loads(
    HEAD + "".join(f"[columns.{name.replace(' ', '_')}]\n{text}\nmissing = ['n/a']\n" for name, text in KINDS.items())
    + "[columns.id]\nkind='identifier'\nmake='##'\n[columns.gone]\nkind='text'\ndrop=true\n"
)  # fmt: skip


def drawn(rows: int) -> Records:
    rng = np.random.default_rng(3)
    domain = OUT.domain()
    codes = {name: rng.integers(0, size, rows) for name, size in zip(domain.attributes, domain.sizes, strict=True)}
    return decode(Dataset.from_columns(codes, domain), OUT, rng=rng)


def test_released_types_are_natural():
    table = to_arrow(drawn(50), {"id": ["i"] * 50})
    types = {name: str(table.schema.field(name).type) for name in table.schema.names}
    assert types == {
        "category": "string",
        "codes": "string",
        "ordered": "string",
        "integer": "int64",
        "number": "double",
        "date": "date32[day]",
        "month": "string",
        "year": "int64",
        "day_first": "date32[day]",
        "datetime": "timestamp[s]",
        "boolean": "bool",
        "yes": "string",
        "id": "string",
    }
    assert table.column("integer").null_count > 0
    assert table.column("category").null_count == 0
    assert "n/a" in table.column("category").to_pylist()
    for value in table.column("number").to_pylist():
        assert value is None or value == float(str(Decimal(str(value)).quantize(Decimal("0.1"))))


@pytest.mark.parametrize("kind", [frames.ARROW, frames.PANDAS, frames.POLARS, "csv", "parquet"])
def test_what_is_written_is_read_again(kind, tmp_path):
    records = drawn(2000)
    table = to_arrow(records, {"id": ["i"] * 2000})
    source = tmp_path / f"t.{kind}"
    if kind == "csv":
        frames.write_csv(table, source)
    elif kind == "parquet":
        frames.write_parquet(table, source)
    else:
        source = frames.to_kind(table, kind)
    again = read_public(source, OUT)
    for name, values in records.ticks.items():
        assert (again.ticks[name] == values).all(), name


@pytest.mark.parametrize("identifiers", [{}, {"id": ["i"]}])
def test_identifiers_must_be_there(identifiers):
    with pytest.raises(RecordsError, match='identifier column "id"'):
        to_arrow(drawn(2), identifiers)


def test_the_hospital_table_is_read(tmp_path):
    example = Path(__file__).parents[2] / "examples" / "hospital_stays"
    one = Schema.load(example / "schema.toml")
    domain = one.domain()
    rng = np.random.default_rng(0)
    codes = {name: rng.integers(0, size, 300) for name, size in zip(domain.attributes, domain.sizes, strict=True)}
    records = decode(Dataset.from_columns(codes, domain), one, rng=rng)
    frames.write_csv(
        to_arrow(records, {name: ["1"] * 300 for name in ("encounter_id", "patient_nbr")}), tmp_path / "t.csv"
    )
    again = read(tmp_path / "t.csv", one).open()
    assert all((again.ticks[name] == values).all() for name, values in records.ticks.items())
    assert set(again.units.tolist()) == {0}
