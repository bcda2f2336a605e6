"""The charged part of a release: begin, draw, make durable; and what is gone on from after a crash.

Must never draw before the ledger and, for a training, its journal are on disk, nor draw again what was lost.
"""

from __future__ import annotations

from privsynth.errors import RefusedError
from privsynth.fitting import measure
from privsynth.measurement import Transcript
from privsynth.privacy.ledger import AbstractLedger, Reservation
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.private import Private
from privsynth.records import Records
from privsynth.releasing.journal import FolderJournal, remove_journal
from privsynth.releasing.terms import Terms
from privsynth.releasing.workspace import Workspace
from privsynth.schema import Schema


def measured(
    fitted_on: Private[Records],
    agreed: Terms,
    workspace: Workspace,
    ledger: AbstractLedger,
    reservation: Reservation,
    noise: AbstractNoiseSource,
) -> tuple[Schema, Transcript]:
    """Charge, draw, and make the answers durable; after a crash, go on from them or from the training's journal, or forfeit.

    Privacy: `begin` is durable before the first draw. Answers that were lost in a crash are never drawn again under the
        same charge: the attempt is forfeited. A training writes a journal of what it asked and of the steps it claimed, which
        is there before `begin`: gradient steps that were lost stay spent, and the others go on under the same charge.
    """
    kept = workspace.measurements() if reservation.state == "begun" else None
    if kept is None:
        journal = _journal(agreed, workspace, ledger, reservation)
        kept = measure(fitted_on, agreed.fit, noise, journal)
        workspace.save_measurements(*kept)
    remove_journal(workspace.journal)
    return kept


def _journal(
    agreed: Terms, workspace: Workspace, ledger: AbstractLedger, reservation: Reservation
) -> FolderJournal | None:
    """Begin a release, or go on with one that has begun: the journal of its training, if it trains."""
    trains = agreed.fit.budget.training is not None
    if reservation.state == "begun":
        if not trains or not FolderJournal.begun_in(workspace.journal):
            ledger.forfeit(reservation, reason="cut off before its measurements were safe")
            raise RefusedError(
                "an earlier attempt was cut off while it measured: its budget is spent, its answers are lost, and it counts "
                "as an attempt. Where the policy allows another one, choose a new --out"
            )
        return FolderJournal.resume(workspace.journal, agreed.fit)
    remove_journal(workspace.journal)
    journal = FolderJournal.start(workspace.journal, agreed.fit) if trains else None
    ledger.begin(reservation)
    return journal
