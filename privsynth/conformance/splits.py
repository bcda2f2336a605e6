"""Who is bounded and held out: with the same keys, one unit more or less leaves all others where they are.

Must never be run on private tables: it looks at rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from privsynth.conformance.tables import Laboratory
from privsynth.fitting import split
from privsynth.privacy.unit import NeighboringRelation, PrivacyUnit
from privsynth.private import Private
from privsynth.records import Records

_ROWS = 300
_SHARE = 0.5
_BOUND, _HOLD_OUT = b"\x01" * 32, b"\x02" * 32


def problems(laboratory: Laboratory, rng: np.random.Generator) -> Iterator[str]:
    """What is wrong with the split of a table into a part to fit and a part to compare with."""
    unit = laboratory.unit
    table = laboratory.table(_ROWS, rng)
    before, after = laboratory.alike(table, 0, of=1), laboratory.alike(table, 1, of=1)
    halves, others = (_split(records, unit) for records in (before, after))
    places = 0 if unit.relation is NeighboringRelation.ADD_REMOVE else unit.max_rows
    common = before.rows - places
    for half, other in zip(halves, others, strict=True):
        if not np.array_equal(half[half < common], other[other < common]):
            yield "who is held out, or which of its rows stay, depends on other units"
    owner = np.arange(before.rows) if before.units is None else before.units
    if np.intersect1d(owner[halves[0]], owner[halves[1]]).size:
        yield "a unit is held out and fitted as well"


def _split(records: Records, unit: PrivacyUnit) -> tuple[npt.NDArray[np.int64], ...]:
    """The places of the rows of both parts, found by numbering the rows in a column of their own."""
    name = next(iter(records.ticks))
    numbered = records.with_ticks({**records.ticks, name: np.arange(records.rows, dtype=np.int64)})
    parts = split(Private(numbered), unit, _SHARE, bound_key=_BOUND, holdout_key=_HOLD_OUT)
    return tuple(part.open().ticks[name] for part in parts)
