"""`privsynth policy check | diff`.

Must never touch a table or a ledger.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from privsynth.cli.console import Console


def check(
    context: typer.Context,
    policy: Annotated[str, typer.Argument(help="A policy file, or the name of a shipped one.")],
    schema: Annotated[Path | None, typer.Option(help="A schema to check against the policy.")] = None,
) -> None:
    """Read a policy, say in plain words what it allows, and check a schema against it."""
    from privsynth import choosing
    from privsynth.database import either
    from privsynth.errors import PolicyRefusal
    from privsynth.policy import Policy

    console: Console = context.obj
    read = Policy.load(policy)
    described = either.load(schema) if schema is not None else None
    checks = read.check_described(described) if described is not None else ()
    rows = [{"rule": c.rule, "citation": c.citation, "result": c.result, "detail": c.detail} for c in checks]
    lines = [
        read.describe(described, one_table_only=choosing.DEEP),
        *(f"{row['result']:<15} {row['rule']} ({row['citation']}): {row['detail']}" for row in rows),
    ]
    console.result({"policy": read.name, "digest": read.digest, "checks": rows}, lines)
    read.require_current(datetime.now(UTC).date())
    if any(check.result == "fail" for check in checks):
        raise PolicyRefusal("the schema does not meet the policy; see the rows marked fail")


def diff(
    context: typer.Context,
    first: Annotated[str, typer.Argument(help="A policy file or name.")],
    second: Annotated[str, typer.Argument(help="Another one.")],
) -> None:
    """Say what the second policy tightens, loosens or changes against the first."""
    from privsynth.policy import Policy

    console: Console = context.obj
    lines = Policy.load(first).diff(Policy.load(second))
    console.result({"differences": lines}, lines or ["the two policies say the same"])
