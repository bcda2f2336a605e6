"""Frames: every source gives the same columns, writing is deterministic, private to its owner and free of formulas."""

import gzip
import os
import stat
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth import frames
from privsynth.errors import InputError, OutputError, RecordsError

DATA = {"a": ["x", "y,z", 'q"u'], "b": [1, 2, 3]}
TABLE = pa.table(DATA)


def write(path, content):
    path.write_bytes(content)
    return path


def sources(folder):
    text = b'a,b\nx,1\n"y,z",2\n"q""u",3\n'
    pq.write_table(TABLE, folder / "t.parquet")
    return {
        "csv": write(folder / "t.csv", text),
        "csv as text": str(write(folder / "u.csv", text)),
        "csv with BOM": write(folder / "bom.csv", b"\xef\xbb\xbf" + text),
        "csv CRLF": write(folder / "crlf.csv", text.replace(b"\n", b"\r\n")),
        "csv.gz": write(folder / "t.csv.gz", gzip.compress(text)),
        "CSV.GZ": write(folder / "T.CSV.GZ", gzip.compress(text)),
        "tsv": write(folder / "t.tsv", b'a\tb\nx\t1\ny,z\t2\n"q""u"\t3\n'),
        "parquet": folder / "t.parquet",
        "pandas": pd.DataFrame(DATA),
        "polars": pl.DataFrame(DATA),
        "arrow": TABLE,
        "batch": TABLE.to_batches()[0],
        "dict": DATA,
        "dict of arrays": {"a": np.array(DATA["a"]), "b": np.array(DATA["b"])},
    }


@pytest.fixture(scope="module")
def every(tmp_path_factory):
    return sources(tmp_path_factory.mktemp("sources"))


def test_every_source_gives_the_same_columns(every):
    assert len(every) == 14
    for name, source in every.items():
        assert frames.column_names(source) == ("a", "b"), name
        found = frames.read(source, ["b", "a"])
        assert list(found) == ["b", "a"]
        assert [str(value) for value in found["b"].to_pylist()] == ["1", "2", "3"], name
        assert found["a"].to_pylist() == DATA["a"], name


def test_files_are_text_and_frames_keep_their_types(every):
    assert pa.types.is_string(frames.read(every["csv"], ["b"])["b"].type)
    assert pa.types.is_integer(frames.read(every["pandas"], ["b"])["b"].type)


def test_kinds(every):
    kinds = {name: frames.kind_of(source) for name, source in every.items()}
    assert {name for name, kind in kinds.items() if kind == frames.PANDAS} == {"pandas"}
    assert {name for name, kind in kinds.items() if kind == frames.POLARS} == {"polars"}
    assert isinstance(frames.to_kind(TABLE, frames.PANDAS), pd.DataFrame)
    assert isinstance(frames.to_kind(TABLE, frames.POLARS), pl.DataFrame)
    assert frames.to_kind(TABLE, frames.ARROW) is TABLE
    dates = frames.to_kind(pa.table({"d": pa.array([0], pa.date32())}), frames.PANDAS)
    assert dates["d"].dtype.kind == "M"


def test_a_kind_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'pip install "privsynth\[polars\]"'):
        frames.to_kind(TABLE, frames.POLARS)


def test_cells_are_read_as_written(tmp_path):
    path = write(tmp_path / "t.csv", b'a,b\nNA,\n007,null\n" x ",1e5\n"line\nbreak",NaN\n')
    found = frames.read(path, ["a", "b"])
    assert found["a"].to_pylist() == ["NA", "007", " x ", "line\nbreak"]
    assert found["b"].to_pylist() == ["", "null", "1e5", "NaN"]


def test_empty_cells_of_one_column_are_rows(tmp_path):
    assert frames.read(write(tmp_path / "t.csv", b"a\nx\n\ny\n"), ["a"])["a"].to_pylist() == ["x", "", "y"]


def test_large_files_come_in_one_piece(tmp_path, monkeypatch):
    monkeypatch.setattr(frames, "_BLOCK_BYTES", 1 << 16)
    rows = "".join(f"{index},{'x' * 100}\n" for index in range(5_000))
    found = frames.read(write(tmp_path / "t.csv", b"a,b\n" + rows.encode()), ["a"])["a"]
    assert isinstance(found, pa.Array)
    assert found[4_999].as_py() == "4999"


def test_every_source_gives_the_same_columns_block_by_block(every, monkeypatch):
    monkeypatch.setattr(frames, "_BLOCK_ROWS", 2)
    for name, source in every.items():
        found = list(frames.blocks(source, ["b", "a"]))
        lengths = [3] if any(text in name.lower() for text in ("csv", "tsv")) else [2, 1]
        assert [len(block["a"]) for block in found] == lengths, name
        assert all(list(block) == ["b", "a"] for block in found), name
        assert [cell for block in found for cell in block["a"].to_pylist()] == DATA["a"], name
        assert [str(cell) for block in found for cell in block["b"].to_pylist()] == ["1", "2", "3"], name
        with pytest.raises(RecordsError, match='"c" must be in the table exactly once'):
            next(frames.blocks(source, ["c"]))


def test_text_files_come_in_blocks_and_are_refused_where_they_are_damaged(tmp_path, monkeypatch):
    monkeypatch.setattr(frames, "_BLOCK_BYTES", 64)
    lines = b"a,b\n" + b"".join(b"%d,x\n" % index for index in range(100))
    blocks = list(frames.blocks(write(tmp_path / "t.csv", lines), ["a"]))
    assert len(blocks) > 5
    assert [int(cell) for block in blocks for cell in block["a"].to_pylist()] == list(range(100))
    broken = frames.blocks(write(tmp_path / "u.csv", lines + b"1,2,3\n"), ["a"])
    assert len(next(broken)["a"]) > 5
    with pytest.raises(RecordsError, match="damaged") as caught:
        list(broken)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_tables_without_rows_give_no_block(tmp_path):
    for source in (TABLE.slice(0, 0), {"a": [], "b": []}, write(tmp_path / "t.csv", b"a,b\n")):
        assert list(frames.blocks(source, ["a", "b"])) == []


def test_pieces_are_joined(monkeypatch):
    pieces = pa.chunked_array([pa.array(["x", "y"]).dictionary_encode(), pa.array(["z"]).dictionary_encode()])
    assert frames.read(pa.table({"a": pieces}), ["a"])["a"].to_pylist() == ["x", "y", "z"]
    nothing = pa.chunked_array([], pa.string())
    assert frames.read(pa.table({"a": nothing}), ["a"])["a"].to_pylist() == []
    monkeypatch.setattr(frames, "_STRING_BYTES", 2)
    texts = frames.read(pa.table({"a": pa.chunked_array([["xx"], ["y"]])}), ["a"])["a"]
    assert pa.types.is_large_string(texts.type)
    assert texts.to_pylist() == ["xx", "y"]


BAD_FILES = {
    "missing.csv": (None, "there is no file"),
    "t.xlsx": (b"x", r"expected a file \.csv"),
    "empty.csv": (b"", "is empty"),
    "latin.csv": ("a,b\né,1\n".encode("latin-1"), "not UTF-8"),
    "utf16.csv": ("a,b\nx,1\n".encode("utf-16"), "not UTF-8"),
    "utf16-le.csv": ("a,b\nx,1\n".encode("utf-16-le"), "not UTF-8"),
    "ragged.csv": (b"a,b\nx,1\ny\n", "same number of fields"),
    "wide.csv": (b"a,b\nx,1,2\n", "same number of fields"),
    "cut.csv.gz": (gzip.compress(b"a,b\n" + b"x,1\n" * 9999)[:60], "damaged"),
    "no.csv.gz": (b"a,b\nx,1\n", "damaged"),
    "no.parquet": (b"a,b\nx,1\n", "damaged"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_refused(name, tmp_path):
    content, say = BAD_FILES[name]
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecordsError, match=say) as caught:
        frames.read(path, ["a"])
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_folder_or_database_file_is_no_table(tmp_path):
    with pytest.raises(RecordsError, match=r"is a folder: it needs a schema with \[database\]"):
        frames.column_names(tmp_path)
    (tmp_path / "clinic.db").write_bytes(b"x")
    with pytest.raises(RecordsError, match=r"is a database file: it needs a schema with \[database\]"):
        frames.column_names(tmp_path / "clinic.db")


NOT_TABLES = {
    "number": 7,
    "object": object(),
    "list": [1, 2],
    "lazy": pl.DataFrame(DATA).lazy(),
    "series": pd.Series([1]),
}


@pytest.mark.parametrize("source", NOT_TABLES.values(), ids=NOT_TABLES)
def test_other_sources_are_refused(source):
    with pytest.raises(RecordsError, match="expected a path") as caught:
        frames.kind_of(source)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "source", [{"a": [1, "x"]}, {"a": [1, "x"], "b": [1, 2]}, pd.DataFrame({"a": [1, "x"]}), {"a": 7}], ids=str
)
def test_mixed_types_are_refused(source):
    with pytest.raises(RecordsError, match='column "a" cannot be read: it mixes types') as caught:
        frames.read(source, ["a"])
    assert caught.value.__context__ is None


def test_a_column_that_is_not_there_or_twice():
    with pytest.raises(RecordsError, match='column "c" must be in the table exactly once'):
        frames.read(TABLE, ["c"])
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(RecordsError, match='column "a" must be in the table exactly once'):
        frames.read(twice, ["a"])
    with pytest.raises(RecordsError, match="name each column once"):
        frames.read(pd.DataFrame([[1, 2]], columns=["a", "a"]), ["a"])


def test_names_that_are_no_text():
    assert frames.column_names(pd.DataFrame({7: [1]})) == ("7",)
    assert frames.read(pd.DataFrame({7: [1]}), ["7"])["7"].to_pylist() == [1]


def test_missing_values_of_frames_are_null():
    frame = pd.DataFrame({"a": [1.0, None], "b": ["x", None]})
    found = frames.read(frame, ["a", "b"])
    assert found["a"].null_count == found["b"].null_count == 1


MIXED = pa.table(
    {
        "text, with comma": ["x", "", None, 'q"u', "l\nb", "c,d"],
        "i": pa.array([1, None, -3, 4, 5, 6]),
        "f": pa.array([0.1, -5.0, 1e22, 1e-7, None, 2.5]),
        "d": pa.array([0, 1, None, 3, 4, 5], pa.date32()),
        "t": pa.array([0, 1, None, 3, 4, 5], pa.timestamp("s")),
        "b": [True, None, False, True, True, True],
    }
)
MIXED_CSV = b"""\
"text, with comma",i,f,d,t,b
x,1,0.1,1970-01-01,1970-01-01 00:00:00,true
,,-5,1970-01-02,1970-01-02 00:00:00,
,-3,1e+22,,,false
"q""u",4,1e-7,1970-01-04,1970-01-01 00:00:03,true
"l
b",5,,1970-01-05,1970-01-01 00:00:04,true
"c,d",6,2.5,1970-01-06,1970-01-01 00:00:05,true
"""


def test_csv_bytes():
    expected = MIXED_CSV.replace(b"1970-01-02 00:00:00", b"1970-01-01 00:00:01")
    assert frames.csv_bytes(MIXED) == expected


def test_csv_in_blocks_is_the_same(monkeypatch):
    whole = frames.csv_bytes(MIXED)
    monkeypatch.setattr(frames, "_WRITE_ROWS", 2)
    assert frames.csv_bytes(MIXED) == whole
    assert frames.csv_bytes(MIXED.slice(0, 0)) == whole[: whole.index(b"\n") + 1]


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1), min_size=1))
def test_texts_survive_csv(tmp_path_factory, texts):
    safe = ["x" + text for text in texts]
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    frames.write_csv(pa.table({"a": safe, "b": safe}), path)
    assert frames.read(path, ["b"])["b"].to_pylist() == safe


@pytest.mark.parametrize("write_table", [frames.write_csv, frames.write_parquet])
def test_files_are_deterministic_and_private(write_table, tmp_path):
    previous = os.umask(0)
    try:
        for name in ("one", "two"):
            write_table(MIXED, tmp_path / name)
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    finally:
        os.umask(previous)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_parquet_round_trip(tmp_path):
    frames.write_parquet(MIXED, tmp_path / "t.parquet")
    stored = pq.read_table(tmp_path / "t.parquet")
    assert stored.cast(MIXED.schema).equals(MIXED)
    assert frames.parquet_bytes(MIXED.replace_schema_metadata({"secret": "x"})) == frames.parquet_bytes(MIXED)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", " =1", "\t=1", "\uff1dx"])
@pytest.mark.parametrize("as_bytes", [frames.csv_bytes, frames.parquet_bytes])
def test_formulas_are_never_written(text, as_bytes):
    with pytest.raises(OutputError, match='column "a"'):
        as_bytes(pa.table({"a": ["fine", text]}))
    assert as_bytes(pa.table({"a": [-1, -2]}))


def test_an_output_that_cannot_be_written(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        frames.write_csv(MIXED, tmp_path / "absent" / "t.csv")
    with pytest.raises(OutputError, match="No space"):
        frames.write_csv(MIXED, "/dev/full")
