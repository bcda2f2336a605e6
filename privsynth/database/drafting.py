"""Drafting: a schema to fill in for several tables, with the names of tables and columns, their kinds and nothing else.

Must never write a value, a bound, a key, a link or a count that was found in the tables: each is left as a question.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from privsynth import drafting, frames
from privsynth.database import sources
from privsynth.database.checks import plain_name
from privsynth.errors import RecordsError
from privsynth.schema import codelists

_HEAD: Final = """\
# A draft: names of tables, names and kinds of their columns, guessed; correct them where they are wrong. Nothing else was taken
# from the tables. What is written below is public. So every line that a column still lacks is a question with lawful answers:
#   1. declare it     from a data dictionary, a standard or common knowledge: never by looking it up in these tables
#   2. code list      codes = "..." ({lists})
# (Of several tables, nothing is bought.)
# Also say, where it is so: missing = [""] (what stands for a missing value), role = "quasi" or "sensitive", description.
# This file is refused until every table and column is answered. Leave out the tables that are not to be released.

[database]
name = {name}
# unit = "..."      whose privacy is protected, whatever number of rows they own: the table with one row for each patient or
#                   customer, or, where no table lists them, what to call one
"""

_TABLE: Final = """
# ---------------------------------------------------------------------------------------------------------------------
[tables.{key}]
# key = ["..."]                  the columns that together name a row, if another table points here
# parent = {{table = "...", columns = ["..."]}}      every table but the units' has one: the columns here that hold its key;
#                                where they may be empty: optional = true, unit = ["..."] (the columns that name the unit).
#                                Without table = "..." the columns name units that no table lists
# bound = {{rows = ...}}           how many rows of one unit are used at most; or {{rows = "buy", most = ...}}
# time = {{column = "..."}}        the date that orders the rows of one parent; anchor = "..." (birth, opening: nothing happens
#                                before it), until = "..." (death, closing)
# order = "..."                  without a time: the column of whole numbers that orders them
# constant = ["..."]             of units that no table lists: the columns that are the same in all rows of a unit
# [[tables.{key}.derived]]         columns that are computed from others: sequence, elapsed, running, total, count, copied
"""


def draft(source: frames.Source) -> str:
    """Write a database schema in TOML to be filled in: a folder, an SQLite or DuckDB file, or {table: path or frame}.

    Privacy: the kinds are guessed from the values, which tells no value; of the tables, names alone are written.
    Raises: RecordsError when a table cannot be read, or a name cannot stand in a schema; InputError when the extra that reads
        the file is not installed.
    """
    title = Path(source).name.partition(".")[0] if isinstance(source, str | Path) else "tables"
    listed = [str(name) for name in source] if isinstance(source, dict) else []
    parts = [_HEAD.format(lists=", ".join(codelists.names()), name=json.dumps(title, ensure_ascii=False))]
    with sources.opened(source, listed) as tables:
        listing = tables.listing()
        if not listing:
            raise RecordsError(
                "there are no tables; expected files .csv, .csv.gz, .tsv or .parquet, or tables in the database"
            )
        parts += [_drafted(tables, title, name) for title, name in listing.items()]
    return "".join(parts)


def _drafted(tables: sources.AbstractTables, title: str, name: str) -> str:
    """One table, which the schema calls `title` and the source `name`."""
    if not plain_name(title):
        raise RecordsError("a table's name cannot stand in a schema; use letters, digits, spaces, _ and -")
    columns = tables.columns(name)
    key = drafting.toml_key(title)
    try:
        drafting.check_header(columns)
        arrays = frames.read(tables.content(name, columns), columns)
        asked = drafting.columns_asked(arrays, f"tables.{key}.columns", buying=False)
    except RecordsError as error:
        raise RecordsError(f'table "{title}": {error}') from None
    return _TABLE.format(key=key) + asked
