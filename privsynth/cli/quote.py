"""`privsynth quote`: what a release would cost and how good it would be; spends nothing.

Must never print a number that depends on the table's records.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from privsynth.cli.console import Console


def quote(
    context: typer.Context,
    table: Annotated[Path, typer.Argument(help="CSV or Parquet file; read to check it against the schema.")],
    schema: Annotated[Path, typer.Option(help="The schema, a TOML file.")],
    policy: Annotated[str, typer.Option(help="A policy file, or the name of a shipped one.")],
    generator: Annotated[str | None, typer.Option(help="Another generator than the policy's default.")] = None,
    ledger: Annotated[
        Path | None, typer.Option(help="The ledger; default: PRIVSYNTH_LEDGER or the user's own.")
    ] = None,
) -> None:
    """Say what a release would cost and how far to trust it, before anything is spent."""
    from privsynth import api

    console: Console = context.obj
    with console.progress(), api.open_ledger(ledger) as book:
        found = api.quote(table, schema=schema, policy=policy, ledger=book, generator=generator)
    console.result(found.to_json(), found.lines())
