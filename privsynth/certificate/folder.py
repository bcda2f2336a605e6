"""A release folder's files: which there are, what they may be called, and their digests.

Must never follow a link, leave the folder, or pass over a file.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from privsynth.errors import SubjectMismatch

CERTIFICATE: Final = "certificate.json"
MAX_FILES: Final = 10_000
MAX_DEPTH: Final = 8
_PART: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_CHUNK: Final = 1 << 20


def require_name(name: str) -> str:
    """Return a subject's name when it is a plain relative one; SubjectMismatch otherwise.

    Letters, digits, dot, dash and underscore are all: no "..", no absolute name, nothing that Unicode writes two ways.
    """
    parts = name.split("/")
    if not all(_PART.fullmatch(part) for part in parts) or ".." in name or len(parts) > MAX_DEPTH:
        raise SubjectMismatch(
            f"{_quoted(name)} is no name for a file of a release: letters, digits, dot, dash and underscore, not beginning "
            "with a mark; rename it"
        )
    if "internal" in parts:
        raise SubjectMismatch(f"{_quoted(name)} is internal and must never be part of a release; move it away")
    if name == CERTIFICATE:
        raise SubjectMismatch(f"{CERTIFICATE} cannot be a subject of itself")
    return name


def names(folder: Path) -> list[str]:
    """Every file of a release but its certificate, sorted; SubjectMismatch for links, devices and names that must not be."""
    if folder.is_symlink() or not folder.is_dir():
        raise SubjectMismatch(f'"{folder}" is no folder; name the release\'s own folder, not a link to it')
    found = []
    for name in _walk(folder, ""):
        if name != CERTIFICATE:
            found.append(require_name(name))
        if len(found) > MAX_FILES:
            raise SubjectMismatch(f"a release has at most {MAX_FILES} files")
    return sorted(found)


def _walk(folder: Path, prefix: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if not (entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False)):
                raise SubjectMismatch(f"{_quoted(name)} is a link or a device; a release holds plain files only")
            if entry.is_dir(follow_symlinks=False):
                require_name(name)
                yield from _walk(folder / entry.name, f"{name}/")
            else:
                yield name


def digest(path: Path) -> str:
    """SHA-256 of a plain file, read in pieces; SubjectMismatch when it cannot be read or is a link."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise SubjectMismatch(f"{_quoted(path.name)} is no plain file")
            hasher = hashlib.sha256()
            while piece := stream.read(_CHUNK):
                hasher.update(piece)
    except OSError as failure:
        raise SubjectMismatch(f"{_quoted(path.name)} cannot be read: {failure.strerror}") from None
    return hasher.hexdigest()


def digests(folder: Path) -> dict[str, str]:
    """Name and SHA-256 of every file of a release but its certificate: the subjects of its statement."""
    return {name: digest(folder / name) for name in names(folder)}


def _quoted(name: str) -> str:
    return ascii(name[:200])
