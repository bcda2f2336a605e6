"""A journal in a folder: what a fit has learned and claimed outlives the process, and is on disk before it counts.

Must never take back a claim or change an answer that was recorded; what is damaged is not gone on from.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, final

import numpy as np

import privsynth
from privsynth.errors import FitError, OutputError
from privsynth.fitting import FitPlan
from privsynth.measurement import Entry
from privsynth.privacy.journal import AbstractJournal, Kept, question_of
from privsynth.releasing.durably import sync_folder, write_durably
from privsynth.transcript_files import arrays_from_bytes, arrays_to_bytes, transcript_from_files, transcript_to_files

FORMAT: Final = "privsynth-journal/1"
_DOCUMENT, _STATE = "journal.json", "state.safetensors"
_STEP, _PART = "step", "state/"


@final
class FolderJournal(AbstractJournal):
    """A journal of files with mode 0600 in a folder with mode 0700, every one of them written in full or not at all.

    `journal.json` says which questions were begun and how many steps are claimed, `answer-N.json` what was answered, and
    `state.safetensors` holds the last state and its step.
    """

    def __init__(self, folder: Path, document: dict[str, Any]) -> None:
        super().__init__()
        self._folder = folder
        self._document = document
        self._kept = _kept(folder, self.claimed)

    @classmethod
    def begun_in(cls, folder: Path) -> bool:
        """Whether there is a journal in this place."""
        return (folder / _DOCUMENT).exists()

    @classmethod
    def start(cls, folder: Path, plan: FitPlan) -> FolderJournal:
        """Make a journal for a fit of which nothing was drawn yet."""
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            sync_folder(folder.parent)
        except OSError as failure:
            raise OutputError(f"{folder} cannot be made ({failure.strerror}); choose another place") from None
        journal = cls(folder, _document(plan))
        journal._write()
        return journal

    @classmethod
    def resume(cls, folder: Path, plan: FitPlan) -> FolderJournal:
        """Open the journal of a fit that was killed.

        Raises: OutputError when it is damaged, or was begun by another version or with another plan: nothing is lost by it.
        """
        try:
            document = json.loads((folder / _DOCUMENT).read_text(encoding="utf-8"))
            begun, claimed, version = document["begun"], document["claimed"], document["version"]
            sound = document["format"] == FORMAT and type(claimed) is int and claimed >= 0
            sound = sound and isinstance(begun, list) and all(isinstance(each, str) for each in begun)
        except (OSError, ValueError, KeyError, TypeError):
            sound = False
        if not sound:
            raise _damaged(folder)
        if version != privsynth.__version__:
            raise OutputError(
                f"{folder} was begun by privsynth {version} and this is {privsynth.__version__}; go on with the version that "
                "began it, or start again in a new place (what was spent here stays spent)"
            )
        if document["plan"] != _document(plan)["plan"]:
            raise OutputError(
                f"{folder} belongs to a fit with another budget, unit or schedule, or accounted for by another version of "
                "dp-accounting; go on as it was begun, or start again in a new place (what was spent here stays spent)"
            )
        return cls(folder, document)

    @property
    def begun(self) -> tuple[str, ...]:
        """The questions that were begun, in order."""
        return tuple(self._document["begun"])

    def begin(self, question: str) -> None:
        """Write down the question."""
        self._document["begun"].append(question)
        self._write()

    def answer(self, number: int) -> tuple[Entry, ...] | None:
        """Read an answer, if there is one."""
        path = self._answer(number)
        if not path.exists():
            return None
        try:
            return transcript_from_files(json.loads(path.read_text(encoding="utf-8")), {})
        except (OSError, ValueError, KeyError, TypeError, FitError):
            raise _damaged(path) from None

    def record(self, number: int, entries: Sequence[Entry]) -> None:
        """Write an answer; arrays have no place in one."""
        documents, _ = transcript_to_files(tuple(entries))
        write_durably(self._answer(number), json.dumps(documents).encode())

    @property
    def claimed(self) -> int:
        """Steps that are spent."""
        return int(self._document["claimed"])

    def claim(self, steps: int) -> None:
        """Write down the claim; a smaller one than before changes nothing."""
        self._document["claimed"] = max(steps, self.claimed)
        self._write()

    @property
    def kept(self) -> Kept | None:
        """The last state."""
        return self._kept

    def keep(self, kept: Kept) -> None:
        """Write the state in place of the one before."""
        arrays = {_PART + name: array for name, array in kept.state.items()}
        write_durably(self._folder / _STATE, arrays_to_bytes({**arrays, _STEP: np.array(kept.step, dtype=np.int64)}))
        self._kept = kept

    def _write(self) -> None:
        write_durably(self._folder / _DOCUMENT, json.dumps(self._document).encode())

    def _answer(self, number: int) -> Path:
        return self._folder / f"answer-{number}.json"


def remove_journal(folder: Path) -> None:
    """Remove a journal that has served, once what it led to is safe."""
    if folder.is_dir() and not folder.is_symlink():
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def _document(plan: FitPlan) -> dict[str, Any]:
    """A journal in which nothing was done yet. The plan is known again by a digest of all that decides what noise is drawn."""
    budget, unit = plan.budget, plan.unit
    of_training: tuple[object, ...] = ()
    if budget.training is not None:
        training = budget.training
        of_training = (training.sampling_rate, training.steps, training.noise_multiplier)
    known = (budget.rho, budget.purchase_rho, budget.purchase_delta, budget.composition, *of_training)
    about = (plan.generator.name, unit.name, unit.column, unit.max_rows, unit.relation.value)
    return {
        "format": FORMAT,
        "version": privsynth.__version__,
        "plan": question_of("plan", *known, *about),
        "begun": [],
        "claimed": 0,
    }


def _kept(folder: Path, claimed: int) -> Kept | None:
    path = folder / _STATE
    if not path.exists():
        return None
    try:
        arrays = arrays_from_bytes(path.read_bytes())
        step = int(arrays.pop(_STEP))
    except (OSError, KeyError, TypeError, ValueError, FitError):
        raise _damaged(path) from None
    if not 0 <= step <= claimed:
        raise _damaged(path)
    return Kept(step=step, state={name.removeprefix(_PART): array for name, array in arrays.items()})


def _damaged(path: Path) -> OutputError:
    return OutputError(f"{path} is damaged; what was spent here stays spent: start again in a new place")
