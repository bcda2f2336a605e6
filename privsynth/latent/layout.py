"""Layout: where each attribute's levels, or groups of levels, stand in one long vector over all of them.

Must never depend on records: it is a function of sizes and groups alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.dataset import Dataset
from privsynth.domain import Domain

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Attributes one after the other: attribute i has the places `part(i)` of a vector of length `total`.

    A matrix over (total, total) then holds every pair's table as a block.
    """

    sizes: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def starts(self) -> Ints:
        """First place of every attribute. Shapes: (attributes,)."""
        return np.cumsum((0, *self.sizes))[:-1].astype(np.int64)

    @property
    def total(self) -> int:
        """Number of places."""
        return sum(self.sizes)

    @property
    def owner(self) -> Ints:
        """The attribute of every place. Shapes: (total,)."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    def part(self, attribute: int) -> slice:
        """The places of one attribute."""
        start = sum(self.sizes[:attribute])
        return slice(start, start + self.sizes[attribute])

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Every pair of attributes, ascending."""
        return combinations(range(len(self.sizes)), 2)

    def blocks(self, values: Floats) -> Floats:
        """One value a pair of attributes, spread over its block. Shapes: (attributes, attributes) -> (total, total)."""
        owner = self.owner
        spread: Floats = values[owner[:, None], owner[None, :]]
        return spread

    def above(self) -> npt.NDArray[np.bool_]:
        """The places of all pairs' tables, each once: above the diagonal blocks. Shapes: (total, total)."""
        owner = self.owner
        found: npt.NDArray[np.bool_] = owner[:, None] < owner[None, :]
        return found

    def split(self, vector: Floats) -> list[Floats]:
        """A vector's parts, one an attribute."""
        return np.split(vector, self.starts[1:])

    def indicator(self) -> Floats:
        """1 where a place belongs to an attribute. Shapes: (attributes, total)."""
        return np.asarray(np.arange(len(self.sizes))[:, None] == self.owner[None, :], dtype=np.float64)


def pair_counts(codes: Sequence[npt.NDArray[np.integer]], layout: Layout) -> Floats:
    """The pair tables of records, whose codes are over the layout. Shapes: (places, places), zero in the diagonal blocks."""
    names = [str(place) for place in range(len(layout))]
    data = Dataset.from_columns(dict(zip(names, codes, strict=True)), Domain(tuple(names), layout.sizes))
    counted = np.zeros((layout.total, layout.total))
    pairs = list(layout.pairs())
    for (i, j), table in zip(pairs, data.marginals([(names[i], names[j]) for i, j in pairs]), strict=True):
        counted[layout.part(i), layout.part(j)] = table
        counted[layout.part(j), layout.part(i)] = table.T
    return counted


def group_sums(values: Floats, group_of: Ints) -> Floats:
    """Sum the levels of each group. Shapes: (levels,) -> (groups,)."""
    return np.bincount(group_of, weights=values).astype(np.float64)


def summed_table(table: Floats, groups: Sequence[Ints]) -> Floats:
    """Sum a table of levels into groups, axis by axis."""
    current: Floats = table
    for group_of in groups:
        summed = np.zeros((int(group_of.max()) + 1, *current.shape[1:]))
        np.add.at(summed, group_of, current)
        current = np.moveaxis(summed, 0, -1)
    return np.asarray(current)
