"""How much the core installs: the files of privsynth's required distributions, and of theirs."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator

from tests.bench.row import Row


def closure(name: str) -> set[str]:
    """The distributions that installing one brings along; those of extras and of other platforms are left out."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        one = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if one in found:
            continue
        try:
            needs = importlib.metadata.requires(one) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        found.add(one)
        waiting += [re.match(r"[\w.-]+", need).group() for need in needs if "extra ==" not in need]
    return found


def megabytes(name: str) -> float:
    """Size of a distribution's files on disk, compiled ones included."""
    files = importlib.metadata.files(name) or []
    return sum(path.stat().st_size for path in (file.locate() for file in files) if path.exists()) / 2**20


def rows() -> Iterator[Row]:
    """The core's size."""
    yield Row(name="core install", value=sum(map(megabytes, closure("privsynth"))), unit="MB", target="<= 300")
