"""`privsynth verify`: check a release folder offline.

Must never say that a folder is good unless every file, every signature and every date was checked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from privsynth.cli.console import Console


def verify(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="The release folder.")],
    trust: Annotated[Path, typer.Option(help="The trust store: which keys you trust, a TOML file.")],
    role: Annotated[
        list[str] | None, typer.Option(help="A role that must have signed; may be given several times.")
    ] = None,
) -> None:
    """Verify a release offline: signature, trusted key, every file, dates. Exit code 0, or 5 with the reason."""
    from privsynth import api

    console: Console = context.obj
    verified = api.verify(folder, trust=trust, roles=role or ())
    promise = verified.predicate["guarantee"]
    lines = [
        f"verified: {folder}",
        f"  signed by {', '.join(signer.role for signer in verified.signers)}",
        f"  epsilon {promise['epsilon']} at delta {promise['delta']} for each {promise['unit']['name']}",
        f"  audit: {verified.predicate['audit']['verdict']}; valid until {verified.predicate['expiresAt']}",
    ]
    console.result({"verified": True, "predicate": verified.predicate}, lines)
