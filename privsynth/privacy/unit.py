"""Whose participation is protected: the privacy unit, the neighbouring relation, and bounding what one unit contributes.

Must never decide by the data's order or content which rows stay: the choice is a keyed random draw.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
import numpy.typing as npt

from privsynth.errors import MechanismError

if TYPE_CHECKING:
    from privsynth.dataset import Dataset
    from privsynth.records import Records

_BLOCK_ROWS = 1 << 20
"""Rows hashed at a time."""


@final
class NeighboringRelation(enum.Enum):
    """Which tables count as neighbours: the same but for one unit being there or not, or but for one unit's content."""

    ADD_REMOVE = "add-remove"
    REPLACE_ONE = "replace-one"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyUnit:
    """A person, customer or row, with at most `max_rows` rows in the table.

    `column` is the schema's column that names the unit; None when every row is a unit of its own.
    """

    name: str
    column: str | None = None
    max_rows: int = 1
    relation: NeighboringRelation = NeighboringRelation.ADD_REMOVE

    def __post_init__(self) -> None:
        if isinstance(self.max_rows, bool) or not isinstance(self.max_rows, int) or self.max_rows < 1:
            raise MechanismError(f"max_rows is a whole number of rows, at least one; found {self.max_rows!r}")
        if self.column is None and self.max_rows != 1:
            raise MechanismError("max_rows above 1 needs a unit column; without one every row is its own unit")

    @property
    def l1(self) -> int:
        """How far one unit moves a table of counts in L1: its rows, twice that when it is replaced.

        Proof: each row is in exactly one cell, so adding or removing max_rows rows changes counts by at most max_rows in
        all; replacing is removing and adding.
        """
        return self.max_rows * (1 if self.relation is NeighboringRelation.ADD_REMOVE else 2)

    @property
    def l2_squared(self) -> int:
        """The square of how far one unit moves a table of counts in L2.

        Proof: the change is a vector of non-negative integers with L1 norm at most max_rows, so its L2 norm is at most
        max_rows (all in one cell); replacing adds a second such vector of opposite sign, and |a - b|^2 <= |a|^2 + |b|^2
        for non-negative a, b.
        """
        return self.max_rows**2 * (1 if self.relation is NeighboringRelation.ADD_REMOVE else 2)


def keyed_uniforms(names: Sequence[bytes], key: bytes) -> npt.NDArray[np.uint64]:
    """One pseudo-random 64-bit number a name: BLAKE2b keyed with 32 secret bytes. Shapes: (len(names),)."""
    parts = (hashlib.blake2b(name, key=key, digest_size=8).digest() for name in names)
    return np.frombuffer(b"".join(parts), dtype="<u8")


def bound_contributions(records: Records, unit: PrivacyUnit, key: bytes) -> Records:
    """Keep at most `unit.max_rows` rows of each unit, chosen by a keyed random draw; row order is kept.

    Privacy: which rows of a unit stay depends on the key and that unit alone, so adding or removing another unit
        changes nothing here: neighbours at the unit stay neighbours, now with at most max_rows rows between them.
    """
    require_same_unit(records, unit)
    if records.units is None:
        return records
    surplus = np.flatnonzero((np.bincount(records.units) > unit.max_rows)[records.units])
    if not surplus.size:
        return records
    keep = np.ones(records.rows, dtype=bool)
    keep[surplus] = False
    assert records.unit_names is not None
    keep[surplus[_drawn(records.units[surplus], records.unit_names, unit.max_rows, key)]] = True
    return records.take(keep)


def _drawn(owner: npt.NDArray[np.int64], names: Sequence[bytes], max_rows: int, key: bytes) -> npt.NDArray[np.int64]:
    """Positions of `max_rows` rows of each owner, those with the lowest keyed numbers; the hashing goes block by block."""
    by_owner = np.argsort(owner, kind="stable")
    sorted_owner = owner[by_owner]
    starts = np.flatnonzero(np.r_[True, sorted_owner[1:] != sorted_owner[:-1]])
    occurrence = np.arange(len(owner)) - np.repeat(starts, np.diff(np.r_[starts, len(owner)]))
    numbers = np.empty(len(owner), dtype=np.uint64)
    for start in range(0, len(owner), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        turns = zip(sorted_owner[block].tolist(), occurrence[block].tolist(), strict=True)
        numbers[block] = keyed_uniforms([names[who] + b"|" + str(turn).encode() for who, turn in turns], key)
    order = np.lexsort((numbers, sorted_owner))
    drawn: npt.NDArray[np.int64] = by_owner[order[occurrence < max_rows]]
    return drawn


def require_bounded(dataset: Dataset, unit: PrivacyUnit) -> None:
    """Raise MechanismError when a unit's rows count as more than `max_rows` rows: then no noise covers what it contributes.

    A row of weight w counts as w rows, so that `PrivacyUnit.l1` and `l2_squared` hold word for word: a unit is in each table
    with non-negative integers of a sum of at most max_rows.
    """
    if dataset.units is None:
        if dataset.weights is not None:
            raise MechanismError(
                "rows with weights need the number of their unit, or nothing bounds what a unit weighs"
            )
        return
    if (np.bincount(dataset.units, weights=dataset.weights) > unit.max_rows).any():
        raise MechanismError(
            "a unit contributes more than its bound: contributions must be bounded before anything is measured; this is a "
            "defect of privsynth"
        )


def require_same_unit(records: Records, unit: PrivacyUnit) -> None:
    """Raise MechanismError when the records name units and the unit says rows, or the other way round."""
    if (unit.column is None) != (records.units is None):
        raise MechanismError("the privacy unit and the table disagree on whether a column names the unit")


def hold_out(records: Records, share: float, key: bytes) -> tuple[Records, Records]:
    """Split off a share of the units as the audit's control group: (for fitting, held out).

    Privacy: each unit is held out by its own keyed coin, independent of every other unit, so neighbours stay neighbours
        on both sides of the split. The coins of rows without a unit column are independent of everything as well.
        The key is secret, serves one table and is never published: with a known key, inserting a row moves the others' coins.
    Raises: MechanismError when the share is not in [0, 1).
    """
    if not 0 <= share < 1:
        raise MechanismError(f"the held-out share must be at least 0 and below 1; found {share}")
    if share == 0:
        return records, records.take(slice(0))
    limit = np.uint64(int(share * 2**64))
    if records.units is None:
        # One key serves one table, so the coins of its rows are the stream that the key expands to.
        held = np.frombuffer(hashlib.shake_256(key).digest(8 * records.rows), dtype="<u8") < limit
    else:
        assert records.unit_names is not None
        held = (keyed_uniforms(records.unit_names, key) < limit)[records.units]
    return records.take(~held), records.take(held)
