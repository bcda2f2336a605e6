"""Leak canaries: an unmistakable text and number in bad cells must not show in any exception on any reading path."""

import gzip
import re
import traceback

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from privsynth import drafting
from privsynth.errors import PrivsynthError, RecordsError
from privsynth.private import Private
from privsynth.records import read, read_public
from privsynth.schema import Schema

TEXT = "Zebediah-Quackenbush"
NUMBER = 7_316_429_588
SECRETS = (TEXT, str(NUMBER), "Zebediah", "7316429588", "7.316429588")

SCHEMA = Schema.loads(
    """
    [table]
    name = "t"
    unit = "who"
    [columns.who]
    kind = "identifier"
    make = "##"
    [columns.sex]
    kind = "category"
    values = ["F", "M"]
    [columns.city]
    kind = "category"
    buy = true
    [columns.age]
    kind = "integer"
    lower = 0
    upper = 120
    [columns.balance]
    kind = "number"
    lower = 0
    upper = 1000
    precision = "0.01"
    [columns.admit]
    kind = "date"
    lower = 2001-01-01
    upper = 2008-12-31
    [columns.discharge]
    kind = "date"
    after = "admit"
    lower = 0
    upper = 60
    [columns.seen]
    kind = "datetime"
    lower = 2001-01-01T00:00:00
    upper = 2008-12-31T00:00:00
    [columns.smoker]
    kind = "boolean"
    [columns.band]
    kind = "ordered"
    values = ["lo", "hi"]
    [columns.notes]
    kind = "text"
    drop = true
    """
)
GOOD = {
    "who": "1",
    "sex": "F",
    "city": "Ulm",
    "age": "30",
    "balance": "1.50",
    "admit": "2001-01-01",
    "discharge": "2001-01-02",
    "seen": "2001-01-01T00:00:00",
    "smoker": "true",
    "band": "lo",
    "notes": "n",
}


def everything_said(error: BaseException) -> str:
    """All that an exception can tell: its text, arguments and attributes, and the same of its causes and contexts."""
    said, waiting, seen = [], [error], set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        said += [
            str(one),
            repr(one),
            repr(one.args),
            repr(getattr(one, "__dict__", {})),
            repr(getattr(one, "__notes__", [])),
        ]
        waiting += [other for other in (one.__cause__, one.__context__) if other is not None]
    return "\n".join([*said, *traceback.format_exception(error)])


def assert_silent(error: BaseException) -> None:
    said = everything_said(error)
    for secret in SECRETS:
        assert secret not in said
    assert error.__cause__ is None
    assert error.__context__ is None
    assert not re.search(r"[Rr]ow #?\d|\b\d+ rows", said)


def rows(**changed: object) -> dict[str, list[object]]:
    return {name: [value, changed.get(name, value)] for name, value in GOOD.items()}


def as_csv(columns: dict[str, list[object]]) -> bytes:
    return (
        "\n".join(",".join(map(str, row)) for row in [columns, *zip(*columns.values(), strict=True)]).encode() + b"\n"
    )


READABLE = [name for name in GOOD if name not in ("who", "notes")]
SPOILED = [
    (name, value) for name in READABLE for value in (TEXT, str(NUMBER), f"={TEXT}", f"{NUMBER}.5e3", f"nan{TEXT}")
]
SPOILED = [(name, value) for name, value in SPOILED if name != "city" or value.startswith("=")]


def test_the_good_table_is_good():
    assert isinstance(read(rows(), SCHEMA), Private)


@pytest.mark.parametrize(("name", "value"), SPOILED)
@pytest.mark.parametrize("kind", ["csv", "gz", "parquet", "pandas", "polars", "dict"])
def test_bad_cells_stay_secret(name, value, kind, tmp_path):
    table = rows(**{name: value})
    source: object = table
    if kind in ("csv", "gz"):
        source = tmp_path / ("t.csv" if kind == "csv" else "t.csv.gz")
        source.write_bytes(as_csv(table) if kind == "csv" else gzip.compress(as_csv(table)))
    elif kind == "parquet":
        source = tmp_path / "t.parquet"
        pq.write_table(pa.table(table), source)
    elif kind == "pandas":
        source = pd.DataFrame(table)
    elif kind == "polars":
        source = pl.DataFrame(table)
    with pytest.raises(RecordsError, match=f'column "{name}" holds values outside') as caught:
        read(source, SCHEMA)
    assert_silent(caught.value)


@pytest.mark.parametrize("name", ["age", "balance", "sex", "admit"])
def test_numbers_of_frames_stay_secret(name):
    for values in ([NUMBER, NUMBER], [float(NUMBER), 1.5], [float(NUMBER), float("inf")], [NUMBER, None]):
        table = {**{key: [value] * 2 for key, value in GOOD.items()}, name: values}
        for source in (table, pd.DataFrame(table), pl.DataFrame(table)):
            with pytest.raises(RecordsError) as caught:
                read(source, SCHEMA)
            assert_silent(caught.value)


@pytest.mark.parametrize(
    "values", [[1, TEXT], [NUMBER, "x", 2.5], [TEXT, NUMBER], [b"x", TEXT], [{TEXT: 1}, 1]], ids=repr
)
def test_mixed_types_stay_secret(values):
    for name in ("age", "who"):
        table = {key: [value] * len(values) for key, value in GOOD.items()} | {name: values}
        for source in (table, pd.DataFrame(table)):
            with pytest.raises(RecordsError, match=name) as caught:
                read(source, SCHEMA)
            assert_silent(caught.value)


HEADER = ",".join(GOOD)
LINE = ",".join(GOOD.values())
SECRET_LINE = LINE.replace("Ulm", TEXT).replace("1.50", str(NUMBER))

BAD_FILES = {
    "too many fields": f"{HEADER}\n{SECRET_LINE},{TEXT}\n",
    "too few fields": f"{HEADER}\n{TEXT},{NUMBER}\n",
    "no header": f"{SECRET_LINE}\n{SECRET_LINE}\n",
    "names are cells": f"{TEXT},{NUMBER}\n{TEXT},{NUMBER}\n",
    "one name is a cell": f"{TEXT},sex,{NUMBER}\n1,F,2\n",
    "a name twice is a cell": f"{TEXT},{TEXT},{NUMBER}\n1,F,2\n",
    "open quote in the header": f'"{TEXT},{NUMBER}\n{LINE}\n',
    "NUL": f"{HEADER}\n{SECRET_LINE}\0{TEXT}\n",
    "header only": f"{SECRET_LINE}\n",
}


@pytest.mark.parametrize("case", BAD_FILES)
@pytest.mark.parametrize("reader", [read, read_public])
def test_bad_files_stay_secret(case, reader, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(BAD_FILES[case].encode())
    with pytest.raises(RecordsError) as caught:
        reader(path, SCHEMA)
    assert_silent(caught.value)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "utf-32"])
def test_other_encodings_stay_secret(encoding, tmp_path):
    path = tmp_path / "t.csv"
    for text in (f"{HEADER}\n{SECRET_LINE}é\n", f"é{TEXT},{NUMBER}\n", f"{HEADER}\n{LINE}\n{TEXT}é,{SECRET_LINE}\n"):
        path.write_bytes(text.encode(encoding))
        with pytest.raises(RecordsError) as caught:
            read(path, SCHEMA)
        assert_silent(caught.value)


def test_damaged_files_stay_secret(tmp_path):
    whole = gzip.compress(f"{HEADER}\n{SECRET_LINE}\n".encode() * 500)
    pq.write_table(pa.table({name: [TEXT] for name in GOOD}), tmp_path / "good.parquet")
    stored = (tmp_path / "good.parquet").read_bytes()
    damaged = {
        "cut.csv.gz": whole[: len(whole) // 2],
        "bits.csv.gz": whole[:40] + b"\xff\x00" + whole[42:],
        "cut.parquet": stored[: len(stored) // 2],
        "text.parquet": f"{HEADER}\n{SECRET_LINE}\n".encode(),
        "bits.parquet": stored[:8] + b"\xff" * 40 + stored[48:],
    }
    for name, content in damaged.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(RecordsError) as caught:
            read(tmp_path / name, SCHEMA)
        assert_silent(caught.value)


@pytest.mark.parametrize("column", ["age", "city", "discharge"])
def test_empty_cells_and_days_say_no_neighbouring_value(column):
    table = {name: [TEXT if name in ("notes", "city", "who") else value] * 3 for name, value in GOOD.items()}
    table[column] = ["", "", ""] if column != "discharge" else ["1873-01-01"] * 3
    if column == "city":
        table["age"] = ["30", "", "30"]
    with pytest.raises(RecordsError) as caught:
        read(table, SCHEMA)
    assert_silent(caught.value)
    assert "1873" not in everything_said(caught.value)


def test_an_empty_unit_stays_secret():
    with pytest.raises(RecordsError, match="every row needs its unit") as caught:
        read({name: [TEXT, ""] if name == "who" else [value] * 2 for name, value in GOOD.items()}, SCHEMA)
    assert_silent(caught.value)


def test_boxes_and_records_show_nothing():
    table = rows(city=TEXT, who=TEXT, notes=TEXT)
    boxed = read(table, SCHEMA)
    assert TEXT not in repr(boxed)
    assert TEXT not in repr(boxed.open())
    assert TEXT in boxed.open().labels["city"]


@pytest.mark.parametrize("kind", ["csv", "pandas", "dict"])
def test_drafts_hold_no_value(kind, tmp_path):
    table = rows(city=TEXT, who=TEXT, notes=TEXT * 9, age=NUMBER, balance=f"{NUMBER}.25", sex=f"={TEXT}")
    table = {name: [str(value) for value in values] for name, values in table.items()}
    source: object = table
    if kind == "csv":
        source = tmp_path / "t.csv"
        source.write_bytes(as_csv(table))
    elif kind == "pandas":
        source = pd.DataFrame(table)
    text = drafting.draft(source)
    for secret in (*SECRETS, "Ulm", "1.50", "2001"):
        assert secret not in text
    with pytest.raises(PrivsynthError) as caught:
        Schema.loads(text)
    assert TEXT not in everything_said(caught.value)


def test_drafting_a_bad_table_stays_secret(tmp_path):
    for name, content in BAD_FILES.items():
        if name in ("NUL", "header only", "one name is a cell", "names are cells", "no header"):
            continue
        (tmp_path / "t.csv").write_bytes(content.encode())
        with pytest.raises(RecordsError) as caught:
            drafting.draft(tmp_path / "t.csv")
        assert_silent(caught.value)
    with pytest.raises(RecordsError) as caught:
        drafting.draft({"age": [1, TEXT]})
    assert_silent(caught.value)
