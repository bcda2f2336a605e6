"""The databases of the benchmark of histories: where their records are, and reading them under tests/bench/schemas.

`diabetes130` is the example's table. The others are not shipped: PRIVSYNTH_BENCH_DATA names a folder with nafld/, mimic3_demo/
and berka/, each with its published files; what is not there is skipped with a line.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from privsynth.database import Database, DatabaseSchema, reading
from privsynth.private import Private

ROOT = Path(__file__).parents[2]
SCHEMAS = Path(__file__).parent / "schemas"
VARIABLE = "PRIVSYNTH_BENCH_DATA"


def source(name: str) -> Path | dict[str, Path] | None:
    """Where the records of a database are; None, and a line, where they are not."""
    if name == "diabetes130":
        return {"stays": ROOT / "examples" / "hospital_stays" / "encounters.csv.gz"}
    folder = os.environ.get(VARIABLE)
    found = None if folder is None else Path(folder) / name
    if found is None or not found.is_dir():
        print(f"{name}: skipped; {VARIABLE} names no folder in which it is", file=sys.stderr)
        return None
    return found


@cache
def schema(name: str) -> DatabaseSchema:
    """The schema of a database."""
    return DatabaseSchema.load(SCHEMAS / f"{name}.toml")


def read(name: str) -> Private[Database] | None:
    """Read a database; numbers outside of their bounds go to the nearest."""
    found = source(name)
    if found is None:
        return None
    tables = _berka(found) if name == "berka" and isinstance(found, Path) else found
    return reading.read(tables, schema(name), out_of_domain="clamp")


def _berka(folder: Path) -> dict[str, pa.Table]:
    """Three of its tables, with dates as others write them and without the columns that are not modelled."""
    wanted = {
        "accounts": ("account", ("account_id", "frequency", "date")),
        "transactions": ("trans", ("account_id", "date", "type", "operation", "k_symbol", "amount")),
        "loans": ("loan", ("account_id", "date", "amount", "duration", "status")),
    }
    found: dict[str, pa.Table] = {}
    for name, (file, columns) in wanted.items():
        texts = pacsv.ConvertOptions(column_types=dict.fromkeys(columns, pa.string()), include_columns=list(columns))
        table = pacsv.read_csv(
            folder / f"{file}.asc.gz", parse_options=pacsv.ParseOptions(delimiter=";"), convert_options=texts
        )
        arrays = {column: pc.utf8_trim_whitespace(table[column]) for column in columns}
        date = arrays["date"]
        parts = [pc.utf8_slice_codeunits(date, place, place + 2) for place in (0, 2, 4)]
        arrays["date"] = pc.binary_join_element_wise(pc.binary_join_element_wise("19", parts[0], ""), *parts[1:], "-")
        found[name] = pa.table(arrays)
    return found
