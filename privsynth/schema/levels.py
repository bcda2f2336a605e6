"""Levels: the layout of one column's codes: its bins in order, then its atoms, then the missing level.

Must never depend on records: two tables of one schema have the same levels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.domain import LevelFacts
from privsynth.errors import SchemaError
from privsynth.schema import groups
from privsynth.schema.binning import EdgeBins, counted_starts, edge_starts
from privsynth.schema.columns import (
    MAX_STEPS,
    BooleanColumn,
    CategoryColumn,
    DateColumn,
    DatetimeColumn,
    IntegerColumn,
    ModelledColumn,
    NumberColumn,
    OrderedColumn,
)
from privsynth.schema.ticks import MISSING, from_granules, granules, text, tick, ticks_per_day

_TABLE_LIMIT = 1 << 16
"""Ranges up to this size are encoded by looking up a table, longer ones by binary search."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Levels:
    """Bins, atoms and the missing level over consecutive whole numbers `lower`..`upper` (granules; see `ticks.granules`).

    The granules that are no atoms are numbered 0, 1, ... as ranks; bin b holds ranks `ranks[b]` to `ranks[b + 1] - 1`.
    Shapes: `starts` (bins,), `atoms` (atoms,), `ranks` (bins + 1,); all ascending.
    """

    lower: int
    upper: int
    starts: npt.NDArray[np.int64]
    atoms: npt.NDArray[np.int64]
    missing: bool
    ranks: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ranks", self.rank(np.append(self.starts, self.upper + 1)))

    @property
    def bins(self) -> int:
        """Number of bins."""
        return int(self.starts.size)

    @property
    def size(self) -> int:
        """Number of levels in all."""
        return self.bins + int(self.atoms.size) + int(self.missing)

    def rank(self, values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Number of granules from `lower` that lie below each value and are no atoms."""
        found: npt.NDArray[np.int64] = values - self.lower - np.searchsorted(self.atoms, values, side="left")
        return found

    def unrank(self, ranks: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the granules of these ranks."""
        shifts = self.atoms - self.lower - np.arange(self.atoms.size)
        found: npt.NDArray[np.int64] = self.lower + ranks + np.searchsorted(shifts, ranks, side="right")
        return found

    def codes(self, values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the level of each granule inside lower..upper, and of missing ones."""
        absent = values == MISSING
        inside = np.where(absent, self.lower, values)
        if self.upper - self.lower < _TABLE_LIMIT < values.size:
            table = self._search(np.arange(self.lower, self.upper + 1))
            found = table[inside - self.lower]
        else:
            found = self._search(inside)
        codes: npt.NDArray[np.int64] = np.where(absent, self.size - 1, found)
        return codes

    def _search(self, values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        found: npt.NDArray[np.int64] = np.searchsorted(self.starts, values, side="right") - 1
        if self.atoms.size:
            place = np.minimum(np.searchsorted(self.atoms, values), self.atoms.size - 1)
            found = np.where(self.atoms[place] == values, self.bins + place, found)
        return found

    def span(self, codes: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the first and last granule of each level that belong to it; MISSING for both at the missing level."""
        absent = np.full(int(self.missing), MISSING)
        first = np.concatenate([self.unrank(self.ranks[:-1]), self.atoms, absent])
        last = np.concatenate([self.unrank(self.ranks[1:] - 1), self.atoms, absent])
        return first[codes], last[codes]


def _grid(column: ModelledColumn, value: object) -> int:
    """One bound, edge or atom as a granule; days after another column become ticks of time."""
    if isinstance(column, DateColumn | DatetimeColumn) and column.after is not None:
        assert isinstance(value, int)
        return value * ticks_per_day(column)
    return int(granules(column, np.array([tick(column, value)], dtype=np.int64))[0])


@lru_cache(maxsize=4096)
def levels(column: ModelledColumn) -> Levels:
    """Lay out a column's levels.

    Raises: SchemaError while something of the column is still to be bought, or where bins and bounds contradict.
    """
    if column_is_open(column):
        raise SchemaError(
            f"[columns.{column.name}]: what it declares to buy is not bought yet; release or fit buys it first"
        )
    try:
        return layout(column)
    except ValueError as error:
        raise SchemaError(f"[columns.{column.name}]: {error}") from None


def granule_bounds(column: ModelledColumn) -> tuple[int, int]:
    """First and last granule of a column: of labels their positions, after another column the offsets in its own ticks.

    Bounds that are still to be bought are as wide as any bought ones can be.
    """
    if isinstance(column, CategoryColumn | OrderedColumn | BooleanColumn):
        return 0, len(column.labels) - 1
    if column.lower is None or column.upper is None:
        return -MAX_STEPS, MAX_STEPS
    return _grid(column, column.lower), _grid(column, column.upper)


def column_is_open(column: ModelledColumn) -> bool:
    """Whether something of the column is still to be bought."""
    return isinstance(column, CategoryColumn | IntegerColumn | NumberColumn) and bool(column.buy)


def layout(column: ModelledColumn) -> Levels:
    """Lay out a column in which nothing is left to buy. Raises: ValueError where bins and bounds contradict."""
    if isinstance(column, CategoryColumn | OrderedColumn | BooleanColumn):
        count = len(column.labels)
        return Levels(
            lower=0,
            upper=count - 1,
            starts=np.arange(count, dtype=np.int64),
            atoms=np.zeros(0, dtype=np.int64),
            missing=column.nullable,
        )
    lower, upper = granule_bounds(column)
    atoms = frozenset(_grid(column, atom) for atom in column.atoms)
    if len(atoms) < len(column.atoms):
        raise ValueError("atoms: a value is declared twice; remove one")
    if atoms and not (lower <= min(atoms) and max(atoms) <= upper):
        raise ValueError("atoms: a value lies outside the bounds; move the bound or remove the atom")
    if isinstance(column.bins, EdgeBins):
        starts = edge_starts(tuple(_grid(column, edge) for edge in column.bins.edges), lower, upper, atoms)
    else:
        starts = counted_starts(column.bins, lower, upper, atoms)
    return Levels(
        lower=lower,
        upper=upper,
        starts=np.array(starts, dtype=np.int64),
        atoms=np.array(sorted(atoms), dtype=np.int64),
        missing=column.nullable,
    )


def level_facts(column: ModelledColumn) -> LevelFacts:
    """What is known of a column's levels: which are in order, and which belong together.

    Bins, and labels that are declared in order, are in order; atoms and the missing level stand alone, and so does the
    last label of an ordered column where it takes what is not listed. The missing level is its own parent.
    """
    layout = levels(column)
    if isinstance(column, CategoryColumn):
        parents = groups.parents(column.hierarchy, column.labels) if column.hierarchy else ()
        alone = (len(column.hierarchy),) if parents and layout.missing else ()
        return LevelFacts(parents=parents + alone)
    apart = isinstance(column, OrderedColumn) and column.other == column.labels[-1]
    return LevelFacts(ordered=layout.bins - int(apart))


def level_names(column: ModelledColumn) -> tuple[str, ...]:
    """Name every level of a column for a reader: labels, "10 to 19", "0", "1 to 7 days", "missing"."""
    layout = levels(column)
    first, last = layout.span(np.arange(layout.size))
    return tuple(_name(column, low, high) for low, high in zip(first.tolist(), last.tolist(), strict=True))


def _name(column: ModelledColumn, low: int, high: int) -> str:
    if low == MISSING:
        return "missing"
    if isinstance(column, DateColumn | DatetimeColumn) and column.after is not None:
        unit = column.granularity if low == high == 1 else f"{column.granularity}s"
        return f"{low} {unit}" if low == high else f"{low} to {high} {unit}"
    ends = from_granules(column, np.array([low, high]))
    texts = [text(column, end) for end in ends.tolist()]
    return texts[0] if low == high else " to ".join(texts)
