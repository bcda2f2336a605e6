"""A release's workspace: what must survive a crash, what may not leave, and the one rename that publishes.

Must never leave a half-written file under a final name, and must never overwrite anything.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, final

from privsynth.certificate.places import INTERNAL_ENDING, NOTICE, require_publishable
from privsynth.errors import FitError, OutputError
from privsynth.releasing.durably import sync_folder, write_durably
from privsynth.transcript_files import Arrays, arrays_from_bytes, arrays_to_bytes

_Kept = TypeVar("_Kept")

_STATE = "state.json"
_LOCK = "lock"
MEASUREMENTS = "measurements.json"
HALF_COPY = "half-copy.json"
_JOURNAL = "journal"
_NOTICE = """INTERNAL: computed on real records; never release.
This folder holds secret keys (which of the real records were used and held out), the answers as they were measured and,
when it was attacked, what the attacks found about real people. Keep it where the real table is kept.
It may be deleted when what it is of is done: a release is published, a fit has given its model. Before that, the same
command goes on from here at no further cost; without the folder, what was spent stays spent.
"""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Seeds:
    """Secret keys of one release: which rows and units are drawn, and how the release is sampled. Never published."""

    bound: bytes
    holdout: bytes
    sample: bytes

    @classmethod
    def from_hex(cls, value: Mapping[str, str]) -> Seeds:
        """Read what `hex` wrote."""
        return cls(**{name: bytes.fromhex(text) for name, text in value.items()})

    def hex(self) -> dict[str, str]:
        """As a JSON object, for the internal state file."""
        return {"bound": self.bound.hex(), "holdout": self.holdout.hex(), "sample": self.sample.hex()}


@final
class Workspace:
    """The folder `<out>.internal` (mode 0700) beside a release that is being made, and the release's final place.

    It holds the state (release id, keys), the measurements as soon as they are drawn, the candidate's files until they are
    published, and the audit's internal findings. It is not part of the release and may not leave.
    """

    def __init__(self, out: Path, folder: Path | None = None) -> None:
        self.out = out
        self.folder = folder or out.with_name(out.name + INTERNAL_ENDING)
        self.candidate = self.folder / "candidate"
        self.refused = out.with_name(out.name + ".refused")

    def require_free(self) -> None:
        """Refuse an output folder that exists, or whose parent cannot be written; nothing is ever overwritten."""
        if self.out.exists() or self.out.is_symlink():
            raise OutputError(f"{self.out} exists; choose a new folder for --out, nothing is overwritten")
        require_publishable(self.out)
        parent = self.out.resolve().parent
        if not parent.is_dir() or not os.access(parent, os.W_OK):
            raise OutputError(f"{parent} is not a folder that can be written; create it or choose another --out")
        if self.refused.exists() or self.refused.is_symlink():
            raise OutputError(
                f"{self.refused} exists, from a refused attempt; choose a new --out, or keep it elsewhere"
            )
        if self.folder.is_symlink():
            raise OutputError(f"{self.folder} is a link; remove it, private state is kept in real folders only")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other process out of this place inside the block.

        Raises: OutputError when another process is at work here.
        """
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            self.folder.chmod(0o700)
            descriptor = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as failure:
            raise OutputError(f"{self.folder} cannot be made ({failure.strerror}); choose another --out") from None
        try:
            self._take(descriptor)
            try:
                if not (self.folder / NOTICE).exists():
                    self.write(NOTICE, _NOTICE.encode())
                yield
            finally:
                if not (self.folder / _STATE).exists():  # nothing was started: leave no trace
                    (self.folder / _LOCK).unlink(missing_ok=True)
                    (self.folder / NOTICE).unlink(missing_ok=True)
                    with suppress(OSError):
                        self.folder.rmdir()
        finally:
            os.close(descriptor)

    def _take(self, descriptor: int) -> None:
        """Lock the file, and make sure that it is still the one under its name."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            current = os.fstat(descriptor).st_ino == (self.folder / _LOCK).stat().st_ino
        except (BlockingIOError, FileNotFoundError):
            current = False
        if not current:
            raise OutputError(f"another process is making {self.out}; wait for it, or choose another --out")

    def state(self) -> tuple[str, str, Seeds] | None:
        """(release id, terms digest, keys) of an earlier attempt in this place, or None."""
        path = self.folder / _STATE
        if not path.exists():
            return None
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            return value["releaseId"], value["terms"], Seeds.from_hex(value["keys"])
        except (OSError, ValueError, KeyError, TypeError):
            raise OutputError(f"{path} is damaged; move {self.folder} away and start again in a new --out") from None

    def start(self, release_id: str, terms: str, seeds: Seeds) -> None:
        """Record the state durably, before anything is begun."""
        self.write(_STATE, json.dumps({"releaseId": release_id, "terms": terms, "keys": seeds.hex()}).encode())

    def save_measurements(self, document: Mapping[str, object], arrays: Arrays, name: str = MEASUREMENTS) -> None:
        """Make the noisy answers durable, arrays before the file that names them: from here on a crash costs nothing."""
        if arrays:
            self.write(_arrays_of(name), arrays_to_bytes(arrays))
            document = {**document, "arrays": _arrays_of(name)}
        self.write(name, json.dumps(document).encode())

    def measurements(
        self, read: Callable[[Mapping[str, Any], Arrays], _Kept], name: str = MEASUREMENTS
    ) -> _Kept | None:
        """The noisy answers of an earlier attempt, as `read` makes them of the document and arrays that were saved, or None."""
        path = self.folder / name
        if not path.exists():
            return None
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            stored = (self.folder / _arrays_of(name)).read_bytes() if "arrays" in document else None
            return read(document, {} if stored is None else arrays_from_bytes(stored))
        except (OSError, ValueError, KeyError, TypeError, FitError):
            raise OutputError(f"{path} is damaged; its budget is spent: run again in a new --out") from None

    @property
    def journal(self) -> Path:
        """The folder of the journal of a training; see `journal.FolderJournal`."""
        return self.folder / _JOURNAL

    def write(self, name: str, content: bytes) -> Path:
        """Write a file of the workspace so that it is whole under its name, or absent. Mode 0600."""
        return write_durably(self.folder / name, content)

    def write_candidate(self, name: str, content: bytes) -> Path:
        """Write a file of the release that is being made; `name` may lie in a folder of it."""
        self.candidate.mkdir(mode=0o700, exist_ok=True)
        folder = (self.candidate / name).parent
        if folder != self.candidate:
            folder.mkdir(mode=0o700, exist_ok=True)
            sync_folder(self.candidate)
        return write_durably(self.candidate / name, content)

    def clear_candidate(self) -> None:
        """Remove the files of an unfinished candidate."""
        if self.candidate.exists():
            for path in self.candidate.iterdir():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()

    def publish(self) -> None:
        """Give the finished candidate its final name, in one rename."""
        self.candidate.chmod(0o755)
        for path in self.candidate.rglob("*"):
            path.chmod(0o755 if path.is_dir() or path.suffix == ".sh" else 0o644)
        self.candidate.rename(self.out)
        sync_folder(self.out.resolve().parent)


def _arrays_of(name: str) -> str:
    return f"{Path(name).stem}.safetensors"
