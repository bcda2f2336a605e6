"""Matching: rows that take attributes from a drawn record which agrees with most of what is known of them.

Must never see records other than those drawn from a model: matching them is post-processing, and free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
_Keys = npt.NDArray[np.uint64]

_PRIME, _SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(29)


@final
class Pool:
    """Drawn records, to be matched with evidence. Shapes: every column is (records,) codes, at least one record."""

    def __init__(self, columns: Mapping[str, Ints]) -> None:
        self._columns = columns
        self._records = len(next(iter(columns.values())))
        self._sorted: dict[tuple[str, ...], tuple[_Keys, Ints]] = {}

    def match(self, given: Mapping[str, Ints], rows: int, rng: np.random.Generator) -> Ints:
        """A record for each row: a random one that agrees with all of its evidence; where none does, the last attribute of
        the evidence is left out, then the one before it, and so on.

        Shapes: `given` holds (rows,) codes, what matters most first.
        """
        names = tuple(given)
        hashes = _prefix_hashes([given[name] for name in names])
        found = np.empty(rows, dtype=np.int64)
        left = np.arange(rows)
        for length in range(len(names), 0, -1):
            if not left.size:
                return found
            keys, order = self._keys(names[:length])
            asked = hashes[length - 1][left]
            first, last = np.searchsorted(keys, asked, side="left"), np.searchsorted(keys, asked, side="right")
            there = last > first
            place = first + (rng.random(len(left)) * (last - first)).astype(np.int64)
            found[left[there]] = order[place[there]]
            left = left[~there]
        found[left] = rng.integers(0, self._records, len(left))
        return found

    def _keys(self, names: tuple[str, ...]) -> tuple[_Keys, Ints]:
        """The records' codes of these attributes as sorted numbers, and whose they are."""
        found = self._sorted.get(names)
        if found is None:
            keys = _prefix_hashes([self._columns[name] for name in names])[-1]
            order = np.argsort(keys, kind="stable")
            found = (keys[order], order)
            self._sorted[names] = found
        return found


def _prefix_hashes(columns: Sequence[Ints]) -> list[_Keys]:
    """For each number of first columns, a number for each row's codes in them; two that differ meet by chance of 2^-64."""
    found: list[_Keys] = []
    mixed = np.zeros(len(columns[0]) if columns else 0, dtype=np.uint64)
    for column in columns:
        mixed = (mixed ^ column.astype(np.uint64)) * _PRIME
        mixed ^= mixed >> _SHIFT
        mixed *= _PRIME
        mixed ^= mixed >> _SHIFT
        found.append(mixed)
    return found
