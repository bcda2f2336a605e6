"""Balancing: amounts of the rows of one parent whose signed sum must be zero, debits against credits.

Must never change a sign, a missing amount, or a group that balances.
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


def balance(database: Database, rule: Balanced) -> tuple[_Ints | None, _Mask]:
    """Change the last amount of each group that does not balance; where its bounds do not reach, the one before too.

    Args: the rows of `database` are in order.
    Returns: the amounts as ticks (None where none changed), and which parents have no amounts that balance (unchanged).
        Shapes: (rows,) and (parent rows,).
    """
    difference = differences(database, rule)
    parent = database.tables[rule.table].parent
    rows = np.flatnonzero((parent >= 0) & (np.append(difference, 0)[parent] != 0))[::-1]
    hopeless = np.zeros(difference.shape, dtype=bool)
    if not rows.size:
        return None, hopeless
    column, ticks = kinship.column_and_ticks(database, rule.table, rule.amount)
    lower, upper = granule_bounds(column)
    own, sign, need = ticks[rows], signs(database, rule.table, rule.negative)[rows], -difference[parent[rows]]
    grows = (need > 0) == (sign > 0)
    room = np.where(own == MISSING, 0, np.where(grows, upper - own, own - lower))
    room = np.minimum(room, np.abs(need))
    start = np.append(0, np.flatnonzero(np.diff(parent[rows])) + 1)
    group = np.cumsum(np.isin(np.arange(rows.size), start)) - 1
    before = np.cumsum(room) - room
    taken = np.clip(np.abs(need) - (before - before[start][group]), 0, room)
    hopeless[parent[rows]] = True
    reached = np.add.reduceat(taken, start) == np.abs(need[start])
    hopeless[parent[rows][start][reached]] = False
    changed = ticks.copy()
    moved = reached[group] & (taken > 0)
    changed[rows[moved]] += (np.where(grows, taken, -taken))[moved]
    return changed, hopeless
