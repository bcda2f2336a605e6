"""`privsynth audit`: attack a synthetic table, anybody's.

Must never write what the attacks found on real records anywhere but where --internal says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from privsynth.cli.console import Console


def audit(
    context: typer.Context,
    synthetic: Annotated[Path, typer.Option(help="The synthetic table.")],
    training: Annotated[Path, typer.Option(help="The real table that it was made from.")],
    holdout: Annotated[Path, typer.Option(help="Real records of the same population that were not used.")],
    schema: Annotated[Path, typer.Option(help="The schema of all three, a TOML file.")],
    plan: Annotated[str, typer.Option(help="An audit plan file, or the name of a shipped one.")] = "standard",
    out: Annotated[Path | None, typer.Option(help="Where to write the reasons when the verdict is not PASS.")] = None,
    internal: Annotated[
        Path | None, typer.Option(help="Where to write the figures on real records (mode 0600).")
    ] = None,
) -> None:
    """Attack a synthetic table and say PASS, FAIL or INCONCLUSIVE, with the leak that would have been seen."""
    from privsynth import api
    from privsynth.auditing import AuditPlan
    from privsynth.errors import AuditFailed
    from privsynth.releasing import files as release_files
    from privsynth.releasing.workspace import Workspace, write_durably

    console: Console = context.obj
    agreed = AuditPlan.load(plan)
    if out is not None:
        Workspace(out).require_free()
    with console.progress():
        findings = api.audit(
            synthetic=synthetic,
            training=training,
            holdout=holdout,
            schema=schema,
            plan=agreed,
            rng=agreed.rng(),
        )
    if internal is not None:
        write_durably(internal, json.dumps(findings.internal(), indent=2).encode())
    console.result({"verdict": findings.verdict, "rows": findings.public()}, _lines(findings.public()))
    if findings.verdict != "PASS":
        if out is not None:
            release_files.write_refusal(out, release_files.reasons(findings), findings.public(), synthetic.name)
        raise AuditFailed(f"the audit's verdict is {findings.verdict}: do not release this table")


def _lines(rows: Sequence[Mapping[str, object]]) -> list[str]:
    return [f"{row['verdict']:<12} {row['check']}: {row['meaning']}" for row in rows]
