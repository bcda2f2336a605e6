"""`privsynth draft`: column names and kinds as a schema to fill in.

Must never print anything of the table but its column names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def draft(
    table: Annotated[
        Path, typer.Argument(help="CSV or Parquet file; or several tables: a folder, SQLite or DuckDB file.")
    ],
) -> None:
    """Write a schema to fill in: names and kinds only; what is private is left as a question."""
    from privsynth import api

    typer.echo(api.draft(table), nl=False)
