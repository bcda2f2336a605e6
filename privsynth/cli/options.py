"""Options that several verbs take, each worded once.

Must never hold a default: which option may be left out, and what then, is each verb's own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

SchemaFile: TypeAlias = Annotated[Path, typer.Option(help="The schema, a TOML file.")]
AnySchemaFile: TypeAlias = Annotated[
    Path, typer.Option(help="The schema, a TOML file; with [database], of several tables.")
]
PolicyName: TypeAlias = Annotated[str, typer.Option(help="A policy file, or the name of a shipped one.")]
OtherGenerator: TypeAlias = Annotated[str | None, typer.Option(help="Another generator than the policy's default.")]
LedgerFile: TypeAlias = Annotated[
    Path | None, typer.Option(help="The ledger; default: PRIVSYNTH_LEDGER or the user's own.")
]

NewFolder: TypeAlias = Annotated[Path, typer.Option(help="The folder to make; it must not exist.")]
SigningKey: TypeAlias = Annotated[Path, typer.Option(help="The signing key, made by `privsynth keys new`.")]

Target: TypeAlias = Annotated[
    str | None, typer.Option(help="The column to be predicted; default: what [use] of the schema declares.")
]
Outcome: TypeAlias = Annotated[
    list[str] | None, typer.Option(help="A label of the target that counts as the outcome; may be repeated.")
]
MinCell: TypeAlias = Annotated[
    int, typer.Option(min=1, help="The policy's cell-size rule: no count of fewer real people is listed.")
]
