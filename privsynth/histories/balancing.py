"""Balancing: amounts of the rows of one parent whose signed sum must be zero, debits against credits.

Must never change a missing amount or a group that balances, or a sign where the amounts of a group can balance without.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from privsynth.database.held import Database
from privsynth.database.terms import Balanced
from privsynth.histories import kinship
from privsynth.histories.deriving import signed, signs, sums
from privsynth.schema.levels import granule_bounds
from privsynth.schema.ticks import MISSING

_Ints = npt.NDArray[np.int64]
_Mask = npt.NDArray[np.bool_]

_WIDE = float(1 << 62)
"""Products beyond it are taken in Python's whole numbers."""


def text(rule: Balanced) -> str:
    """The rule in words."""
    negative = rule.negative
    return (
        f"{rule.table}.{rule.amount} balances, below zero where {negative.column} in {{{', '.join(negative.values)}}}"
    )


def differences(database: Database, rule: Balanced) -> _Ints:
    """The signed sum over the rows of each parent, in ticks. Shapes: (parent rows,). Missing amounts count as zero."""
    above = database.schema.table(rule.table).parent_table
    return sums(database, above, rule.table, signed(database, rule.table, rule.amount, rule.negative))


def broken(database: Database, rule: Balanced) -> _Mask:
    """Which rows belong to a parent whose rows do not balance; those without a parent are not bound. Shapes: (rows,)."""
    above = database.schema.table(rule.table).parent_table
    place = kinship.rows_above(database, rule.table, above)
    unequal = np.append(differences(database, rule) != 0, False)
    found: _Mask = unequal[place]
    return found


def balance(database: Database, rule: Balanced, *, rng: np.random.Generator) -> tuple[dict[str, _Ints], _Mask]:
    """Change the last amount of each group that does not balance; where its bounds do not reach, all amounts of the group.

    All then move by the same share of the way to their bounds, so that few end there. Where amounts of these signs cannot
    balance at all (debits alone), the last amount gets a label of the other sign, one that a random other row has.
    Args: the rows of `database` are in order.
    Returns: the columns that changed, as ticks, and which parents have no amounts that balance. Shapes: (parent rows,).
    """
    changed, hopeless = _amounts(database, rule)
    if hopeless.any():
        turned = _turned(database, rule, hopeless, rng)
        if turned:
            changed, hopeless = _amounts(kinship.with_ticks(database, rule.table, turned), rule)
            changed |= turned
    return changed, hopeless


def _amounts(database: Database, rule: Balanced) -> tuple[dict[str, _Ints], _Mask]:
    """Amounts of the same signs that balance, and the parents for which there are none (they are left as they are)."""
    difference = differences(database, rule)
    parent = database.tables[rule.table].parent
    rows = np.flatnonzero((parent >= 0) & (np.append(difference, 0)[parent] != 0))[::-1]
    hopeless = np.zeros(difference.shape, dtype=bool)
    if not rows.size:
        return {}, hopeless
    column, ticks = kinship.column_and_ticks(database, rule.table, rule.amount)
    lower, upper = granule_bounds(column)
    own, sign, need = ticks[rows], signs(database, rule.table, rule.negative)[rows], -difference[parent[rows]]
    grows, need = (need > 0) == (sign > 0), np.abs(need)
    room = np.where(own == MISSING, 0, np.minimum(np.where(grows, upper - own, own - lower), need))
    start = np.append(0, np.flatnonzero(np.diff(parent[rows])) + 1)
    taken = _shared(room, need, own != MISSING, start)
    reached = np.add.reduceat(taken, start) == need[start]
    hopeless[parent[rows][start][~reached]] = True
    moved = ~hopeless[parent[rows]]
    changed = ticks.copy()
    changed[rows[moved]] += np.where(grows, taken, -taken)[moved]
    return {rule.amount: changed}, hopeless


def _shared(room: _Ints, need: _Ints, present: _Mask, start: _Ints) -> _Ints:
    """How much each row of a group takes of what the group needs: the first all, where it has room, or each its share.

    Args: groups begin at `start`; `need` is the group's, at each of its rows. Where all room is too little, all is taken.
    """
    size = np.diff(np.append(start, room.size))
    group = np.repeat(np.arange(start.size), size)
    seen = np.cumsum(present)
    first = present & (seen - (seen - present)[start][group] == 1)
    alone = np.add.reduceat(np.where(first, room, 0), start) == need[start]
    total = np.add.reduceat(room, start)
    if float(need.max()) * float(total.max()) >= _WIDE:
        room, need, total = room.astype(object), need.astype(object), total.astype(object)
    asked = np.minimum(need, total[group])
    so_far = np.cumsum(room)
    so_far = so_far - (so_far - room)[start][group]
    whole = np.maximum(total[group], 1)
    share = (asked * so_far // whole - asked * (so_far - room) // whole).astype(np.int64)
    return np.where(alone[group], np.where(first, need, 0), share).astype(np.int64)


def _turned(database: Database, rule: Balanced, hopeless: _Mask, rng: np.random.Generator) -> dict[str, _Ints]:
    """Labels in which the last amount of each of these parents has the other sign; empty where no row has such a label."""
    name = rule.negative.column
    _, labels = kinship.column_and_ticks(database, rule.table, name)
    _, ticks = kinship.column_and_ticks(database, rule.table, rule.amount)
    parent, sign = database.tables[rule.table].parent, signs(database, rule.table, rule.negative)
    rows = np.flatnonzero((parent >= 0) & np.append(hopeless, False)[parent] & (ticks != MISSING))
    last = rows[np.append(np.diff(parent[rows]) != 0, True)] if rows.size else rows
    changed = labels.copy()
    for one in (-1, 1):
        here, lenders = last[sign[last] == one], np.flatnonzero(sign == -one)
        if here.size and lenders.size:
            changed[here] = labels[rng.choice(lenders, size=here.size)]
    return {name: changed} if (changed != labels).any() else {}
