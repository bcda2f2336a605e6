"""Conditions: what a caller asks of sampled rows ({"age": (60, 69), "sex": "F"}), as granules and as codes.

Must never be wider than what was asked: an exact value is met exactly, not just to within its bin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.errors import SchemaError
from privsynth.schema import Schema
from privsynth.schema.columns import BooleanColumn, CategoryColumn, LabelledColumn, ModelledColumn, TemporalColumn
from privsynth.schema.levels import Levels, levels
from privsynth.schema.ticks import MISSING, granules, tick, ticks_per_day

_PAIR = 2


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Allowed:
    """The granules that a condition allows one column: an interval, or single values when `values` is given.

    `missing` allows the missing level as well. Shapes: `values` is (values,), ascending.
    """

    lower: int
    upper: int
    values: npt.NDArray[np.int64] | None
    missing: bool

    def admits(self, found: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which granules the condition allows. Shapes: as `found`."""
        present = (found >= self.lower) & (found <= self.upper) if self.values is None else np.isin(found, self.values)
        absent = found == MISSING
        met: npt.NDArray[np.bool_] = (present & ~absent) | (absent & self.missing)
        return met

    def codes(self, layout: Levels) -> npt.NDArray[np.int64]:
        """The levels that hold an allowed granule, ascending."""
        if self.values is None:
            ends = layout.rank(np.array([self.lower, self.upper + 1]))
            bins = np.flatnonzero(np.maximum(layout.ranks[:-1], ends[0]) < np.minimum(layout.ranks[1:], ends[1]))
            atoms = layout.bins + np.flatnonzero((layout.atoms >= self.lower) & (layout.atoms <= self.upper))
            found = np.concatenate([bins, atoms])
        else:
            found = np.unique(layout.codes(self.values))
        return np.append(found, layout.size - 1) if self.missing else found


def read_conditions(schema: Schema, given: Mapping[str, object]) -> dict[str, Allowed]:
    """Read what a caller asks for: a value, None (missing), a list of these, or a pair (lower, upper), None open.

    A column counted in days after another is asked for in days.
    Raises: SchemaError when a column or value is none of the schema's, or a condition allows nothing.
    """
    return {name: _allowed(schema.modelled_column(name), value) for name, value in given.items()}


def _allowed(column: ModelledColumn, value: object) -> Allowed:
    layout = levels(column)
    try:
        if isinstance(value, tuple):
            return _interval(column, layout, value)
        values = list(value) if isinstance(value, list | set | frozenset) else [value]
        missing = any(_is_missing(column, one) for one in values)
        points = {_granule(column, one) for one in values if not _is_missing(column, one)}
    except ValueError as error:
        raise SchemaError(f'condition on "{column.name}": {error}; correct the condition') from None
    if missing and not column.nullable:
        raise SchemaError(f'condition on "{column.name}": it is never missing; ask for a value')
    if not missing and not points:
        raise SchemaError(f'condition on "{column.name}": the list is empty; name at least one value')
    if points and not (layout.lower <= min(points) and max(points) <= layout.upper):
        raise SchemaError(f'condition on "{column.name}": {value!r} lies outside the declared bounds; stay inside them')
    return Allowed(
        lower=layout.lower, upper=layout.upper, values=np.array(sorted(points), dtype=np.int64), missing=missing
    )


def _interval(column: ModelledColumn, layout: Levels, value: tuple[object, ...]) -> Allowed:
    if isinstance(column, CategoryColumn | BooleanColumn) or len(value) != _PAIR:
        raise ValueError(f"{value!r} is no pair (lower, upper) of an ordered column; write several values as a list")
    lower, upper = (None if end is None else _granule(column, end) for end in value)
    low = layout.lower if lower is None else max(lower, layout.lower)
    high = layout.upper if upper is None else min(upper, layout.upper)
    if low > high:
        first, last = value
        asked = f"up to {last}" if first is None else f"from {first} {'upwards' if last is None else f'to {last}'}"
        raise ValueError(f"the range {asked} holds no value of the column")
    return Allowed(lower=low, upper=high, values=None, missing=False)


def _is_missing(column: ModelledColumn, value: object) -> bool:
    known = isinstance(column, LabelledColumn) and value in column.labels
    return value is None or (isinstance(value, str) and value in column.missing and not known)


def _granule(column: ModelledColumn, value: object) -> int:
    if isinstance(column, TemporalColumn) and column.after is not None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f'expected whole days after "{column.after}", found {value!r}')
        return value * ticks_per_day(column)
    return int(granules(column, np.array([tick(column, value)], dtype=np.int64))[0])
