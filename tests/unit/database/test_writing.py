"""Tables are written as declared: folders, SQLite and DuckDB files that read back the same, and link in SQL."""

import sqlite3
import sys

import numpy as np
import pyarrow as pa
import pytest

import privsynth as ps
from privsynth import frames
from privsynth.database import DatabaseSchema, keys, reading, sources, writing
from privsynth.errors import InputError, OutputError, RecordsError, SchemaError
from privsynth.histories.deriving import derive
from tests import made_database
from tests.made_database import CLINIC_TOML

RNG = np.random.default_rng


def tables_of(database):
    schema = database.schema
    return writing.to_tables(database, keys.regenerate(schema, database, RNG(2)), derive(schema, database))


@pytest.fixture(scope="module", params=["clinic", "events", "bank"])
def database(request):
    return getattr(made_database, request.param)(40, RNG(3))


@pytest.fixture(scope="module")
def clinic():
    return made_database.clinic(40, RNG(3))


@pytest.mark.parametrize(("kind", "name"), [("folder", "out"), ("sqlite", "out.sqlite"), ("duckdb", "out.duckdb")])
def test_what_is_written_reads_back(database, kind, name, tmp_path):
    files = writing.write(tables_of(database), tmp_path / name, kind, schema=database.schema)
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)
    found = reading.read_public(tmp_path / name, database.schema)
    for table, rows in database.tables.items():
        assert np.array_equal(rows.parent, found.tables[table].parent)
        assert np.array_equal(rows.unit, found.tables[table].unit)
        for column, ticks in rows.records.ticks.items():
            assert np.array_equal(ticks, found.tables[table].records.ticks[column]), column
    with pytest.raises(OutputError, match="is there already"):
        writing.write(tables_of(database), tmp_path / name, kind)


@pytest.mark.parametrize("file", ["core", "core.csv", "core.parquet"])
def test_a_file_may_be_called_otherwise(file, clinic, tmp_path):
    writing.write(tables_of(clinic), tmp_path / "out")
    for ending in (".csv", ".parquet"):
        (tmp_path / "out" / f"stays{ending}").rename(tmp_path / "out" / f"core{ending}")
    schema = DatabaseSchema.loads(CLINIC_TOML.replace("[tables.stays]", f'[tables.stays]\nfile = "{file}"'))
    assert reading.read_public(tmp_path / "out", schema).tables["stays"].count == clinic.tables["stays"].count
    with pytest.raises(RecordsError, match=r"the folder has no file stays\.csv"):
        reading.read_public(tmp_path / "out", clinic.schema)


def test_columns_are_those_declared_in_order(database):
    for name, table in tables_of(database).items():
        assert tuple(table.schema.names) == database.schema.table(name).released
    assert ("patient" in tables_of(database)) is False


@pytest.mark.parametrize("target", ["out.sqlite", "OUT.DB", "out.duckdb", "out"])
@pytest.mark.parametrize("kind", [frames.ARROW, frames.PANDAS, frames.POLARS])
def test_frames_of_every_kind_are_written_by_the_ending(clinic, kind, target, tmp_path):
    made = {name: frames.to_kind(table, kind) for name, table in reversed(tables_of(clinic).items())}
    ps.write_tables(made, tmp_path / target, schema=clinic.schema)
    found = reading.read_public(tmp_path / target, clinic.schema)
    for table, rows in clinic.tables.items():
        assert np.array_equal(rows.parent, found.tables[table].parent)
        for column, ticks in rows.records.ticks.items():
            assert np.array_equal(ticks, found.tables[table].records.ticks[column]), column
    heads = {"out.sqlite": b"SQLite", "OUT.DB": b"SQLite", "out.duckdb": b"DUCK"}
    assert target not in heads or heads[target] in (tmp_path / target).read_bytes()[:16]


def test_tables_that_are_not_the_schema_s_or_one_file_are_not_written(clinic, tmp_path):
    made = tables_of(clinic)
    with pytest.raises(OutputError, match="become a folder, or a file"):
        ps.write_tables(made, tmp_path / "out.csv")
    for unfit in ({}, {"../stays": made["stays"]}):
        with pytest.raises(OutputError, match=r"expected \{table: frame\}, at least one; a table's name"):
            ps.write_tables(unfit, tmp_path / "out")
    del made["stays"]
    with pytest.raises(OutputError, match="lists the tables patients, stays, diagnoses; expected these and no others"):
        ps.write_tables(made, tmp_path / "out.db", schema=clinic.schema)
    (tmp_path / "one.toml").write_text('[table]\nname = "t"\n[columns.a]\nkind = "boolean"\n')
    with pytest.raises(SchemaError, match=r"a schema that has \[database\]"):
        ps.write_tables(made, tmp_path / "out.db", schema=tmp_path / "one.toml")
    assert not list(tmp_path.glob("out*"))


def test_sql_knows_the_keys(clinic, tmp_path):
    writing.write(tables_of(clinic), tmp_path / "a.db", "sqlite", schema=clinic.schema)
    with sqlite3.connect(tmp_path / "a.db") as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        links = connection.execute("PRAGMA foreign_key_list(diagnoses)").fetchall()
        assert {(link[2], link[3], link[4]) for link in links} == {
            ("stays", "stay_id", "stay_id"),
            ("patients", "patient_id", "patient_id"),
        }
        joined = "SELECT count(*) FROM diagnoses JOIN stays USING (stay_id) JOIN patients p ON p.patient_id = stays.patient_id"
        assert connection.execute(joined).fetchone()[0] == int((clinic.tables["diagnoses"].parent >= 0).sum())
        connection.execute("PRAGMA foreign_keys = ON")
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("UPDATE stays SET patient_id = 'nobody'")


def test_a_column_that_was_not_made_is_refused(clinic):
    made = keys.regenerate(clinic.schema, clinic, RNG(1))
    derived = derive(clinic.schema, clinic)
    with pytest.raises(RecordsError, match='"stays": column "age" has not been made'):
        writing.to_tables(clinic, made, {**derived, "stays": {}})
    with pytest.raises(RecordsError, match='"stays": column "age" needs one value a row'):
        writing.to_tables(clinic, made, {**derived, "stays": {"age": pa.array([1])}})


@pytest.mark.parametrize("kind", ["folder", "sqlite", "duckdb"])
def test_formulas_are_not_written(kind, tmp_path):
    with pytest.raises(OutputError, match="spreadsheets run as a formula"):
        writing.write({"t": pa.table({"a": ["=1+1"]})}, tmp_path / "x", kind)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("kind", ["folder", "sqlite", "duckdb"])
def test_places_that_cannot_be_written(kind, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be"):
        writing.write({"t": pa.table({"a": ["b"]})}, tmp_path / "file" / "x", kind)


def test_duckdb_is_named_where_it_is_not_installed(clinic, tmp_path, monkeypatch):
    (tmp_path / "a.duckdb").write_bytes(b"")
    monkeypatch.setattr(sources, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'pip install "privsynth\[sql\]"'):
        reading.read(tmp_path / "a.duckdb", clinic.schema)
    with pytest.raises(InputError, match=r'pip install "privsynth\[sql\]"'):
        writing.write(tables_of(clinic), tmp_path / "b.duckdb", "duckdb")


ODD = """
[database]
name = "odd"
unit = "people"
[tables.people]
file = 'a "b" [c]; DROP TABLE people'
key = ["id"]
[tables.people.columns]
id = {kind = "identifier", make = "P-####"}
"ab'c\\"d" = {kind = "integer", lower = 0, upper = 9}
"x;y" = {kind = "number", lower = 0, upper = 9, precision = "0.5", missing = [""]}
flag = {kind = "boolean", true = ["1"], false = ["0"]}
"""


@pytest.mark.parametrize("ending", ["sqlite", "duckdb"])
def test_odd_names_are_quoted(ending, tmp_path):
    schema = DatabaseSchema.loads(ODD)
    kinds = {"id": "INTEGER", "ab'c\"d": "INTEGER", "x;y": "REAL", "flag": "INTEGER"}
    columns = ", ".join(f"{sources.quoted(name)} {kind}" for name, kind in kinds.items())
    table = sources.quoted('a "b" [c]; DROP TABLE people')
    path = tmp_path / f"odd.{ending}"
    connection = sqlite3.connect(path) if ending == "sqlite" else sources.duckdb_library().connect(str(path))
    connection.execute(f"CREATE TABLE {table} ({columns})")
    connection.execute(f"INSERT INTO {table} VALUES (7, 3, 1.5, 1), (8, 4, NULL, 0)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    found = reading.read(path, schema).open()
    assert found.unit_names == (b"7", b"8")
    ticks = found.tables["people"].records.ticks
    assert ticks["ab'c\"d"].tolist() == [3, 4]
    assert ticks["x;y"][0] == 3
    assert ticks["flag"].tolist() == [1, 0]
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    with sources.opened(path, ["people"]) as tables, pytest.raises(Exception, match=r"(?i)read.?only"):
        tables._connection.execute("CREATE TABLE more (a INTEGER)")


TWO_TABLES = """
[database]
name = "visits"
unit = "people"
[tables.first]
parent = {columns = ["id"]}
bound = {rows = 3}
[tables.first.columns]
id = {kind = "identifier", make = "P-####"}
seen = {kind = "boolean", true = ["1"], false = ["0"]}
[tables.second]
parent = {columns = ["id"]}
bound = {rows = 3}
[tables.second.columns]
id = {kind = "identifier", make = "P-####"}
told = {kind = "boolean", true = ["1"], false = ["0"]}
"""


def test_nobody_is_two_units_where_sqlite_holds_a_key_as_a_float_in_one_of_two_tables(tmp_path):
    """SQLite writes floats with 15 digits: two people of long numbers would be one, and one would be two."""
    path, ids = tmp_path / "a.db", [7, -7, 0, 10**15, 1234567890123456, 1234567890123457, 2**53 - 1]
    with sqlite3.connect(path) as connection:
        for table, kind, column in (("first", "INTEGER", "seen"), ("second", "REAL", "told")):
            connection.execute(f"CREATE TABLE {table} (id {kind}, {column} INTEGER)")
            connection.executemany(f"INSERT INTO {table} VALUES (?, 1)", [(one,) for one in ids])
    connection.close()
    found = reading.read(path, DatabaseSchema.loads(TWO_TABLES)).open()
    assert found.unit_names == tuple(str(one).encode() for one in ids)
    assert [rows.unit.tolist() for rows in found.tables.values()] == [list(range(len(ids)))] * 3


def test_nothing_is_put_beside_a_file_with_a_write_ahead_log_and_the_log_is_read(tmp_path):
    path, schema = tmp_path / "a.db", DatabaseSchema.loads(TWO_TABLES)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    for table, column in (("first", "seen"), ("second", "told")):
        connection.execute(f"CREATE TABLE {table} (id INTEGER, {column} INTEGER)")
        connection.execute(f"INSERT INTO {table} VALUES (7, 1)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    assert reading.read(path, schema).open().unit_names == (b"7",)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == before
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO second VALUES (8, 1)")
    connection.commit()
    assert reading.read(path, schema).open().unit_names == (b"7", b"8")
    connection.close()


MARK = "Zq-741-raw"


def test_sqlite_files_that_cannot_be_read(tmp_path):
    schema = DatabaseSchema.loads(ODD.replace("'a \"b\" [c]; DROP TABLE people'", '"t"'))
    path = tmp_path / "a.db"
    path.write_text(f"no database but {MARK}")
    with pytest.raises(RecordsError, match="is no SQLite file"):
        reading.read(path, schema)
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute('CREATE TABLE t (id, "ab\'c""d", "x;y", flag)')
        connection.execute("INSERT INTO t VALUES (CAST(? AS TEXT), 1, 1, 1)", [MARK.encode() + b"\xff"])
    with pytest.raises(RecordsError, match="holds what is no text") as caught:
        reading.read(path, schema)
    assert MARK not in str(caught.value)
    assert caught.value.__context__ is None or MARK not in str(caught.value.__context__)
    with pytest.raises(RecordsError, match='has no table "people"'):
        reading.read(path, DatabaseSchema.loads(ODD.replace("file = 'a \"b\" [c]; DROP TABLE people'", "")))
    damaged = path.read_bytes()[:100] + b"\x00" * 4000
    path.write_bytes(damaged)
    with pytest.raises(RecordsError, match=r"a\.db"):
        reading.read(path, schema)
    with pytest.raises(RecordsError, match="there is no file"):
        reading.read(tmp_path / "none.db", schema)


def test_a_damaged_duckdb_file_says_nothing_of_what_is_in_it(tmp_path):
    (tmp_path / "a.duckdb").write_text(f"no database but {MARK}")
    with pytest.raises(RecordsError, match="cannot be read") as caught:
        reading.read(tmp_path / "a.duckdb", DatabaseSchema.loads(CLINIC_TOML))
    assert MARK not in str(caught.value)


def test_duckdb_is_loaded_only_where_it_is_needed():
    code = "import sys, privsynth.database.reading, privsynth.database.writing; sys.exit('duckdb' in sys.modules)"
    import subprocess

    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
