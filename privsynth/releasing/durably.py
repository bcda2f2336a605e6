"""Files that are whole under their name or absent, on disk when the call returns.

Must never leave a half-written file under a final name, nor one that others may read.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from privsynth.errors import OutputError


def write_durably(path: Path, content: bytes) -> Path:
    """Write, flush to disk, then rename into place.

    Raises: OutputError when the disk is full or the folder cannot be written; nothing is left under `path`.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as failure:
        reason = "the disk is full" if failure.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG} else failure.strerror
        raise OutputError(
            f"{path.name} could not be written to {path.parent}: {reason}; free space or permissions and run the same "
            "command again: what was measured is kept, and nothing is spent twice"
        ) from None
    return path


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
