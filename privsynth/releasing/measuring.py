"""The charged part of a release: begin, draw, make durable; and what is gone on from after a crash.

Must never draw before the ledger and, for a training, its journal are on disk, nor draw again what was lost.
"""

from __future__ import annotations

from privsynth.errors import RefusedError
from privsynth.fitting import FitPlan
from privsynth.privacy.ledger import AbstractLedger, Reservation
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.private import Private
from privsynth.releasing.journal import FolderJournal, remove_journal
from privsynth.releasing.subject import AbstractSubject, Data, Drawn, Fitted, Kept
from privsynth.releasing.workspace import Seeds, Workspace


def measured(
    subject: AbstractSubject[Data, Kept, Fitted, Drawn],
    fitted_on: Private[Data],
    seeds: Seeds,
    workspace: Workspace,
    ledger: AbstractLedger,
    reservation: Reservation,
    noise: AbstractNoiseSource,
) -> Kept:
    """Charge, draw, and make the answers durable; after a crash, go on from them or from the training's journal, or forfeit.

    Privacy: `begin` is durable before the first draw. Answers that were lost in a crash are never drawn again under the
        same charge: the attempt is forfeited. A training writes a journal of what it asked and of the steps it claimed, which
        is there before `begin`: gradient steps that were lost stay spent, and the others go on under the same charge.
    """
    kept = workspace.measurements(subject.from_files) if reservation.state == "begun" else None
    if kept is None:
        journal = _journal(subject.training, workspace, ledger, reservation)
        kept = subject.measure(fitted_on, noise, seeds, journal)
        workspace.save_measurements(*subject.to_files(kept))
    remove_journal(workspace.journal)
    return kept


def _journal(
    training: FitPlan | None, workspace: Workspace, ledger: AbstractLedger, reservation: Reservation
) -> FolderJournal | None:
    """Begin a release, or go on with one that has begun: the journal of its training, if it trains."""
    if reservation.state == "begun":
        if training is None or not FolderJournal.begun_in(workspace.journal):
            ledger.forfeit(reservation, reason="cut off before its measurements were safe")
            raise RefusedError(
                "an earlier attempt was cut off while it measured: its budget is spent, its answers are lost, and it counts "
                "as an attempt. Where the policy allows another one, choose a new --out"
            )
        return FolderJournal.resume(workspace.journal, training)
    remove_journal(workspace.journal)
    journal = None if training is None else FolderJournal.start(workspace.journal, training)
    ledger.begin(reservation)
    return journal
