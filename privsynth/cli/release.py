"""`privsynth release`: from a private table to a signed folder, or a refusal with reasons.

Must never print a private value, nor a path inside the internal folder's files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from privsynth.cli.console import Console
from privsynth.cli.options import AnySchemaFile, LedgerFile, NewFolder, OtherGenerator, PolicyName, SigningKey


def release(
    context: typer.Context,
    table: Annotated[
        Path, typer.Argument(help="The private table: CSV or Parquet; or several: a folder, SQLite or DuckDB file.")
    ],
    schema: AnySchemaFile,
    policy: PolicyName,
    out: NewFolder,
    key: SigningKey,
    generator: OtherGenerator = None,
    ledger: LedgerFile = None,
) -> None:
    """Make a synthetic release, attack it, and sign it or refuse it with reasons."""
    from privsynth import api
    from privsynth.answering.contradictions import spoken

    console: Console = context.obj
    if not api.ledger_path(ledger).exists():
        console.say(
            f"there is no ledger at {api.ledger_path(ledger)}, a new one is begun: "
            "if this population was released before, stop and name its own"
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
    against = spoken(made.predicate["limitations"])
    found = {"folder": str(made.folder), "predicate": made.predicate, "contradictions": against}
    console.result(found, [*lines, *against])
