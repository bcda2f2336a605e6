"""The tree of commands and the options that all of them share.

Must never import a verb's machinery before that verb is called.
"""

from __future__ import annotations

from typing import Annotated

import typer

from privsynth import __version__
from privsynth.cli import (
    answer,
    audit,
    augment,
    draft,
    evaluate,
    imagine,
    keys,
    ledger,
    policy,
    quote,
    refresh,
    release,
    scale,
    verify,
)
from privsynth.cli.console import Console

app = typer.Typer(
    name="privsynth",
    help=(
        "Differentially private synthetic tables: released under a policy, attacked before they leave, certified.\n\n"
        "Exit codes: 0 done, 1 unexpected failure, 2 bad input, 3 refused by policy or budget, 4 failed audit, "
        "5 failed verification."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
ledger_app = typer.Typer(help="What was spent, on which population.", no_args_is_help=True, rich_markup_mode=None)
policy_app = typer.Typer(help="Read and compare policy files.", no_args_is_help=True, rich_markup_mode=None)
keys_app = typer.Typer(help="Signing keys.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(ledger_app, name="ledger")
app.add_typer(policy_app, name="policy")
app.add_typer(keys_app, name="keys")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"privsynth {__version__}")
        raise typer.Exit


@app.callback()
def shared(
    context: typer.Context,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but results and errors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")] = False,
    shown: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Read the options that all commands share."""
    if not shown:
        context.obj = Console(quiet=quiet, as_json=as_json)


app.command()(draft.draft)
app.command()(quote.quote)
app.command()(release.release)
app.command()(refresh.refresh)
app.command()(audit.audit)
app.command()(augment.augment)
app.command()(evaluate.evaluate)
app.command()(imagine.imagine)
app.command()(scale.scale)
app.command()(verify.verify)
app.command()(answer.answer)
ledger_app.command()(ledger.show)
ledger_app.command("verify")(ledger.verify_ledger)
policy_app.command()(policy.check)
policy_app.command()(policy.diff)
keys_app.command()(keys.new)
