"""Whether people of the training table stand in the holdout too, which would make the comparison of the two worthless.

Must never say who, or how many: a refusal says what to do, and nothing of what was found.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from privsynth import statistics
from privsynth.database.held import Database
from privsynth.errors import AuditError
from privsynth.records import Records

_ALPHA: Final = 1e-4
"""Of holdouts that were split off at random, at most this share is refused."""
_MOST_PAIRS: Final = 5000
_ROUND = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_IN_BOTH = (
    "somebody is among the members and among the controls; controls must be people whom the generator never saw: "
    "split them off before the generator is fitted, by person and not by row"
)

Hashes = npt.NDArray[np.uint64]


def require_apart(members: Records, controls: Records, *, rng: np.random.Generator) -> None:
    """Refuse a holdout that shares people with the training table.

    By the names of units, by the schema's key where its columns are kept and name every row once, and by whole people (all
    rows of a unit) that are equal. Equal people can be different ones, so they are counted: pair up equal people of both
    tables together, blindly. If the holdout was split off at random, each pair is apart as often as chance has it, and the
    number of pairs apart has a known distribution; where it is larger than that explains, people were copied.

    Not seen: a few copies, fewer than about 14 where no two people are equal and both tables are as large; and copies of
    some of the rows of a unit under another name.

    Raises: AuditError, at most once in 10,000 holdouts that were split off at random.
    """
    if _named(members) & _named(controls) or _same_keys(members, controls):
        raise AuditError(_IN_BOTH)
    _require_few_pairs(_people(members), _people(controls), rng)


def require_histories_apart(members: Database, controls: Database, *, rng: np.random.Generator) -> None:
    """Refuse a holdout that shares units with the training tables: by their names, and by whole histories that are equal.

    Raises: AuditError, as `require_apart` does.
    """
    if set(members.unit_names or ()) & set(controls.unit_names or ()):
        raise AuditError(_IN_BOTH)
    _require_few_pairs(_histories(members), _histories(controls), rng)


def _require_few_pairs(members: Hashes, controls: Hashes, rng: np.random.Generator) -> None:
    if _chance_of_pairs(members, controls, rng) < _ALPHA:
        raise AuditError(
            "more records of the holdout stand in the training table too than chance explains, so that it is no holdout; "
            "give one that was split off at random, by person, before the generator was fitted, and duplicates removed"
        )


def _named(records: Records) -> set[bytes]:
    if records.units is None or records.unit_names is None:
        return set()
    return {records.unit_names[unit] for unit in np.unique(records.units).tolist()}


def _same_keys(members: Records, controls: Records) -> bool:
    """Whether a row of each has the same key, if the key tells rows of one table apart as it should."""
    key = members.schema.table.key
    if not key or not set(key) <= set(members.ticks):
        return False
    inside, outside = np.unique(_rows(members, key)), np.unique(_rows(controls, key))
    if len(inside) < members.rows or len(outside) < controls.rows:
        return False
    return bool(np.isin(inside, outside).any())


def _mixed(values: Hashes) -> Hashes:
    """Spread every bit over all bits. Source: Steele, Lea, Flood 2014 (splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * _FIRST
    values = (values ^ (values >> np.uint64(27))) * _SECOND
    return values ^ (values >> np.uint64(31))


def _rows(records: Records, names: tuple[str, ...]) -> Hashes:
    """A hash of each row's values in these columns: of a million rows, two that differ agree once in 30 million tables."""
    hashes = np.zeros(records.rows, dtype=np.uint64)
    for name in names:
        hashes = _mixed(hashes + _ROUND + records.ticks[name].astype(np.uint64) * _SECOND)
    return hashes


def _people(records: Records) -> Hashes:
    """A hash of each person: of all rows of a unit, in any order."""
    rows = _rows(records, tuple(records.ticks))
    if records.units is None:
        return rows
    order = np.argsort(records.units, kind="stable")
    starts = np.flatnonzero(np.diff(records.units[order], prepend=-1))
    return np.add.reduceat(_mixed(rows + _ROUND)[order], starts)


def _histories(database: Database) -> Hashes:
    """A hash of each unit: of all rows of all its tables, in any order."""
    hashes = np.zeros(database.units, dtype=np.uint64)
    for number, rows in enumerate(database.tables.values()):
        salt = np.uint64(int(_ROUND) * (number + 1) % (1 << 64))
        found = (
            np.full(rows.count, salt) if rows.records is None else _rows(rows.records, tuple(rows.records.ticks)) + salt
        )
        np.add.at(hashes, rows.unit, _mixed(found))
    return hashes


def _chance_of_pairs(members: Hashes, controls: Hashes, rng: np.random.Generator) -> float:
    """P-value of so many pairs of equal people being one in each table, given how many pairs there are.

    Who is paired with whom, and which pairs are looked at where there are very many, is drawn without a look at the tables,
    so that under a random split the pairs are as good as marked beforehand.
    """
    order = rng.permutation(len(members) + len(controls))
    pool = np.concatenate([members, controls])[order]
    by_value = np.argsort(pool, kind="stable")
    values, is_member = pool[by_value], order[by_value] < len(members)
    new = np.flatnonzero(np.diff(values, prepend=~values[:1]))
    within = np.arange(len(values)) - np.repeat(new, np.diff(np.append(new, len(values))))
    seconds = np.flatnonzero(within % 2 == 1)
    seconds = rng.permutation(seconds)[:_MOST_PAIRS]
    apart = int((is_member[seconds] != is_member[seconds - 1]).sum())
    return statistics.split_pairs_p_value(apart, len(seconds), len(members), len(controls))
