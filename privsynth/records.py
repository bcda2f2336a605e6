"""Records: one table as whole numbers under its schema; the only way in for private data.

Must never infer anything from a table, and never show a cell, a row or a count of it in a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.errors import RecordsError
from privsynth.schema import Schema
from privsynth.ticks import MISSING

__all__ = ["MISSING", "Records"]


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Records:
    """One table: every modelled column as ticks (see `ticks`), and which privacy unit each row belongs to.

    Shapes: each array of `ticks`, and `units`, is (rows,) int64; `unit_names[u]` is the raw id of unit code u, in order of
        first appearance; `units` is None where each row is its own unit.
    Privacy: private unless the table is synthetic; `labels` (columns whose categories are to be bought: tick -> label) too.
    Raises: RecordsError when columns are not those of the schema, or lengths differ.
    """

    schema: Schema
    ticks: Mapping[str, npt.NDArray[np.int64]]
    units: npt.NDArray[np.int64] | None = None
    unit_names: tuple[bytes, ...] | None = None
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if tuple(self.ticks) != tuple(column.name for column in self.schema.modelled):
            raise RecordsError("records: the columns are not the schema's modelled columns in order")
        arrays = [*self.ticks.values(), *([] if self.units is None else [self.units])]
        if len({array.shape for array in arrays}) != 1 or any(array.dtype != np.int64 for array in arrays):
            raise RecordsError("records: the columns are not whole numbers of one length")

    def __repr__(self) -> str:
        return f"Records({len(self.ticks)} columns)"

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(next(iter(self.ticks.values())).size)

    def take(self, index: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Records:
        """The rows of an index or a mask, in its order; unit codes keep their meaning."""
        return Records(
            schema=self.schema,
            ticks={name: ticks[index] for name, ticks in self.ticks.items()},
            units=None if self.units is None else self.units[index],
            unit_names=self.unit_names,
            labels=self.labels,
        )
