"""Code lists: named, public lists of labels that ship with privsynth, one file each, and how raw codes map onto them.

Must never be extended from a table: a code that a list does not know is outside the domain.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.errors import SchemaError

_FOLDER = Path(__file__).parent
_CODE = re.compile(r"([A-Za-z]*)(\d+)(?:\..*)?")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRange:
    """Codes with one letter prefix ("" for none) and a category number from `first` to `last`, both included."""

    prefix: str
    first: int
    last: int
    label: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CodeList:
    """Labels, and for lists of chapters the ranges of raw codes that belong to each.

    `groups` are the names of a published hierarchy's groups with their labels, in alphabetical order; empty without one.

    A label stands for itself, so a table that holds labels already can be read with the same list.
    """

    name: str
    title: str
    source: str
    labels: tuple[str, ...]
    ranges: tuple[CodeRange, ...]
    groups: tuple[tuple[str, tuple[str, ...]], ...]

    def find(self, codes: list[str]) -> npt.NDArray[np.int64]:
        """Return the index of each code's label, -1 where the list does not know the code. Shapes: (len(codes),)."""
        exact = {label: index for index, label in enumerate(self.labels)}
        found = np.full(len(codes), -1, dtype=np.int64)
        for row, code in enumerate(codes):
            index = exact.get(code)
            found[row] = self._in_ranges(code) if index is None else index
        return found

    def _in_ranges(self, code: str) -> int:
        match = _CODE.fullmatch(code)
        if match is None or not self.ranges:
            return -1
        prefix, number = match.group(1).upper(), match.group(2)
        if len(number) > 9:
            return -1
        for one in self.ranges:
            if one.prefix == prefix and one.first <= int(number) <= one.last:
                return one.label
        return -1


@cache
def names() -> tuple[str, ...]:
    """The names of the lists that ship, in alphabetical order."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


@cache
def load(name: str) -> CodeList:
    """Read a list by its name; SchemaError when there is none of that name."""
    if name not in names():
        raise SchemaError(f"there is no code list {name!r}; there are {', '.join(names())}")
    document = tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    labels = tuple(str(entry["label"]) for entry in document["codes"])
    ranges = tuple(
        _range(text, index) for index, entry in enumerate(document["codes"]) for text in entry.get("ranges", ())
    )
    groups = tuple(sorted((group, tuple(inner)) for group, inner in document.get("groups", {}).items()))
    return CodeList(
        name=name, title=document["title"], source=document["source"], labels=labels, ranges=ranges, groups=groups
    )


def _range(text: str, label: int) -> CodeRange:
    first, _, last = text.partition("-")
    low, high = _CODE.fullmatch(first), _CODE.fullmatch(last or first)
    if low is None or high is None or low.group(1) != high.group(1):
        raise SchemaError(f'code list: "{text}" is no range of codes such as "001-139" or "V01-V91"')
    return CodeRange(prefix=low.group(1), first=int(low.group(2)), last=int(high.group(2)), label=label)
