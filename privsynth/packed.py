"""Packed: columns of ticks in the narrowest type that holds them; they come out wide, a column at a time.

Must never change a tick: what is taken out is what was put in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.schema.ticks import MISSING

Ticks: TypeAlias = npt.NDArray[np.int64]
Index: TypeAlias = npt.NDArray[np.int64] | npt.NDArray[np.bool_] | slice


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PackedColumn:
    """One column: 0 where the tick is missing, else the tick less `base`, plus one.

    Shapes: `values` is (rows,) unsigned.
    """

    values: npt.NDArray[np.unsignedinteger]
    base: int

    @classmethod
    def of(cls, ticks: Ticks) -> PackedColumn:
        """Pack a column."""
        base = int(ticks.min(initial=np.iinfo(np.int64).max, where=ticks != MISSING))
        span = max(0, int(ticks.max(initial=MISSING)) - base + 1)
        # In 64 bits, differences wrap around to the right number whatever the ticks are.
        shifted = ticks.view(np.uint64) - np.uint64((base - 1) % 2**64)
        shifted[ticks == MISSING] = 0
        return cls(shifted.astype(np.min_scalar_type(span)), base)

    @classmethod
    def joined(cls, blocks: list[PackedColumn]) -> PackedColumn:
        """One block after the other; the list is emptied, so that no more than one block is there twice."""
        bounds = [(block.base, block.base + int(block.values.max()) - 1) for block in blocks if block.values.any()]
        base = min((low for low, _ in bounds), default=0)
        span = max((high for _, high in bounds), default=base - 1) - base + 1
        values = np.empty(sum(block.values.size for block in blocks), dtype=np.min_scalar_type(span))
        end = values.size
        while blocks:
            block = blocks.pop()
            part = values[end - block.values.size : end]
            part[:] = block.values
            if block.values.any():
                np.add(part, values.dtype.type(block.base - base), out=part, where=part > 0)
            end -= block.values.size
        return cls(values, base)

    def wide(self) -> Ticks:
        """The ticks."""
        ticks = self.values.astype(np.uint64)
        ticks += np.uint64((self.base - 1) % 2**64)
        found = ticks.view(np.int64)
        found[self.values == 0] = MISSING
        return found


@final
class PackedTicks(Mapping[str, Ticks]):
    """Columns of ticks by name, packed. Looking one up makes a wide copy of it."""

    __slots__ = ("_columns",)

    def __init__(self, columns: Mapping[str, PackedColumn]) -> None:
        self._columns = dict(columns)

    def __getitem__(self, name: str) -> Ticks:
        return self._columns[name].wide()

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    @property
    def lengths(self) -> set[int]:
        """How many rows the columns have: one number where they agree."""
        return {column.values.size for column in self._columns.values()}

    def take(self, index: Index) -> PackedTicks:
        """The rows of an index, a mask or a slice, in its order."""
        return PackedTicks(
            {name: PackedColumn(column.values[index], column.base) for name, column in self._columns.items()}
        )

    def replaced(self, changes: Mapping[str, Ticks]) -> PackedTicks:
        """The same columns but for these."""
        packed = {name: PackedColumn.of(ticks) for name, ticks in changes.items()}
        return PackedTicks({name: packed.get(name, column) for name, column in self._columns.items()})
