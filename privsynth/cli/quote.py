"""`privsynth quote`: what a release would cost and how good it would be; spends nothing.

Must never print a number that depends on the table's records.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from privsynth.cli.console import Console
from privsynth.cli.options import AnySchemaFile, LedgerFile, OtherGenerator, PolicyName


def quote(
    context: typer.Context,
    table: Annotated[
        Path,
        typer.Argument(
            help="CSV or Parquet file, or a folder, SQLite or DuckDB file; read to check it against the schema."
        ),
    ],
    schema: AnySchemaFile,
    policy: PolicyName,
    generator: OtherGenerator = None,
    ledger: LedgerFile = None,
) -> None:
    """Say what a release would cost and how far to trust it, before anything is spent."""
    from privsynth import api
    from privsynth.errors import BudgetExceeded

    console: Console = context.obj
    book = api.existing_ledger(ledger) if api.ledger_path(ledger).exists() else None
    with console.progress(), book or nullcontext():
        found = api.quote(table, schema=schema, policy=policy, ledger=book, generator=generator)
    console.result(found.to_json(), found.lines())
    if not found.admitted:
        raise BudgetExceeded(f'the release does not fit the lifetime budget of population "{found.population}"')
