"""`privsynth ledger show | verify`.

Must never change the ledger.
"""

from __future__ import annotations

import typer

from privsynth.cli.console import Console
from privsynth.cli.options import LedgerFile


def show(context: typer.Context, ledger: LedgerFile = None) -> None:
    """Show what each population has spent and what it may spend."""
    from privsynth import api, ledger_view

    console: Console = context.obj
    with api.existing_ledger(ledger) as book:
        console.result(ledger_view.to_json(book), ledger_view.lines(book))


def verify_ledger(context: typer.Context, ledger: LedgerFile = None) -> None:
    """Replay every entry: hash chain, rules, caps, and the checkpoint."""
    from privsynth import api

    console: Console = context.obj
    with api.existing_ledger(ledger) as book:
        book.verify()
        head = book.head()
    console.result(
        {"verified": True, "sequence": head.sequence, "head": head.digest},
        [f"the ledger is whole: {head.sequence} entries, head {head.digest[:16]}"],
    )
