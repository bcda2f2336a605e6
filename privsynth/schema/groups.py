"""Groups: a hierarchy of a category's labels, in which every label has exactly one parent.

Must never be guessed from labels or counts: it is declared, or belongs to a published code list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, PlainSerializer

from privsynth.schema import labels

_QUOTED = 5
"""How many labels a message quotes."""


def _pairs(value: object) -> object:
    """Turn a table of lists into pairs, all in alphabetical order, so that the order of writing says nothing."""
    if not isinstance(value, Mapping):
        raise ValueError('expected a table such as { north = ["a", "b"], south = ["c"] }')
    found: list[tuple[str, tuple[str, ...]]] = []
    for name, inner in value.items():
        if not isinstance(inner, list | tuple) or not all(isinstance(label, str) for label in inner):
            raise ValueError(f"{name!r} expects a list of labels in quotes")
        found.append((name, tuple(sorted(inner))))
    return tuple(sorted(found))


def _table(groups: Sequence[tuple[str, Sequence[str]]]) -> dict[str, list[str]]:
    return {name: list(inner) for name, inner in groups}


Groups: TypeAlias = Annotated[
    tuple[tuple[str, tuple[str, ...]], ...], BeforeValidator(_pairs), PlainSerializer(_table, return_type=dict)
]
"""Names of groups with their labels, in alphabetical order; written in TOML as a table: { north = ["a", "b"], ... }."""


def problem(groups: Groups, known: Sequence[str]) -> str | None:
    """Say why these groups do not hold each of the known labels exactly once, or return None when they do."""
    place = set(known)
    home: dict[str, str] = {}
    for name, inner in groups:
        if (found := labels.problem(name)) is not None:
            return f"groups: the name {name!r} {found}"
        if not inner:
            return f"groups: {name!r} holds no label; remove it"
        for label in inner:
            if label not in place:
                return f"groups: {name!r} names {label!r}, which is none of the labels; correct it, or add it to values"
            if label in home:
                return f"groups: {label!r} stands in {home[label]!r} and in {name!r}; every label has one group"
            home[label] = name
    left = [label for label in known if label not in home]
    if left:
        some = ", ".join(map(repr, left[:_QUOTED])) + (", ..." if len(left) > _QUOTED else "")
        return f"groups: {len(left)} labels are in none ({some}); give each of them one, or a group of their own"
    return None


def parents(groups: Groups, known: Sequence[str]) -> tuple[int, ...]:
    """The position of every label's group. Shapes: (labels,)."""
    home = {label: index for index, (_, inner) in enumerate(groups) for label in inner}
    return tuple(home[label] for label in known)
