"""A typed view of the certificate's predicate for the report: text, numbers and rows by their path.

Must never fill in what the predicate does not say: a missing claim is an error, not a blank in the report.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import final

from privsynth.errors import ClaimMismatch


@final
class Claims:
    """One object of the predicate; paths are dotted ("guarantee.unit.name").

    Raises: every method raises ClaimMismatch when the predicate does not hold the path, or holds another type.
    """

    __slots__ = ("_value", "_where")

    def __init__(self, value: Mapping[str, object], where: str = "predicate") -> None:
        self._value = value
        self._where = where

    def _find(self, path: str) -> object:
        found: object = self._value
        for key in path.split("."):
            if not isinstance(found, Mapping) or key not in found:
                raise ClaimMismatch(
                    f'{self._where}: expected "{path}", found nothing there; the statement is incomplete'
                )
            found = found[key]
        return found

    def _wrong(self, path: str, expected: str) -> ClaimMismatch:
        return ClaimMismatch(f'{self._where}: "{path}" must be {expected}')

    def has(self, path: str) -> bool:
        """Whether the predicate says something at the path."""
        try:
            return self._find(path) is not None
        except ClaimMismatch:
            return False

    def value(self, path: str) -> object:
        """What stands at the path, of whatever type."""
        return self._find(path)

    def text(self, path: str) -> str:
        """Text, or a number as text."""
        found = self._find(path)
        if isinstance(found, bool) or not isinstance(found, str | int | float):
            raise self._wrong(path, "text or a number")
        return str(found)

    def number(self, path: str) -> float:
        """A number, or a decimal string as a number."""
        found = self._find(path)
        if isinstance(found, bool) or not isinstance(found, str | int | float):
            raise self._wrong(path, "a number or a decimal string")
        try:
            return float(found)
        except ValueError:
            raise self._wrong(path, "a number or a decimal string") from None

    def rows(self, path: str) -> list[Claims]:
        """A list of objects."""
        found = self._find(path)
        if not isinstance(found, Sequence) or isinstance(found, str):
            raise self._wrong(path, "a list of objects")
        return [Claims(row, f"{self._where}.{path}") for row in self._objects(found, path)]

    def _objects(self, found: Iterable[object], path: str) -> Iterable[Mapping[str, object]]:
        for row in found:
            if not isinstance(row, Mapping):
                raise self._wrong(path, "a list of objects")
            yield row

    def texts(self, path: str) -> list[str]:
        """A list of texts."""
        found = self._find(path)
        if not isinstance(found, Sequence) or isinstance(found, str):
            raise self._wrong(path, "a list of texts")
        return [str(item) for item in found]

    def pairs(self, path: str) -> dict[str, object]:
        """An object as a dictionary, in its own order."""
        found = self._find(path)
        if not isinstance(found, Mapping):
            raise self._wrong(path, "an object")
        return {str(key): item for key, item in found.items()}
