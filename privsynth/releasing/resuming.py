"""A fit for exploring that outlives its process: begun in a folder, gone on with there, and finished once.

Must never draw twice what was drawn in the same folder: a fit that is done is read, and one that was killed goes on.
"""

from __future__ import annotations

from pathlib import Path

from privsynth.certificate.places import require_outside
from privsynth.errors import OutputError
from privsynth.fitting import FitPlan, fingerprint, measure, split
from privsynth.measurement import Transcript
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.private import Private
from privsynth.records import Records
from privsynth.releasing.journal import FolderJournal, remove_journal
from privsynth.releasing.one_table import measurements_from_files, measurements_to_files
from privsynth.releasing.workspace import Seeds, Workspace
from privsynth.schema import Schema


def fit_in(
    folder: Path, table: Private[Records], plan: FitPlan, noise: AbstractNoiseSource, *, terms: str
) -> tuple[Schema, Transcript]:
    """The completed schema and the transcript of a fit that keeps its place in a folder.

    Privacy: what the folder holds is answered from there at no further cost; the rest is drawn under the same budget, gradient
        steps that were lost stay spent. The folder is closed to others (mode 0700) and holds the key that bounds people's rows.
    Args: `terms` is a digest of everything public that was agreed on.
    Raises: OutputError when the folder is at work, damaged, in a release's, or holds another fit;
        RefusedError when an answer was lost.
    """
    require_outside(folder)
    workspace = Workspace(folder, folder=folder)
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise OutputError(f"{folder} is not a folder; choose another one to resume from")
    with workspace.locked():
        earlier = workspace.state()
        seeds = earlier[2] if earlier else Seeds(bound=noise.key(), holdout=noise.key(), sample=noise.key())
        about = f"{terms} {fingerprint(table, seeds.bound)}"
        if earlier is None:
            workspace.start("", about, seeds)
        elif earlier[1] != about:
            raise OutputError(f"{folder} holds a fit of another table, or with other arguments; choose another folder")
        kept = workspace.measurements(measurements_from_files)
        if kept is None:
            bounded, _ = split(table, plan.unit, 0.0, bound_key=seeds.bound, holdout_key=seeds.holdout)
            begun = FolderJournal.begun_in(workspace.journal)
            journal = (FolderJournal.resume if begun else FolderJournal.start)(workspace.journal, plan)
            kept = measure(bounded, plan, noise, journal)
            workspace.save_measurements(*measurements_to_files(kept))
        remove_journal(workspace.journal)
        return kept
