"""Records: a table is read into its box as declared, or refused as a whole; it is completed by what is bought."""

import datetime as dt
import gzip

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from privsynth import frames
from privsynth.errors import RecordsError, SchemaError
from privsynth.packed import PackedTicks
from privsynth.private import Private
from privsynth.records import MISSING, Records, read, read_public
from privsynth.schema import Schema

HEAD = '[table]\nname = "t"\n'


def schema(column: str, extra: str = "") -> Schema:
    return Schema.loads(f"{HEAD}[columns.x]\n{column}\n{extra}")


def day(year, month, number):
    return (dt.date(year, month, number) - dt.date(1970, 1, 1)).days


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
    records = read({"x": ["a"]}, schema('kind = "category"\nvalues = ["a"]')).open()
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
    "no columns": ({}, "None of the table's columns"),
    "another table": ({"a": [1], "b": [2]}, "is this the schema of this table. None of the table's columns"),
    "a column too few": (without("age"), '^the table lacks column "age", which the schema declares'),
    "most columns too few": ({"age": ROWS["age"]}, "^is this the schema of this table.*the table lacks columns"),
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


def test_reading_in_blocks_changes_nothing(tmp_path, monkeypatch):
    frames.write_parquet(pa.table(ROWS), tmp_path / "t.parquet")
    (tmp_path / "t.csv").write_bytes(csv(ROWS))
    cases = [(source, TABLE) for source in (ROWS, pa.table(ROWS), tmp_path / "t.parquet", tmp_path / "t.csv")]
    cases.append((OPEN_ROWS, OPEN))
    at_once = [read(source, described).open() for source, described in cases]
    monkeypatch.setattr(frames, "_BLOCK_ROWS", 1)
    monkeypatch.setattr(frames, "_BLOCK_BYTES", 24)
    for (source, described), whole in zip(cases, at_once, strict=True):
        found = read(source, described).open()
        assert {name: ticks.tolist() for name, ticks in found.ticks.items()} == {
            name: ticks.tolist() for name, ticks in whole.ticks.items()
        }
        assert (found.labels, found.unit_names) == (whole.labels, whole.unit_names)
        if described is TABLE:
            assert found.units.tolist() == [0, 1, 0, 2]
    for name, cell in (("age", 100), ("sex", "X"), ("who", None)):
        with pytest.raises(RecordsError, match=f'column "{name}"'):
            read({**ROWS, name: [*ROWS[name][:3], cell]}, TABLE)
    with pytest.raises(RecordsError, match="differ in length"):
        read({**ROWS, "age": [*ROWS["age"], 5]}, TABLE)


def test_records_that_were_read_are_kept_narrow():
    records = read({"x": [1, 2**40]}, schema(f'kind = "integer"\nlower = 0\nupper = {2**41}')).open()
    assert records.ticks.take(np.array([0]))["x"].tolist() == [1]
    assert isinstance(records.take(np.array([0])).ticks, PackedTicks)
    assert isinstance(
        read(OPEN_ROWS, OPEN).open().with_schema(OPEN.resolve("job", "categories", ["y"])).ticks, PackedTicks
    )


def test_records_take_no_other_schema():
    with pytest.raises(SchemaError, match="other columns"):
        read(OPEN_ROWS, OPEN).open().with_schema(TABLE)


@pytest.mark.parametrize("label", ["=1+1", "-5", "a\tb", "x" * 257, "\x00", " @x", "a\x9bb"])
def test_labels_that_could_not_be_released_are_not_bought(label):
    one = schema('kind = "category"\nbuy = true')
    with pytest.raises(RecordsError, match="expected lawful labels"):
        read({"x": ["fine", label]}, one)
    assert read({"x": ["x" * 256]}, one).open().labels == {"x": ("x" * 256,)}
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
