"""`privsynth release`: from a private table to a signed folder, or a refusal with reasons.

Must never print a private value, nor a path inside the internal folder's files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from privsynth.cli.console import Console


def release(
    context: typer.Context,
    table: Annotated[
        Path, typer.Argument(help="The private table: CSV or Parquet; or several: a folder, SQLite or DuckDB file.")
    ],
    schema: Annotated[Path, typer.Option(help="The schema, a TOML file; with [database], of several tables.")],
    policy: Annotated[str, typer.Option(help="A policy file, or the name of a shipped one.")],
    out: Annotated[Path, typer.Option(help="The folder to make; it must not exist.")],
    key: Annotated[Path, typer.Option(help="The signing key, made by `privsynth keys new`.")],
    generator: Annotated[str | None, typer.Option(help="Another generator than the policy's default.")] = None,
    ledger: Annotated[
        Path | None, typer.Option(help="The ledger; default: PRIVSYNTH_LEDGER or the user's own.")
    ] = None,
) -> None:
    """Make a synthetic release, attack it, and sign it or refuse it with reasons."""
    from privsynth import api

    console: Console = context.obj
    if not api.ledger_path(ledger).exists():
        console.say(
            f"a new ledger is made at {api.ledger_path(ledger)}: if this population was released before, stop and name its own"
        )
    with console.progress():
        made = api.release(table, schema=schema, policy=policy, key=key, out=out, ledger=ledger, generator=generator)
    promise = made.predicate["guarantee"]
    lines = [
        f"released: {made.folder}",
        f"  epsilon {promise['epsilon']} at delta {promise['delta']} for each {promise['unit']['name']}",
        f"  report: {made.folder / 'report.html'}",
        f"  verify with: privsynth verify {made.folder} --trust <your trust.toml>",
    ]
    console.result({"folder": str(made.folder), "predicate": made.predicate}, lines)
