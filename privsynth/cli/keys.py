"""`privsynth keys new`.

Must never print a private key, nor overwrite one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from privsynth.cli.console import Console


def new(
    context: typer.Context,
    key: Annotated[Path, typer.Argument(help="Where to write the private key (mode 0600); must not exist.")],
    trust: Annotated[Path, typer.Option(help="The trust store that the public key is added to.")],
    role: Annotated[str, typer.Option(help="Whose key it is.")] = "machine",
) -> None:
    """Make an Ed25519 signing key, and add its public half to a trust store."""
    from privsynth.certificate import keys

    console: Console = context.obj
    made = keys.new(key, trust, role)
    console.result(
        {"keyid": made, "key": str(key), "trust": str(trust)}, [f"private key: {key}", f"trusted in: {trust}"]
    )
