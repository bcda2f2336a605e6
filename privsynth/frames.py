"""Frames: any source of a table as Arrow columns, and an Arrow table as any kind of frame or file.

Must never infer what a text means, and never let an exception of another library, which may quote a cell, get out.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from privsynth.errors import InputError, OutputError, RecordsError
from privsynth.schema.labels import FORMULA_SIGNS

if TYPE_CHECKING:
    import narwhals as nw

Source: TypeAlias = object
"""A path (.csv, .csv.gz, .tsv, .tsv.gz, .parquet), a pandas, polars or Arrow table, or a dict of lists."""

ARROW: Final = "arrow"
PANDAS: Final = "pandas"
POLARS: Final = "polars"

PROVENANCE: Final = b"privsynth:provenance"
"""The key of a table's mark in its schema's metadata and, as a text, in a pandas frame's attrs; see `provenance`."""

PANDAS_ATTRS: Final = b"PANDAS_ATTRS"
"""The only key of a Parquet file's metadata that pandas reads: a JSON object, which becomes the frame's attrs."""

SQLITE_ENDINGS: Final = (".sqlite", ".sqlite3", ".db")
DUCKDB_ENDINGS: Final = (".duckdb", ".ddb")
"""Files of several tables, which `database.sources` reads."""

T = TypeVar("T")
_BLOCK_BYTES = 1 << 26
_BLOCK_ROWS = 1 << 20
_WRITE_ROWS = 1 << 16
_STRING_BYTES = (1 << 31) - 1
"""More text than this needs 64-bit offsets in one Arrow array."""

_READ_ERRORS = (
    pa.ArrowException,
    OSError,
    EOFError,
    zlib.error,
    csv.Error,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
)
_NOT_UTF8 = "is not UTF-8 text; save it as UTF-8 (in a spreadsheet: CSV UTF-8)"
_DAMAGED = "cannot be read as a table: it is damaged, or its lines do not all have the same number of fields"


def _attempt(action: Callable[[], T], name: str, problem: str) -> T:
    """Run a reading step of another library; whatever it says is replaced by `problem`, outside of its handler.

    Raises: RecordsError, with neither cause nor context, because theirs may quote a cell.
    """
    try:
        return action()
    except UnicodeDecodeError:
        problem = _NOT_UTF8
    except _READ_ERRORS as error:
        if "UTF8" in str(error):
            problem = _NOT_UTF8
    raise RecordsError(f"{name} {problem}")


def _is_path(source: Source) -> bool:
    return isinstance(source, str | os.PathLike)


def _path(source: Source) -> Path:
    assert isinstance(source, str | os.PathLike)
    path = Path(os.fspath(source))
    if path.is_dir() or (path.is_file() and path.name.lower().endswith(SQLITE_ENDINGS + DUCKDB_ENDINGS)):
        kind = "folder" if path.is_dir() else "database file"
        raise RecordsError(f"{path} is a {kind}: it needs a schema with [database], which describes several tables")
    if not path.is_file():
        raise RecordsError(f"there is no file {path}; check the path")
    if not path.name.lower().endswith((".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet", ".pq")):
        raise RecordsError(f"{path.name}: expected a file .csv, .csv.gz, .tsv, .tsv.gz or .parquet")
    if path.stat().st_size == 0:
        raise RecordsError(f"{path.name} is empty; expected a first line with the names of the columns")
    return path


def _is_parquet(path: Path) -> bool:
    return path.name.lower().endswith((".parquet", ".pq"))


def kind_of(source: Source) -> str:
    """Which kind of frame a source is: PANDAS, POLARS, or ARROW (also for files and dicts).

    Raises: RecordsError when it is none that can be read.
    """
    if _is_path(source) or isinstance(source, Mapping | pa.Table | pa.RecordBatch):
        return ARROW
    implementation = str(_frame(source).implementation).rpartition(".")[2].lower()
    return implementation if implementation in (PANDAS, POLARS) else ARROW


def is_table(source: Source) -> bool:
    """Whether something is a table of its own, or its path, and not a column of a dict of lists."""
    if _is_path(source) or isinstance(source, pa.Table | pa.RecordBatch):
        return True
    import narwhals

    return isinstance(narwhals.from_native(source, eager_only=True, pass_through=True), narwhals.DataFrame)


def _frame(source: Source) -> nw.DataFrame[pa.Table]:
    """Wrap a pandas, polars or other eager frame."""
    import narwhals

    kind = type(source).__name__
    return _attempt(
        lambda: narwhals.from_native(source, eager_only=True),
        f"a source of type {kind}",
        "cannot be read: expected a path, a pandas, polars or Arrow table, or a dict of lists; collect lazy frames first, "
        "and name each column once",
    )


def column_names(source: Source) -> tuple[str, ...]:
    """The names of a source's columns, as often as they occur; cells are not looked at.

    Raises: RecordsError when the source is missing, empty or not of a kind that can be read.
    """
    if isinstance(source, pa.Table | pa.RecordBatch):
        return tuple(source.schema.names)
    if isinstance(source, Mapping):
        return tuple(str(name) for name in source)
    if not _is_path(source):
        return tuple(str(name) for name in _frame(source).columns)
    path = _path(source)
    if _is_parquet(path):
        return tuple(_attempt(lambda: _parquet_names(path), path.name, _DAMAGED))
    names = tuple(_attempt(lambda: _header(path), path.name, _DAMAGED))
    if any("\0" in name for name in names):
        raise RecordsError(f"{path.name} {_NOT_UTF8}")
    return names


def _parquet_names(path: Path) -> list[str]:
    import pyarrow.parquet as pq

    names: list[str] = pq.read_schema(path).names
    return names


def parquet_metadata(path: Path) -> dict[bytes, bytes]:
    """What a Parquet file's schema says beside its columns; no row is read. Raises: RecordsError when it is damaged."""
    import pyarrow.parquet as pq

    return _attempt(lambda: dict(pq.read_schema(path).metadata or {}), path.name, _DAMAGED)


def attributes(source: Source) -> Mapping[str, object]:
    """What a pandas frame carries in its `attrs`."""
    native: Any = _frame(source).to_native()
    return {str(name): value for name, value in native.attrs.items()}


def carried(mark: bytes) -> dict[bytes, bytes]:
    """A mark of provenance as a schema's metadata: under its own key, and where pandas reads and keeps it."""
    return {PROVENANCE: mark, PANDAS_ATTRS: json.dumps({PROVENANCE.decode(): mark.decode()}).encode()}


def _separator(path: Path) -> str:
    return "\t" if ".tsv" in path.name.lower() else ","


def _header(path: Path) -> list[str]:
    """The first record of a CSV file; a byte order mark is skipped."""
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as lines:
        return next(csv.reader(lines, delimiter=_separator(path), strict=True), [])


def read(source: Source, columns: Sequence[str]) -> dict[str, pa.Array]:
    """Read these columns, each as one Arrow array: text for CSV, the source's own types otherwise.

    Raises: RecordsError when a column is absent or cannot be read; see `column_names` for the rest.
    """
    names = _names_with(source, columns)
    if isinstance(source, pa.RecordBatch):
        source = pa.Table.from_batches([source])
    if isinstance(source, pa.Table):
        return {name: joined(source.column(name)) for name in columns}
    if isinstance(source, Mapping):
        by_name = {str(name): values for name, values in source.items()}
        return {name: _column(pa.array, by_name[name], name) for name in columns}
    if not _is_path(source):
        series = dict(zip(names, _frame(source).iter_columns(), strict=True))
        return {name: _column(lambda one: one.to_arrow(), series[name], name) for name in columns}
    path = _path(source)
    table = _attempt(lambda: _opened(path, names, list(columns)).read_all(), path.name, _DAMAGED)
    return {name: joined(table.column(name)) for name in columns}


def blocks(source: Source, columns: Sequence[str]) -> Iterator[dict[str, pa.Array]]:
    """Read these columns as `read` does, a block of rows after the other; a file is never in memory as a whole.

    Raises: RecordsError as `read`, at the block where it is found.
    """
    names = _names_with(source, columns)
    if isinstance(source, pa.Table):
        for batch in source.select(list(columns)).to_batches(max_chunksize=_BLOCK_ROWS):
            yield dict(zip(columns, batch.columns, strict=True))
    elif not _is_path(source):
        arrays = read(source, columns)
        for start in range(0, max(map(len, arrays.values()), default=0), _BLOCK_ROWS):
            yield {name: array.slice(start, _BLOCK_ROWS) for name, array in arrays.items()}
    else:
        path = _path(source)
        batches = _attempt(lambda: _opened(path, names, list(columns)), path.name, _DAMAGED)
        while (batch := _attempt(lambda: next(batches, None), path.name, _DAMAGED)) is not None:
            yield dict(zip(columns, batch.columns, strict=True))


def _names_with(source: Source, columns: Sequence[str]) -> tuple[str, ...]:
    names = column_names(source)
    for column in columns:
        if names.count(column) != 1:
            raise RecordsError(f'column "{column}" must be in the table exactly once; add it, or rename its double')
    return names


def _column(convert: Callable[[T], pa.Array], values: T, name: str) -> pa.Array:
    problem = "cannot be read: it mixes types; give it one type, or convert it to text"
    return joined(_attempt(lambda: convert(values), f'column "{name}"', problem))


def joined(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column in one piece."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    if pa.types.is_string(column.type) and column.nbytes > _STRING_BYTES:
        column = column.cast(pa.large_string())
    return pa.concat_arrays(column.unify_dictionaries().chunks) if column.num_chunks else pa.array([], column.type)


def _opened(path: Path, names: Sequence[str], columns: list[str]) -> pa.RecordBatchReader:
    """These columns of a file, in this order, as a stream of blocks."""
    return _open_parquet(path, columns) if _is_parquet(path) else _open_csv(path, names, columns)


def _open_parquet(path: Path, columns: list[str]) -> pa.RecordBatchReader:
    """Texts stay dictionaries, as they mostly are in the file."""
    import pyarrow.parquet as pq

    texts = [field.name for field in pq.read_schema(path) if pa.types.is_string(field.type) and field.name in columns]
    file = pq.ParquetFile(path, read_dictionary=texts)
    batches = file.iter_batches(batch_size=_BLOCK_ROWS, columns=columns, use_threads=False)
    schema = pa.schema([file.schema_arrow.field(name) for name in columns])
    return pa.RecordBatchReader.from_batches(schema, (batch.select(columns) for batch in batches))


def _open_csv(path: Path, names: Sequence[str], columns: list[str]) -> pa.RecordBatchReader:
    """Every cell as text, exactly as written; no text stands for null."""
    from pyarrow import csv as arrow_csv

    return arrow_csv.open_csv(
        pa.input_stream(str(path), compression="gzip" if path.name.lower().endswith(".gz") else None),
        read_options=arrow_csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
        parse_options=arrow_csv.ParseOptions(
            delimiter=_separator(path), newlines_in_values=True, ignore_empty_lines=len(names) > 1
        ),
        convert_options=arrow_csv.ConvertOptions(
            column_types={name: pa.string() for name in columns},
            include_columns=columns,
            strings_can_be_null=False,
            null_values=[],
        ),
    )


def to_kind(table: pa.Table, kind: str) -> object:
    """Turn an Arrow table into the kind of frame that `kind_of` named.

    Raises: InputError when the library of that kind is not installed.
    """
    if kind == PANDAS:
        _needed(PANDAS)
        frame = table.to_pandas(date_as_object=False)
        if PROVENANCE in (table.schema.metadata or {}):
            frame.attrs[PROVENANCE.decode()] = table.schema.metadata[PROVENANCE].decode()
        return frame
    if kind == POLARS:
        _needed(POLARS)
        import polars

        return polars.from_arrow(table)
    return table


def _needed(library: str) -> None:
    from importlib.util import find_spec

    if find_spec(library) is None:
        raise InputError(f'{library} is not installed; install it with: pip install "privsynth[{library}]"')


def check_cells(table: pa.Table) -> None:
    """No text may be a formula to a spreadsheet. Raises: OutputError."""
    for name, column in zip(table.schema.names, table.columns, strict=True):
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            starts = pc.utf8_slice_codeunits(pc.utf8_ltrim_whitespace(column), 0, 1)
            if pc.any(pc.is_in(starts, value_set=pa.array(list(FORMULA_SIGNS)))).as_py():
                raise OutputError(
                    f'column "{name}": a text starts with a sign that spreadsheets run as a formula (= + - @); '
                    "change how its values are made"
                )


def _csv_column(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Cells as text, quoted where CSV needs it; null is an empty cell."""
    text = pc.fill_null(pc.cast(column, pa.large_string()), "")
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return text
    quote, nothing = pa.scalar('"', pa.large_string()), pa.scalar("", pa.large_string())
    quoted = pc.binary_join_element_wise(quote, pc.replace_substring(text, '"', '""'), quote, nothing)
    return pc.if_else(pc.match_substring_regex(text, '[",\r\n]'), quoted, text)


def csv_bytes(table: pa.Table) -> bytes:
    """A table as CSV: UTF-8, LF, quotes only where needed, null as an empty cell; the same table, the same bytes.

    Raises: OutputError when a text is a formula to a spreadsheet.
    """
    check_cells(table)
    header = pa.Table.from_arrays([pa.array([name]) for name in table.schema.names], names=table.schema.names)
    return _csv_lines(header) + b"".join(
        _csv_lines(table.slice(start, _WRITE_ROWS)) for start in range(0, table.num_rows, _WRITE_ROWS)
    )


def _csv_lines(table: pa.Table) -> bytes:
    cells = [joined(_csv_column(column)) for column in table.columns]
    lines = cells[0] if len(cells) == 1 else pc.binary_join_element_wise(*cells, pa.scalar(",", pa.large_string()))
    return ("\n".join(lines.to_pylist()) + "\n").encode()


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as Parquet, with no metadata but its mark of provenance; the same table, the same bytes for one version of Arrow.

    Raises: OutputError when a text is a formula to a spreadsheet.
    """
    import pyarrow.parquet as pq

    check_cells(table)
    sink = pa.BufferOutputStream()
    said = table.schema.metadata or {}
    kept = carried(said[PROVENANCE]) if PROVENANCE in said else None
    pq.write_table(table.replace_schema_metadata(kept), sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def write_csv(table: pa.Table, path: str | Path) -> None:
    """Write `csv_bytes` to a file that only its owner may read. Raises: OutputError when it cannot be written."""
    _write(csv_bytes(table), path)


def write_parquet(table: pa.Table, path: str | Path) -> None:
    """Write `parquet_bytes` to a file that only its owner may read. Raises: OutputError when it cannot be written."""
    _write(parquet_bytes(table), path)


def _write(content: bytes, path: str | Path) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as sink:
            os.fchmod(descriptor, 0o600)
            sink.write(content)
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror}); free space or choose another folder") from None
