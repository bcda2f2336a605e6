"""The ledger's checkpoint: a second place that remembers how far the ledger had come.

Must never go back, and must never be written before the entry that it names is durable.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, final

from privsynth.errors import LedgerError
from privsynth.privacy.ledger_entry import LedgerHead

FORMAT: Final = "privsynth-ledger-checkpoint/1"
_NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "fuse.sshfs", "davfs"}
)


def network_filesystem(path: Path, mounts: str) -> str | None:
    """The type of the network file system that `path` lies on by this mount table (/proc/mounts), or None."""
    best, kind = -1, ""
    for line in mounts.splitlines():
        _, point, fstype, *_ = line.split(" ")
        place = point.encode().decode("unicode_escape")
        if path.is_relative_to(place) and len(place) >= best:
            best, kind = len(place), fstype
    return kind if kind in _NETWORK else None


def prepare_folder(folder: Path) -> None:
    """Make a folder that only its owner may enter, or refuse one that lets others in or lies on a network."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for place in missing:
        sync_folder(place.parent)
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o077:
        raise LedgerError(
            f'ledger folder "{folder}" lets others in (mode {mode:o}); '
            "name a folder of its own that does not exist yet, such as ledger/"
        )
    mounts = Path("/proc/mounts")
    kind = network_filesystem(folder.resolve(), mounts.read_text(errors="replace")) if mounts.exists() else None
    if kind is not None:
        raise LedgerError(f'ledger folder "{folder}" lies on {kind}, where locks cannot be trusted; use a local disk')


def require_private_file(path: Path) -> None:
    """Refuse a file that is a link, is no plain file, or that others may read or write."""
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise LedgerError(f'"{path}" must be a plain file, not a link or a device')
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise LedgerError(f'"{path}" may be read or written by others; run chmod 600 on it')


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def folder_lock(folder: Path, *, timeout_seconds: float) -> Iterator[None]:
    """Hold a folder's advisory lock; LedgerError when another process keeps it past the timeout."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    deadline = time.monotonic() + timeout_seconds
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise LedgerError(
                        f'"{folder}" stayed locked by another process for {timeout_seconds:g} seconds; try again later'
                    ) from None
                time.sleep(0.002)
        yield
    finally:
        os.close(descriptor)


@final
class Checkpoint:
    """One small file, {"format", "sequence", "digest"}, replaced atomically."""

    def __init__(self, path: Path, *, timeout_seconds: float) -> None:
        self.path = path
        self._timeout_seconds = timeout_seconds

    def read(self) -> LedgerHead | None:
        """The last head that was noted, or None when there is no file; LedgerError when it cannot be read."""
        try:
            require_private_file(self.path)
            value = json.loads(self.path.read_bytes())
            if sorted(value) == ["digest", "format", "sequence"] and value["format"] == FORMAT:
                sequence, digest = value["sequence"], value["digest"]
                if type(sequence) is int and sequence >= 0 and isinstance(digest, str):
                    return LedgerHead(sequence=sequence, digest=digest)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            pass
        raise LedgerError(
            f'the ledger\'s checkpoint "{self.path}" is damaged; restore it, or write it anew from the ledger sequence '
            f'and head of the newest certificate: {{"format":"{FORMAT}","sequence":...,"digest":"..."}}'
        )

    def advance(self, head: LedgerHead, contains: Callable[[LedgerHead], bool]) -> None:
        """Note `head`, unless a later one is noted already.

        Raises: LedgerError when what is noted is not in the chain that `contains` knows: the ledger has been forked.
        """
        with folder_lock(self.path.parent, timeout_seconds=self._timeout_seconds):
            noted = self.read()
            if noted is not None and noted.sequence > head.sequence:
                return
            if noted is not None and not contains(noted):
                raise LedgerError(forked(self.path))
            self._write(head)

    def _write(self, head: LedgerHead) -> None:
        text = json.dumps({"format": FORMAT, "sequence": head.sequence, "digest": head.digest}) + "\n"
        draft = self.path.with_name(self.path.name + ".new")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(text.encode("ascii"))
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(self.path)
        sync_folder(self.path.parent)


def forked(path: Path) -> str:
    """What to say when checkpoint and ledger tell different histories."""
    return (
        f'the ledger does not contain the entry that its checkpoint "{path}" names: it is behind (an old copy was '
        "restored) or forked (two copies were spent from); find the copy that went furthest and continue with that one"
    )
