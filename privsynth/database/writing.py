"""Writing: drawn tables as Arrow tables, and as a folder of CSV and Parquet files or one SQLite or DuckDB file.

Must never write a table that was read from a source: keys are those made anew, units that no source lists are left out.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from privsynth import frames, records
from privsynth.certificate.places import require_outside
from privsynth.database.document import DatabaseSchema, TableTerms
from privsynth.database.held import Database
from privsynth.database.keys import NewKeys
from privsynth.database.sources import duckdb_library, quoted
from privsynth.errors import OutputError, RecordsError
from privsynth.frames import DUCKDB_ENDINGS, SQLITE_ENDINGS

FileKind: TypeAlias = Literal["folder", "sqlite", "duckdb"]
"""A folder with NAME.csv and NAME.parquet for each table, or one database file."""

_INSERT_ROWS = 1 << 16


def to_tables(database: Database, keys: NewKeys, derived: Mapping[str, Mapping[str, pa.Array]]) -> dict[str, pa.Table]:
    """Turn synthetic tables into what is released: each table's columns in order, in natural types; parents first.

    Args: `keys` as `keys.regenerate` made them; `derived` holds every derived column, one value a row.
    Raises: RecordsError when a column is absent or of another length than its table.
    """
    found: dict[str, pa.Table] = {}
    for terms in database.schema.tables:
        if terms.listed:
            found[terms.name] = _table(database, terms, keys[terms.name], derived.get(terms.name, {}), found)
    return found


def _table(
    database: Database,
    terms: TableTerms,
    keys: Mapping[str, Any],
    derived: Mapping[str, pa.Array],
    above: Mapping[str, pa.Table],
) -> pa.Table:
    rows = database.tables[terms.name]
    links = _types_of_links(database.schema, terms, above)
    arrays: dict[str, pa.Array] = {}
    for name in terms.released:
        if terms.content is not None and name in terms.columns:
            assert rows.records is not None
            array = records.written(terms.content.modelled_column(name), rows.records.ticks[name])
        elif name in derived:
            array = derived[name]
        elif name in keys:
            texts = pa.array(keys[name], pa.string())
            array = texts.cast(links[name]) if name in links else texts
        else:
            raise RecordsError(f'table "{terms.name}": column "{name}" has not been made')
        if len(array) != rows.count:
            raise RecordsError(f'table "{terms.name}": column "{name}" needs one value a row')
        arrays[name] = array
    return pa.table(arrays)


def _types_of_links(schema: DatabaseSchema, terms: TableTerms, above: Mapping[str, pa.Table]) -> dict[str, pa.DataType]:
    """The types of foreign keys: those of the keys that they point to."""
    if terms.parent is None or terms.parent_table not in above:
        return {}
    parent = above[terms.parent_table]
    key = schema.table(terms.parent_table).key
    return {column: parent.schema.field(part).type for column, part in zip(terms.parent.columns, key, strict=True)}


def kind_of(place: object) -> FileKind:
    """What a source or target of tables is, by its ending: an SQLite or DuckDB file, or a folder, as dicts of tables become."""
    if isinstance(place, str | Path) and not Path(place).is_dir():
        name = Path(place).name.lower()
        if name.endswith(DUCKDB_ENDINGS):
            return "duckdb"
        if name.endswith(SQLITE_ENDINGS):
            return "sqlite"
    return "folder"


def file_bytes(tables: Mapping[str, pa.Table], kind: Literal["sqlite", "duckdb"], schema: DatabaseSchema) -> bytes:
    """Tables as the bytes of one database file, with their keys. Raises: OutputError or InputError, as `write`."""
    try:
        folder = TemporaryDirectory(prefix="privsynth-", ignore_cleanup_errors=True)
    except OSError:
        raise OutputError(
            "there is no place for temporary files; free space, or name another place in TMPDIR"
        ) from None
    with folder as place:
        (file,) = write(tables, Path(place) / f"tables.{kind}", kind, schema=schema)
        return file.read_bytes()


def write(
    tables: Mapping[str, pa.Table],
    target: str | Path,
    kind: FileKind = "folder",
    *,
    schema: DatabaseSchema | None = None,
) -> tuple[Path, ...]:
    """Write tables to a new folder, or to a new database file with the tables' keys where a schema says them.

    Returns: the files, which only their owner may read; CSV and Parquet of each table in a folder.
    Raises: OutputError when the target is there already or in a release's folder, cannot be written, or a text is a formula
        to a spreadsheet.
        InputError when the extra that writes DuckDB files is not installed.
    """
    path = Path(target)
    require_outside(path)
    if path.exists() and not (kind == "folder" and path.is_dir() and not any(path.iterdir())):
        raise OutputError(f"{path} is there already; choose another name, or remove it")
    for table in tables.values():
        frames.check_cells(table)
    if kind == "folder":
        return _write_folder(tables, path)
    action = _write_sqlite if kind == "sqlite" else _write_duckdb
    if kind == "duckdb":
        duckdb_library()
    _write_file(path, lambda: action(tables, path, schema))
    return (path,)


def _write_folder(tables: Mapping[str, pa.Table], folder: Path) -> tuple[Path, ...]:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made ({error.strerror}); choose another folder") from None
    files: list[Path] = []
    for name, table in tables.items():
        frames.write_csv(table, folder / f"{name}.csv")
        frames.write_parquet(table, folder / f"{name}.parquet")
        files += [folder / f"{name}.csv", folder / f"{name}.parquet"]
    return tuple(files)


def _write_file(path: Path, action: Callable[[], None]) -> None:
    """Write one file; what is left of it after a failure is removed."""
    mask = os.umask(0o077)
    try:
        action()
    except Exception as error:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{path} cannot be written; free space or choose another folder") from None
    finally:
        os.umask(mask)


def _write_sqlite(tables: Mapping[str, pa.Table], path: Path, schema: DatabaseSchema | None) -> None:
    connection = sqlite3.connect(path)
    try:
        for name, table in tables.items():
            columns = ", ".join(_column(field) for field in table.schema)
            keys = "".join(f", {one}" for one in _constraints(name, schema, tables))
            connection.execute(f"CREATE TABLE {quoted(name)} ({columns}{keys})")
            marks = ", ".join("?" * table.num_columns)
            for start in range(0, table.num_rows, _INSERT_ROWS):
                block = [_plain(column).to_pylist() for column in table.slice(start, _INSERT_ROWS).columns]
                connection.executemany(f"INSERT INTO {quoted(name)} VALUES ({marks})", zip(*block, strict=True))
        connection.commit()
    finally:
        connection.close()


def _column(field: pa.Field) -> str:
    kind = "INTEGER" if pa.types.is_integer(field.type) else "REAL" if pa.types.is_floating(field.type) else "TEXT"
    return f"{quoted(field.name)} {kind}"


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Dates, times and decimals as text, as SQLite has none; truth values stay what their texts are read as."""
    kept = pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_string(column.type)
    return column if kept else pc.cast(column, pa.string())


def _constraints(name: str, schema: DatabaseSchema | None, tables: Mapping[str, pa.Table]) -> list[str]:
    """The table's key and foreign keys in SQL."""
    if schema is None:
        return []
    terms, found = schema.table(name), []
    if terms.key and set(terms.key) <= set(tables[name].schema.names):
        found.append(f"PRIMARY KEY ({', '.join(map(quoted, terms.key))})")
    link = terms.parent
    if link is not None:
        pairs = [(link.columns, schema.table(terms.parent_table)), (link.unit, schema.root)]
        found += [
            f"FOREIGN KEY ({', '.join(map(quoted, columns))}) REFERENCES {quoted(above.name)} "
            f"({', '.join(map(quoted, above.key))})"
            for columns, above in pairs
            if columns and above.name in tables
        ]
    return found


def _write_duckdb(tables: Mapping[str, pa.Table], path: Path, schema: DatabaseSchema | None) -> None:
    connection = duckdb_library().connect(str(path), config={"autoinstall_known_extensions": "false"})
    try:
        for name, table in tables.items():
            connection.register("made here", table)
            keys = "".join(f", {one}" for one in _constraints(name, schema, tables))
            described = connection.execute('DESCRIBE SELECT * FROM "made here"').fetchall()
            columns = ", ".join(f"{quoted(str(row[0]))} {row[1]}" for row in described)
            connection.execute(f"CREATE TABLE {quoted(name)} ({columns}{keys})")
            connection.execute(f'INSERT INTO {quoted(name)} SELECT * FROM "made here"')
            connection.unregister("made here")
    finally:
        connection.close()
