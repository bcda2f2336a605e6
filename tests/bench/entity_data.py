"""The databases of the benchmark of histories: where their records are, and reading them under tests/bench/schemas.

`diabetes130` is the example's table. The others are not shipped: PRIVSYNTH_BENCH_DATA names a folder with nafld/, mimic3_demo/
and berka/, each with its published files; what is not there is skipped with a line.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

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
    return None if found is None else reading.read(found, schema(name), out_of_domain="clamp")
