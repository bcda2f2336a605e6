"""Bounding: which rows of each unit are used of a table, what each of them weighs, and which units are held out.

Must never let a unit's choice, order or weights depend on another unit's rows, or a unit weigh more than its bound.

Why nothing here costs anything, and what it bounds. Take two databases that differ in one unit: all its rows, in all tables.
1. A keyed number is a function of the secret key, the unit's name, the table and which of the unit's own rows it is; the
   first and the last rows are a function of the unit's own rows. So every other unit keeps the same rows in both databases,
   with the same weights: a unit's m used rows weigh 256 / m each, rounded by which of them it is, and m is its own.
2. A unit's used rows weigh at most W together: with weights "unit" the t-th of m rows (t = 0, 1, ...) weighs
   floor(256 (t + 1) / m) - floor(256 t / m), which add up to 256 = W; with weights "row" at most k rows weigh 1, W = k.
   A row of weight w counts as w rows in every table of counts, so that a unit is to every query what a unit of at most W
   rows is, whatever it owns: `PrivacyUnit(max_rows=W)`, whose proofs hold word for word.
3. Who is held out is decided by a coin of each unit by itself, keyed with its name.
The key serves one database, is never published, and the numbers are taken for random (BLAKE2b).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from privsynth.database.document import DatabaseSchema, TableTerms
from privsynth.database.held import Database, Rows
from privsynth.database.terms import MOST_ROWS
from privsynth.errors import MechanismError
from privsynth.histories.layout import views
from privsynth.privacy.unit import keyed_uniforms
from privsynth.schema.ticks import MISSING

_Ints = npt.NDArray[np.int64]

_BLOCK_ROWS = 1 << 18
"""Rows hashed at a time."""


def rows_used(schema: DatabaseSchema, bought: Mapping[str, int] | None = None) -> dict[str, int]:
    """How many rows of a unit are used at most, by table that is measured: declared, or what was bought.

    Raises: MechanismError where a bound is to be bought and is not among `bought`, or is out of range.
    """
    found: dict[str, int] = {}
    for name in views(schema):
        bound = schema.table(name).bound
        if bound is None:
            found[name] = 1
        elif bound.rows != "buy":
            found[name] = bound.rows
        elif bought is not None and 1 <= bought.get(name, 0) <= MOST_ROWS:
            found[name] = bought[name]
        else:
            raise MechanismError(
                f'table "{name}": its bound is to be bought, from 1 to {MOST_ROWS} rows, and is not; measure it first'
            )
    return found


def most_weight(terms: TableTerms, rows: int) -> int:
    """W: what a unit's used rows of this table weigh together at most; `rows` is how many are used at most."""
    if terms.bound is None:
        return 1
    return MOST_ROWS if terms.bound.weights == "unit" else rows


def weight_scale(terms: TableTerms) -> int:
    """How many units of weight make one unit, or with weights "row" one row: what counts are divided by to be read."""
    return most_weight(terms, 1)


def used_rows(database: Database, table: str, most: int, key: bytes) -> _Ints:
    """Positions of the rows that are used, ascending: at most `most` of each unit, as the table's bound says which.

    Privacy: the head of this file.
    """
    terms, rows = database.schema.table(table), database.tables[table]
    over = np.bincount(rows.unit, minlength=database.units) > most
    keep = ~over[rows.unit]
    surplus = np.flatnonzero(~keep)
    if surplus.size:
        order = np.lexsort((*_reluctance(database, terms, surplus, key), rows.unit[surplus]))
        turns = turn_of(rows.unit[surplus][order])
        keep[surplus[order[turns < most]]] = True
    return np.flatnonzero(keep)


def _reluctance(
    database: Database, terms: TableTerms, surplus: _Ints, key: bytes
) -> tuple[npt.NDArray[np.generic], ...]:
    """What rows are sorted by, the first to be used first; the last of these arrays counts most, as in `lexsort`."""
    assert terms.bound is not None
    rows = database.tables[terms.name]
    if terms.bound.keep == "random":
        turns = turn_of(rows.unit)[surplus]
        return (keyed_numbers(database, rows.unit[surplus], turns, f"used|{terms.name}", key),)
    time = _times(terms, rows)[surplus]
    if terms.bound.keep == "first":
        return surplus, np.where(time == MISSING, np.iinfo(np.int64).max, time)
    return -surplus, np.where(time == MISSING, np.iinfo(np.int64).max, -time)


def _times(terms: TableTerms, rows: Rows) -> _Ints:
    """When rows happen; 0 for all of a table without time, whose order is that of its rows."""
    if terms.time is None or rows.records is None:
        return np.zeros(rows.count, dtype=np.int64)
    return rows.records.ticks[terms.time.column]


def weights_of(terms: TableTerms, unit: _Ints) -> _Ints | None:
    """What used rows weigh, from whose they are; None where each counts as one. Shapes: (used rows,), units together.

    A unit's rows weigh 256 together, as equally as whole numbers can; the heavier ones are spread evenly over its rows in
    their order, so that no part of a history counts more.
    """
    if terms.bound is None or terms.bound.weights == "row":
        return None
    sizes, turn = np.bincount(unit)[unit], turn_of(unit)
    return (turn + 1) * MOST_ROWS // sizes - turn * MOST_ROWS // sizes


def rows_before(database: Database, table: str, key: bytes) -> _Ints:
    """The position of the row before each row among those of its parent, used or not; -1 for the first.

    By time or the declared order; where a table has neither, its rows are exchangeable, and a keyed number of each row puts
    siblings in an order that says nothing. Shapes: (rows,).
    """
    terms, rows = database.schema.table(table), database.tables[table]
    place = np.arange(rows.count)
    if terms.time is None and terms.order is None:
        numbers = keyed_numbers(database, rows.unit, turn_of(rows.unit), f"order|{table}", key)
        place = np.lexsort((numbers, rows.parent, rows.unit))
    before = np.full(rows.count, -1, dtype=np.int64)
    later, earlier = place[1:], place[:-1]
    siblings = (rows.unit[later] == rows.unit[earlier]) & (rows.parent[later] == rows.parent[earlier])
    before[later[siblings]] = earlier[siblings]
    return before


def turn_of(owner: _Ints) -> _Ints:
    """0, 1, ... among the rows of each owner; owners stand together. Shapes: as `owner`."""
    if not owner.size:
        return np.zeros(0, dtype=np.int64)
    starts = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])
    return np.arange(owner.size) - np.repeat(starts, np.diff(np.r_[starts, owner.size]))


def keyed_numbers(database: Database, unit: _Ints, turn: _Ints, purpose: str, key: bytes) -> npt.NDArray[np.uint64]:
    """A pseudo-random number for each row, from its unit's name, which of the unit's rows it is, and what it is for.

    Shapes: `unit`, `turn` and what is returned are (rows,). No two rows, units or purposes share what is hashed: the purpose
    stands with its length, the turn ends with a bar, and the name comes last.
    """
    names = _names(database)
    head = f"{len(purpose)}|{purpose}|".encode()
    numbers = np.empty(unit.size, dtype=np.uint64)
    for start in range(0, unit.size, _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        pairs = zip(unit[block].tolist(), turn[block].tolist(), strict=True)
        numbers[block] = keyed_uniforms([b"%b%d|%b" % (head, which, names[who]) for who, which in pairs], key)
    return numbers


def _names(database: Database) -> Sequence[bytes]:
    """The units' names; numbers for synthetic units, which have none and need no protection."""
    return database.unit_names or tuple(str(unit).encode() for unit in range(database.units))


def coins(database: Database, share: float, key: bytes) -> npt.NDArray[np.bool_]:
    """Which units are held out: each by its own keyed coin, so that neighbours stay neighbours on both sides.

    Shapes: (units,). Raises: MechanismError when the share is not in [0, 1), or units have no names to toss coins by.
    """
    if not 0 <= share < 1:
        raise MechanismError(f"the held-out share must be at least 0 and below 1; found {share}")
    if database.unit_names is None:
        raise MechanismError(
            "units are held out by their names, and these have none: hold out of tables that were read"
        )
    limit = np.uint64(int(share * 2**64))
    none = np.zeros(database.units, dtype=np.int64)
    return keyed_numbers(database, np.arange(database.units), none, "held out", key) < limit
