"""How near records lie to each other: Gower's distance in whole numbers, for tables with kinds of columns mixed.

Must never learn its scale from the records that are attacked: ranks come from the table that distances are measured to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.errors import AuditError
from privsynth.records import MISSING, Records
from privsynth.schema.columns import BooleanColumn, CategoryColumn

Int16s = npt.NDArray[np.int16]
Int64s = npt.NDArray[np.int64]
Points: TypeAlias = Mapping[str, npt.NDArray[np.integer]]
"""Records coded for one `Gower`: column -> codes, one a record."""

_FINEST = 1000
_LARGEST = np.iinfo(np.int16).max - 1
"""The largest distance there can be; one more is farther than any record."""
_NOMINAL_BLOCK = 255


def is_nominal(records: Records, name: str) -> bool:
    """Whether a column's values have no order: equal or not is all that counts."""
    return isinstance(records.schema.column(name), CategoryColumn | BooleanColumn)


def rank_codes(ticks: Int64s, reference: Int64s, steps: int) -> Int64s:
    """Where each tick lies among the reference's: 0 (below all) to `steps` (above all); 2 * steps where it is missing.

    One extreme value does not make all others look alike. Equal ticks get equal codes.
    """
    values, counts = np.unique(reference[reference != MISSING], return_counts=True)
    below = np.concatenate([[0], np.cumsum(counts)])
    place = np.searchsorted(values, ticks)
    present = ticks != MISSING
    known = present & (np.append(values, MISSING)[place] == ticks)
    codes = ((below[place] + below[place + known]) * steps + below[-1]) // max(1, 2 * int(below[-1]))
    return np.where(present, codes, 2 * steps)


def range_codes(ticks: Int64s, reference: Int64s, steps: int) -> Int64s:
    """How far each tick lies from the reference's smallest (0) to its largest (`steps`); 2 * steps where it is missing."""
    present = reference[reference != MISSING]
    low, high = (int(present.min()), int(present.max())) if len(present) else (0, 0)
    span = max(1, high - low)
    codes = ((np.clip(ticks, low, high) - low) * steps + span // 2) // span
    return np.where(ticks == MISSING, 2 * steps, codes)


@final
class Gower:
    """Distances from one record to every record of a table.

    A distance is a sum over columns, each between 0 and `step`: for nominal columns 0 or `step`, for others the difference
    of ranks among the table's values, or the difference as a share of their range; missing is at distance `step` from
    every value and 0 from missing. Ranks tell near records apart, ranges tell how far off the odd ones are.
    Source: Gower 1971; ranks as in Podani 1999.
    """

    def __init__(self, table: Records, names: Sequence[str], *, scale: Literal["rank", "range"] = "rank") -> None:
        if len(names) > np.iinfo(np.int16).max // 2:
            raise AuditError(f"distances over {len(names)} columns do not fit; attack fewer columns at a time")
        self._table = table
        self._scaled = rank_codes if scale == "rank" else range_codes
        self.step = min(_FINEST, _LARGEST // max(1, len(names)))
        self.nominal = tuple(name for name in names if is_nominal(table, name))
        self.ordinal = tuple(name for name in names if not is_nominal(table, name))
        self._unseen = {name: int(self._labels(table, name).max(initial=0)) + 1 for name in self.nominal}
        self._codes = self.points(table)
        self._gaps = {name: bool((self._codes[name] > self.step).any()) for name in self.ordinal}
        rows = table.rows
        self._differs, self._differing = np.empty(rows, dtype=bool), np.empty(rows, dtype=np.uint8)
        self._part, self._total = np.empty(rows, dtype=np.int16), np.empty(rows, dtype=np.int16)
        self._usual = {name: code for name in names if (code := _usual_code(self._codes[name])) is not None}
        self._unusual = {name: self._codes[name] != self._usual[name] for name in self.nominal if name in self._usual}
        self._off_usual = {
            name: self._far(name, self._usual[name]).copy() for name in self.ordinal if name in self._usual
        }
        starts = range(0, len(self.nominal), _NOMINAL_BLOCK)
        self._blocks = [self._block(self.nominal[start : start + _NOMINAL_BLOCK]) for start in starts]

    def _block(self, names: tuple[str, ...]) -> tuple[tuple[str, ...], npt.NDArray[np.uint8]]:
        """Nominal columns, few enough to count in a byte, and in how many of them each row has an unusual value."""
        unusual = np.zeros(self._table.rows, dtype=np.uint8)
        for name in names:
            if name in self._unusual:
                unusual += self._unusual[name]
        return names, unusual

    @staticmethod
    def _labels(records: Records, name: str) -> Int64s:
        ticks = records.ticks[name]
        return np.where(ticks == MISSING, 0, ticks + 1)

    def points(self, records: Records) -> Points:
        """Code records for `distances`: places on the scale, or labels from 1 in the narrowest type (0 is missing).

        A label that the table lacks gets one code that no row of the table has.
        """
        codes: dict[str, npt.NDArray[np.integer]] = {}
        for name, unseen in self._unseen.items():
            labels = np.minimum(self._labels(records, name), unseen)
            codes[name] = labels.astype(np.min_scalar_type(unseen))
        for name in self.ordinal:
            codes[name] = self._scaled(records.ticks[name], self._table.ticks[name], self.step).astype(np.int16)
        return codes

    def distances(self, points: Points, index: int) -> Int16s:
        """Distances from one point to every row of the table.

        What a usual value adds is added beforehand, so that a column costs time only where the point's value is another one.
        Returns: an array of shape (rows,) that the next call overwrites.
        """
        self._total[:] = 0
        for names, unusual in self._blocks:
            np.copyto(self._differing, unusual)
            for name in names:
                self._count_differing(name, points[name][index])
            np.multiply(self._differing, np.int16(self.step), out=self._part)
            np.add(self._total, self._part, out=self._total)
        for name in self.ordinal:
            code = points[name][index]
            usual = code == self._usual.get(name)
            np.add(self._total, self._off_usual[name] if usual else self._far(name, code), out=self._total)
        return self._total

    def _count_differing(self, name: str, code: np.integer) -> None:
        """Add up where a nominal column differs from a code, in place of where it differs from its usual one."""
        if code == self._usual.get(name):
            return
        if name in self._usual:
            np.subtract(self._differing, self._unusual[name].view(np.uint8), out=self._differing)
        np.not_equal(self._codes[name], code, out=self._differs)
        np.add(self._differing, self._differs.view(np.uint8), out=self._differing)

    def _far(self, name: str, code: np.integer) -> Int16s:
        """How far an ordered column lies from a code, in every row; overwritten by the next call."""
        np.subtract(self._codes[name], code, out=self._part)
        np.abs(self._part, out=self._part)
        if self._gaps[name] or code > self.step:
            np.minimum(self._part, np.int16(self.step), out=self._part)
        return self._part

    def part(self, name: str, points: Points, owners: Int64s, rows: Int64s) -> Int16s:
        """What one column adds to the distance of each pair of a point and a row. Shapes: (pairs,)."""
        theirs, mine = self._codes[name][rows], points[name][owners]
        if name in self._unseen:
            return np.where(theirs == mine, np.int16(0), np.int16(self.step))
        return np.asarray(np.minimum(np.abs(theirs - mine), np.int16(self.step)), dtype=np.int16)

    def codes(self, name: str) -> npt.NDArray[np.integer]:
        """The table's own codes of one column."""
        return self._codes[name]


def _usual_code(codes: npt.NDArray[np.integer]) -> np.integer | None:
    """The code that more than half of the rows have, if there is one."""
    if not len(codes):
        return None
    middle = np.partition(codes, len(codes) // 2)[len(codes) // 2]
    return middle if 2 * int((codes == middle).sum()) > len(codes) else None
