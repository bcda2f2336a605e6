"""Sources: several tables out of a folder, an SQLite or DuckDB file, or a dict of tables.

Must never write to a source, run anything in it but a listing of columns, or let another library's message, which may quote
a cell, get out.
"""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar, final

import pyarrow as pa

from privsynth import frames
from privsynth.errors import InputError, RecordsError
from privsynth.frames import DUCKDB_ENDINGS, SQLITE_ENDINGS

ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet", ".pq")

T = TypeVar("T")
_BLOCK_ROWS = 1 << 17
_HEAD = b"SQLite format 3\0"
_LOGGED = b"\2\2"
"""What follows the page's size in the head of a file in WAL mode: its file format version 2, to write and to read."""
_EXACT = 1 << 53
"""Whole numbers below it are exact as floats."""
_LISTINGS = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND substr(name, 1, 7) <> 'sqlite_'",
    "duckdb": "SELECT table_name FROM information_schema.tables WHERE table_schema = 'main'",
}
_AS_TEXT = {
    # SQLite writes floats with 15 digits, in which large keys become one: whole floats are written as whole numbers.
    "sqlite": f"CASE WHEN typeof({{0}}) = 'real' AND abs({{0}}) < {_EXACT} AND {{0}} = CAST({{0}} AS INTEGER) "
    "THEN CAST({0} AS INTEGER) || '.0' ELSE CAST({0} AS VARCHAR) END",
    "duckdb": "CAST({0} AS VARCHAR)",
}


class AbstractTables(ABC):
    """The tables of a source. `name` is a table's name there: of a file, of a table in a database, or of a dict's entry."""

    @abstractmethod
    def listing(self) -> dict[str, str]:
        """All tables in alphabetical order: what a schema calls each, and its name in the source. Raises: RecordsError."""

    @abstractmethod
    def find(self, table: str, file: str | None) -> str:
        """The name in the source of a schema's table, which may say `file`. Raises: RecordsError when there is none."""

    @abstractmethod
    def columns(self, name: str) -> tuple[str, ...]:
        """The names of a table's columns. Raises: RecordsError."""

    @abstractmethod
    def content(self, name: str, columns: Sequence[str]) -> frames.Source:
        """What `frames` reads these columns from. Raises: RecordsError."""


def is_several(source: frames.Source) -> bool:
    """Whether a source is a folder or a database file."""
    if not isinstance(source, str | Path):
        return False
    return Path(source).is_dir() or Path(source).name.lower().endswith(SQLITE_ENDINGS + DUCKDB_ENDINGS)


@contextmanager
def opened(source: frames.Source, listed: Sequence[str], *, pairs: bool = False) -> Iterator[AbstractTables]:
    """Open a folder, a database file, or {table: path or frame}; one path or frame is the table where one is `listed`.

    Args: `pairs` takes NAME.csv beside NAME.parquet for the same table twice, as a release has it.
    Raises: RecordsError when it is none of these, InputError when the extra that reads it is not installed.
    """
    if isinstance(source, Mapping) and set(listed) & {str(name) for name in source}:
        yield _Mapped({str(name): value for name, value in source.items()}, listed)
    elif not isinstance(source, str | Path) or not is_several(source):
        if isinstance(source, str | Path) and not Path(source).exists():
            raise RecordsError(f"there is no folder or file {source}; check the path")
        if len(listed) != 1:
            raise RecordsError(
                f"{len(listed)} tables are declared, but the source is one; expected a folder with a file for each, a file "
                ".sqlite, .db or .duckdb, or a dict {table: path or frame}"
            )
        yield _Mapped({listed[0]: source}, listed)
    elif Path(source).is_dir():
        yield _Folder(Path(source), pairs=pairs)
    else:
        path = Path(source)
        if not path.is_file():
            raise RecordsError(f"there is no file {path}; check the path")
        connection = _duckdb(path) if path.name.lower().endswith(DUCKDB_ENDINGS) else _sqlite(path)
        try:
            yield connection
        finally:
            connection.close()


@final
class _Mapped(AbstractTables):
    """{table: path or frame}."""

    def __init__(self, tables: Mapping[str, frames.Source], listed: Sequence[str]) -> None:
        for name in tables:
            if name not in listed:
                raise RecordsError(
                    f'the dict has a table "{name}", which the schema does not list; remove or declare it'
                )
        self._tables = tables

    def listing(self) -> dict[str, str]:
        return {name: name for name in sorted(self._tables)}

    def find(self, table: str, file: str | None) -> str:  # noqa: ARG002
        if table not in self._tables:
            raise RecordsError(f'the dict lacks the table "{table}"; add it, or remove it from the schema')
        return table

    def columns(self, name: str) -> tuple[str, ...]:
        return frames.column_names(self._tables[name])

    def content(self, name: str, columns: Sequence[str]) -> frames.Source:  # noqa: ARG002
        return self._tables[name]


@final
class _Folder(AbstractTables):
    """A folder with one file for each table: NAME.csv, NAME.parquet ..., or the file that the schema names."""

    def __init__(self, folder: Path, *, pairs: bool) -> None:
        self._pairs = pairs
        self._files = {
            file.name: file
            for file in sorted(folder.iterdir())
            if file.is_file() and file.name.lower().endswith(ENDINGS)
        }

    def listing(self) -> dict[str, str]:
        titles = [title(name) for name in self._files]
        if len(set(titles)) < len(titles):
            raise RecordsError("the folder has two files of one name with different endings; keep one of them")
        return dict(zip(titles, self._files, strict=True))

    def find(self, table: str, file: str | None) -> str:
        fitting = [one for one in self._files if one == file or title(one) == (file or table)]
        if not fitting:
            wanted = file or f"{table}.csv (.csv.gz, .tsv, .parquet)"
            raise RecordsError(f'the folder has no file {wanted}; add it, or name it: file = "..."')
        if self._pairs and fitting == [f"{file or table}.csv", f"{file or table}.parquet"]:
            return fitting[0]
        if len(fitting) > 1:
            raise RecordsError(f'the folder has {", ".join(fitting)}; keep one of them, or name it: file = "..."')
        return fitting[0]

    def columns(self, name: str) -> tuple[str, ...]:
        return frames.column_names(self._files[name])

    def content(self, name: str, columns: Sequence[str]) -> frames.Source:  # noqa: ARG002
        return self._files[name]


def title(file: str) -> str:
    """A file's name without the ending that says how it is written."""
    ending = max((one for one in ENDINGS if file.lower().endswith(one)), key=len, default="")
    return file[: len(file) - len(ending)]


@final
class _Database(AbstractTables):
    """A database file, opened read-only; every cell is read as text, as the file of a spreadsheet would hold it.

    Args: `batches` runs a query and gives its rows in blocks, a list of Arrow text columns each.
    """

    def __init__(
        self, path: Path, connection: Any, kind: str, batches: Callable[[Any, str, int], Iterator[list[pa.Array]]]
    ) -> None:
        self._path, self._connection, self._kind, self._batches = path, connection, kind, batches

    def close(self) -> None:
        self._connection.close()

    def listing(self) -> dict[str, str]:
        listing = _LISTINGS[self._kind]
        rows = attempt(lambda: self._connection.execute(listing).fetchall(), self._path.name)
        return {name: name for name in sorted(str(row[0]) for row in rows)}

    def find(self, table: str, file: str | None) -> str:
        wanted = file or table
        if wanted not in self.listing():
            raise RecordsError(f'{self._path.name} has no table "{wanted}"; add it, or name it: file = "TABLE"')
        return wanted

    def columns(self, name: str) -> tuple[str, ...]:
        query = f"SELECT * FROM {quoted(name)} LIMIT 0"
        described = attempt(lambda: self._connection.execute(query).description, self._path.name)
        return tuple(str(one[0]) for one in described)

    def content(self, name: str, columns: Sequence[str]) -> frames.Source:
        known = self.columns(name)
        for column in columns:
            if known.count(column) != 1:
                raise RecordsError(f'column "{column}" must be in the table exactly once; add it, or rename its double')
        if not columns:
            columns = known[:1]
        listed = ", ".join(_AS_TEXT[self._kind].format(quoted(column)) for column in columns)
        query = f"SELECT {listed} FROM {quoted(name)}"
        kind = pa.dictionary(pa.int32(), pa.string())
        schema = pa.schema([(column, kind) for column in columns])

        def read() -> pa.Table:
            blocks = [
                pa.RecordBatch.from_arrays([array.dictionary_encode() for array in block], schema=schema)
                for block in self._batches(self._connection, query, _BLOCK_ROWS)
            ]
            return pa.Table.from_batches(blocks, schema=schema)

        return attempt(read, f'{self._path.name}, table "{name}"')


def quoted(name: str) -> str:
    """A name as SQL writes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def attempt(action: Callable[[], T], name: str) -> T:
    """Run a step of a database library; what it says is replaced, outside of its handler. Raises: RecordsError."""
    try:
        return action()
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001
        damaged = not isinstance(error, PermissionError)
    said = "it is damaged, locked, or holds what is no text" if damaged else "permission is denied"
    raise RecordsError(f"{name} cannot be read: {said}")


def _sqlite(path: Path) -> _Database:
    def head() -> bytes:
        with path.open("rb") as file:
            return file.read(len(_HEAD) + 4)

    found, real = attempt(head, path.name), path.resolve()
    if not found.startswith(_HEAD):
        raise RecordsError(f"{path.name} is no SQLite file; expected one, or a .duckdb file, or a folder of tables")
    # A file in WAL mode without a log is in nobody's use; read otherwise, SQLite would put a log and an index beside it.
    unused = found.endswith(_LOGGED) and not real.with_name(f"{real.name}-wal").exists()
    options = "mode=ro&immutable=1" if unused else "mode=ro"
    connection = attempt(
        lambda: sqlite3.connect(f"{real.as_uri()}?{options}", uri=True, isolation_level=None), path.name
    )
    attempt(lambda: connection.execute("PRAGMA trusted_schema = OFF"), path.name)
    return _Database(path, connection, "sqlite", _sqlite_blocks)


def _sqlite_blocks(connection: Any, query: str, rows: int) -> Iterator[list[pa.Array]]:
    cursor = connection.execute(query)
    while block := cursor.fetchmany(rows):
        yield [pa.array(column, pa.string()) for column in zip(*block, strict=True)]


def duckdb_library() -> Any:
    """The library of DuckDB files. Raises: InputError when it is not installed."""
    if find_spec("duckdb") is None:
        raise InputError(
            'DuckDB files need the extra: pip install "privsynth[sql]"; or give a folder or an SQLite file'
        )
    import duckdb

    return duckdb


def _duckdb(path: Path) -> _Database:
    library = duckdb_library()
    # Nothing else is read, nothing is fetched, and what does not fit into memory is not put into files.
    settings = {"enable_external_access": "false", "temp_directory": "", "threads": "1"}
    connection = attempt(lambda: library.connect(str(path), read_only=True, config=settings), path.name)
    return _Database(path, connection, "duckdb", _duckdb_blocks)


def _duckdb_blocks(connection: Any, query: str, rows: int) -> Iterator[list[pa.Array]]:
    for batch in connection.sql(query).to_arrow_reader(rows):
        yield [column.cast(pa.string()) for column in batch.columns]
