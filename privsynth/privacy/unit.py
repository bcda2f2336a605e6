"""Whose participation is protected: the privacy unit, the neighbouring relation, and bounding what one unit contributes.

Must never decide by the data's order or content which rows stay: the choice is a keyed random draw.
"""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
import numpy.typing as npt

from privsynth.errors import MechanismError

if TYPE_CHECKING:
    from privsynth.records import Records


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


def keyed_uniforms(names: list[bytes], key: bytes) -> npt.NDArray[np.uint64]:
    """One pseudo-random 64-bit number a name: BLAKE2b keyed with 32 secret bytes. Shapes: (len(names),)."""
    parts = (hashlib.blake2b(name, key=key, digest_size=8).digest() for name in names)
    return np.frombuffer(b"".join(parts), dtype="<u8")


def _unit_of_row(records: Records) -> npt.NDArray[np.int64]:
    return np.arange(records.rows, dtype=np.int64) if records.units is None else records.units


def _unit_names(records: Records) -> list[bytes]:
    if records.units is None:
        return [index.to_bytes(8, "little") for index in range(records.rows)]
    assert records.unit_names is not None
    return list(records.unit_names)


def bound_contributions(records: Records, unit: PrivacyUnit, key: bytes) -> Records:
    """Keep at most `unit.max_rows` rows of each unit, chosen by a keyed random draw; row order is kept.

    Privacy: which rows of a unit stay depends on the key and that unit alone, so adding or removing another unit
        changes nothing here: neighbours at the unit stay neighbours, now with at most max_rows rows between them.
    """
    require_same_unit(records, unit)
    if records.units is None:
        return records
    owner = records.units
    by_owner = np.argsort(owner, kind="stable")
    starts = np.flatnonzero(np.r_[True, owner[by_owner][1:] != owner[by_owner][:-1]])
    occurrence = np.arange(len(owner)) - np.repeat(starts, np.diff(np.r_[starts, len(owner)]))
    names = _unit_names(records)
    owners = owner[by_owner].tolist()
    rows = [names[who] + b"|" + str(turn).encode() for who, turn in zip(owners, occurrence.tolist(), strict=True)]
    order = np.lexsort((keyed_uniforms(rows, key), owner[by_owner]))
    kept = by_owner[order[occurrence < unit.max_rows]]
    return records.take(np.sort(kept))


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
    coins = keyed_uniforms(_unit_names(records), key) < np.uint64(int(share * 2**64))
    held = coins[_unit_of_row(records)] if records.rows else np.zeros(0, dtype=bool)
    return records.take(np.flatnonzero(~held)), records.take(np.flatnonzero(held))
