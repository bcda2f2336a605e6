"""Derived columns: what is computed from the drawn tables when they are written: positions, ages, balances, totals.

Must never compute an amount with floats: sums are whole numbers of the finest step, and only what is written is rounded.
"""

from __future__ import annotations

from fractions import Fraction
from math import gcd, lcm

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from privsynth.database.document import DatabaseSchema, TableTerms
from privsynth.database.held import Database
from privsynth.database.terms import Copied, Count, Derived, Elapsed, Running, Sequence, Sign, Total
from privsynth.errors import FitError
from privsynth.histories import kinship
from privsynth.records import written
from privsynth.schema.columns import SECONDS, DateColumn, DatetimeColumn, IntegerColumn, ModelledColumn, NumberColumn
from privsynth.schema.ticks import MISSING

_Ints = npt.NDArray[np.int64]

_SECONDS_A_DAY = 86_400
_EXACT = 1 << 53
"""Whole numbers below it are exact as float64, and so is the decimal that is nearest to such a number over 10, 100, ..."""


def derive(schema: DatabaseSchema, database: Database) -> dict[str, dict[str, pa.Array]]:
    """Compute every derived column of every table; a table without any has an empty entry.

    Positions and counts are int64, elapsed times int64 (null where a date is missing), sums int64 where all that is summed
    are integers and else the float64 nearest to the exact decimal, copies of the copied column's type (null without a row
    above). In sums, missing amounts and a missing opening count as zero, so that opening + sum = closing always.
    Args: the rows of `database` are in order (see `kinship.arranged`).
    Raises: FitError where a sum is too large to be written exactly.
    """
    return {terms.name: {one.name: _derived(database, terms, one) for one in terms.derived} for terms in schema.tables}


def _derived(database: Database, terms: TableTerms, one: Derived) -> pa.Array:
    match one:
        case Sequence():
            return pa.array(positions(database, terms.name))
        case Elapsed():
            return _elapsed(database, terms.name, one)
        case Running():
            return _running(database, terms.name, one)
        case Total():
            return _total(database, terms.name, one)
        case Count():
            return pa.array(sums(database, terms.name, one.of, np.ones(database.tables[one.of].count, dtype=np.int64)))
        case Copied():
            return _copied(database, terms.name, one.of)


def positions(database: Database, table: str) -> _Ints:
    """1, 2, 3, ... among the rows of one unit and parent. Shapes: (rows,)."""
    rows = database.tables[table]
    starts = kinship.group_starts(rows)
    return np.arange(1, rows.count + 1) - starts[kinship.group_numbers(rows)]


def _copied(database: Database, table: str, of: str) -> pa.Array:
    above, _, name = of.rpartition(".")
    above = above or database.schema.table(table).parent_table
    column, ticks = kinship.column_and_ticks(database, above, name)
    place = kinship.rows_above(database, table, above)
    return written(column, ticks).take(pa.array(place, mask=place < 0))


# --- sums ---


def signed(database: Database, table: str, amount: str, negative: Sign | None) -> _Ints:
    """The amounts in ticks, those of negative rows with the other sign; missing ones are 0. Shapes: (rows,)."""
    _, ticks = kinship.column_and_ticks(database, table, amount)
    return np.where(ticks == MISSING, 0, ticks) * signs(database, table, negative)


def signs(database: Database, table: str, negative: Sign | None) -> _Ints:
    """-1 where a row's label is one that counts as negative, else 1. Shapes: (rows,)."""
    if negative is None:
        return np.ones(database.tables[table].count, dtype=np.int64)
    column, labels = kinship.column_and_ticks(database, table, negative.column)
    assert not isinstance(column, IntegerColumn | NumberColumn | DateColumn | DatetimeColumn)
    listed = [column.labels.index(value) for value in negative.values]
    return np.where(np.isin(labels, listed), -1, 1)


def sums(database: Database, above: str, table: str, values: _Ints) -> _Ints:
    """The sum of a child table's values over each row of its parent. Shapes: `values` is (child rows,)."""
    parent = database.tables[table].parent
    found = np.zeros(database.tables[above].count, dtype=np.int64)
    held = (parent >= 0) & (parent < found.size)
    np.add.at(found, parent[held], values[held])
    return found


def _running(database: Database, table: str, one: Running) -> pa.Array:
    column, _ = kinship.column_and_ticks(database, table, one.of)
    rows = database.tables[table]
    amounts = signed(database, table, one.of, one.negative)
    starts, group = kinship.group_starts(rows), kinship.group_numbers(rows)
    so_far = np.cumsum(amounts)
    before = (so_far - amounts)[starts]
    size = _weighed(group, amounts, len(starts))
    opening = None if one.opening is None else kinship.lifted(database, table, one.opening)
    return _summed(one.name, column, so_far - before[group], size[group], opening)


def _total(database: Database, table: str, one: Total) -> pa.Array:
    child, _, name = one.of.partition(".")
    column, _ = kinship.column_and_ticks(database, child, name)
    amounts = signed(database, child, name, one.negative)
    parent = database.tables[child].parent
    held = parent >= 0
    size = _weighed(parent[held], amounts[held], database.tables[table].count)
    opening = None if one.opening is None else kinship.column_and_ticks(database, table, one.opening)
    return _summed(one.name, column, sums(database, table, child, amounts), size, opening)


def _weighed(group: _Ints, values: _Ints, groups: int) -> npt.NDArray[np.float64]:
    """About the sum of the values' sizes in each group, whatever it is: floats do not run over."""
    found: npt.NDArray[np.float64] = np.bincount(group, np.abs(values).astype(np.float64), groups).astype(np.float64)
    return found


def _summed(
    name: str,
    column: ModelledColumn,
    sums: _Ints,
    size: npt.NDArray[np.float64],
    opening: tuple[ModelledColumn, _Ints] | None,
) -> pa.Array:
    """Opening plus sum in the finest step that both are whole numbers of, written.

    Args: `size` bounds each sum from above, as a float, so that one that left 64 bits is seen.
    """
    step, whole = _step(column), isinstance(column, IntegerColumn)
    if opening is not None:
        other, ticks = opening
        own, its = step, _step(other)
        bottom = lcm(own.denominator, its.denominator)
        step = Fraction(gcd(int(own * bottom), int(its * bottom)), bottom)
        whole = whole and isinstance(other, IntegerColumn)
        start = np.where(ticks == MISSING, 0, ticks)
        size = size * float(own / step) + np.abs(start) * float(its / step)
        sums = sums * int(own / step) + start * int(its / step)
    if size.size and float(size.max()) * step.numerator >= _EXACT:
        raise FitError(
            f'derived column "{name}": sums of more than 2^53 steps cannot be written exactly; declare a coarser precision '
            "or narrower bounds for what is summed"
        )
    if whole:
        return pa.array(sums * step.numerator)
    return pa.array((sums * step.numerator).astype(np.float64) / step.denominator)


def _step(column: ModelledColumn) -> Fraction:
    assert isinstance(column, IntegerColumn | NumberColumn)
    return Fraction(column.unit)


# --- elapsed time ---


def _elapsed(database: Database, table: str, one: Elapsed) -> pa.Array:
    """Whole days, months or years from one date to another; below zero, and as long, where they are the other way round."""
    own = database.schema.table(table).columns
    (first, since), (second, at) = (
        kinship.column_and_ticks(database, table, name) if name in own else kinship.lifted(database, table, name)
        for name in (one.since, one.at)
    )
    absent = (since == MISSING) | (at == MISSING)
    start, end = _days(first, np.where(absent, 0, since)), _days(second, np.where(absent, 0, at))
    found = whole_spans(np.minimum(start, end), np.maximum(start, end), one.unit)
    return pa.array(np.where(start <= end, found, -found), mask=absent)


def _days(column: ModelledColumn, ticks: _Ints) -> _Ints:
    """Days since 1970-01-01; of a time its day."""
    assert isinstance(column, DateColumn | DatetimeColumn)
    if isinstance(column, DateColumn):
        return ticks
    found: _Ints = ticks * SECONDS[column.granularity] // _SECONDS_A_DAY
    return found


def whole_spans(start: _Ints, end: _Ints, unit: str) -> _Ints:
    """Whole days, months or years from day `start` to day `end`, not before it, as birthdays count them.

    A year is full on the day of the same month and number; where the month has no such day (29 February), on the first of
    the next month. Shapes: all alike; days since 1970-01-01.
    """
    if unit == "days":
        return end - start
    months = []
    for days in (start, end):
        dates = days.astype("datetime64[D]")
        month = dates.astype("datetime64[M]")
        months.append((month.astype(np.int64), (dates - month.astype("datetime64[D]")).astype(np.int64)))
    (first, day), (last, last_day) = months
    full = last - first - (last_day < day)
    found: _Ints = full if unit == "months" else full // 12
    return found
