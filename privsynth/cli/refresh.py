"""`privsynth refresh`: the next release of a population, which spends only where a charged drift test says that it moved.

Must never print a private value, nor a path inside the internal folders' files.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from privsynth.cli.console import Console
from privsynth.cli.options import NewFolder, PolicyName, SigningKey
from privsynth.cli.trusting import Trust, signatures
from privsynth.errors import InputError


def refresh(
    context: typer.Context,
    table: Annotated[Path, typer.Argument(help="The private table as it is now: CSV or Parquet.")],
    previous: Annotated[Path, typer.Option(help="The folder of the earlier release; its public files alone are read.")],
    policy: PolicyName,
    out: NewFolder,
    key: SigningKey,
    schema: Annotated[
        Path | None, typer.Option(help="The schema, where it changed; default: the earlier release's.")
    ] = None,
    mapping: Annotated[
        Path | None,
        typer.Option("--map", help='A TOML file: old = "new" columns, and [column] old labels to new ones.'),
    ] = None,
    trust: Trust = None,
    ledger: Annotated[Path | None, typer.Option(help="The ledger that the earlier release was paid from.")] = None,
) -> None:
    """Make the next release of a population: test for drift, measure anew what moved, keep the rest."""
    from privsynth import api, refreshing
    from privsynth.answering.contradictions import spoken
    from privsynth.refreshing import changes

    console: Console = context.obj
    said, signed = signatures([previous], trust)
    with api.existing_ledger(ledger) as held, console.progress():
        made = refreshing.refresh(
            table,
            previous=previous,
            policy=policy,
            key=key,
            out=out,
            ledger=held,
            schema=schema,
            map=None if mapping is None else _read(mapping),
        )
    if made.folder is None or made.predicate is None:
        charge = (
            "nothing was charged this time: the drift test's answers were there from an earlier run"
            if made.again
            else "the drift test alone was charged"
        )
        lines = [f"nothing moved that can be told: no release was made, and {charge}"]
    else:
        promise = made.predicate["guarantee"]
        lines = [
            f"released: {made.folder}",
            f"  epsilon {promise['epsilon']} at delta {promise['delta']} for each {promise['unit']['name']} at the most; "
            f"charged: rho {made.predicate['refresh']['chargedRho']} of {promise['rho']}",
            f"  report: {made.folder / 'report.html'}",
        ]
    found = {"folder": None if made.folder is None else str(made.folder), "predicate": made.predicate}
    against = [] if made.predicate is None else spoken(made.predicate["limitations"])
    lines += [*changes.lines(made.changes), *against, *signed]
    console.result(
        {**found, "changes": made.changes, "chargedBefore": made.again, "contradictions": against, **said}, lines
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise InputError(
            f'map {path}: expected a TOML file with old = "new" and tables of labels ({problem})'
        ) from None
