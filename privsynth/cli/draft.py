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
    from privsynth import drafting
    from privsynth.database import drafting as several
    from privsynth.database import sources

    typer.echo((several if sources.is_several(table) else drafting).draft(table), nl=False)
