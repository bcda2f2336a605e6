"""Ticks: one declared or released value as a whole number, and back; for values that are written in schemas or asked for.

Must never be used row by row: tables are converted as arrays, in `parsing` and `records`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

import numpy as np
import numpy.typing as npt

from privsynth.schema import codelists
from privsynth.schema.columns import (
    SECONDS,
    BooleanColumn,
    CategoryColumn,
    DateColumn,
    DatetimeColumn,
    IntegerColumn,
    ModelledColumn,
    NumberColumn,
    OrderedColumn,
)

MISSING = int(np.iinfo(np.int64).min)
"""The tick of a missing value, in every column."""

FAR: Final = 1 << 61
"""Beyond every tick, and small enough to add to one."""

EPOCH = dt.date(1970, 1, 1)
_EPOCH_TIME = dt.datetime(1970, 1, 1)
_DATE_UNITS = {"day": "D", "month": "M", "year": "Y"}


def granules(column: ModelledColumn, ticks: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Turn ticks into consecutive whole numbers, one an admissible value: months or years for such dates, else the ticks.

    Missing ticks stay missing; a day inside a month belongs to that month.
    """
    if not isinstance(column, DateColumn) or column.granularity == "day":
        return ticks
    unit = _DATE_UNITS[column.granularity]
    absent = ticks == MISSING
    days = np.where(absent, 0, ticks).astype("datetime64[D]")
    return np.where(absent, MISSING, days.astype(f"datetime64[{unit}]").astype(np.int64))


def from_granules(column: ModelledColumn, values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Undo `granules`: a month or a year becomes its first day."""
    if not isinstance(column, DateColumn) or column.granularity == "day":
        return values
    unit = _DATE_UNITS[column.granularity]
    absent = values == MISSING
    points = np.where(absent, 0, values).astype(f"datetime64[{unit}]")
    return np.where(absent, MISSING, points.astype("datetime64[D]").astype(np.int64))


def ticks_per_day(column: DateColumn | DatetimeColumn) -> int:
    """How many ticks make a day."""
    return 1 if isinstance(column, DateColumn) else 86400 // SECONDS[column.granularity]


def rebased(
    column: DateColumn | DatetimeColumn, base: DateColumn | DatetimeColumn, ticks: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Turn ticks of the column that `column` is counted after into ticks of `column`; missing ticks stay missing."""
    seconds = [SECONDS["day" if isinstance(one, DateColumn) else one.granularity] for one in (base, column)]
    if seconds[0] == seconds[1]:
        return ticks
    absent = ticks == MISSING
    return np.where(absent, MISSING, np.where(absent, 0, ticks) * seconds[0] // seconds[1])


def _number(column: IntegerColumn | NumberColumn, value: object) -> int:
    try:
        steps = Decimal(str(value)) / column.unit
    except InvalidOperation:
        raise ValueError(f"expected a number, found {value!r}") from None
    if not steps.is_finite():
        raise ValueError(f"expected a finite number, found {value!r}")
    if steps != steps.to_integral_value():
        raise ValueError(f"{value} is not a multiple of {column.unit}")
    return int(steps)


def _date(column: DateColumn, value: object) -> int:
    if isinstance(value, str):
        try:
            value = dt.date.fromisoformat(value + {4: "-01-01", 7: "-01"}.get(len(value), ""))
        except ValueError:
            raise ValueError(f"expected a date such as 2001-01-31, found {value!r}") from None
    if isinstance(value, dt.datetime):
        value = value.date()
    if not isinstance(value, dt.date):
        raise ValueError(f"expected a date such as 2001-01-31, found {value!r}")
    days = np.array([(value - EPOCH).days], dtype=np.int64)
    return int(from_granules(column, granules(column, days))[0])


def _datetime(column: DatetimeColumn, value: object) -> int:
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"expected a time such as 2001-01-31T12:00:00, found {value!r}") from None
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day)
    if not isinstance(value, dt.datetime) or value.tzinfo is not None:
        raise ValueError(f"expected a local time such as 2001-01-31T12:00:00, without zone, found {value!r}")
    return int((value - _EPOCH_TIME).total_seconds() // SECONDS[column.granularity])


def _label(column: CategoryColumn | OrderedColumn | BooleanColumn, value: object) -> int:
    if isinstance(column, BooleanColumn):
        if isinstance(value, bool):
            return int(value)
        if value in column.true or value in column.false:
            return int(value in column.true)
    elif isinstance(column, CategoryColumn) and column.codes is not None and isinstance(value, str):
        found = int(codelists.load(column.codes).find([value])[0])
        if found >= 0:
            return found
    elif isinstance(value, str | int) and not isinstance(value, bool) and str(value) in column.labels:
        return column.labels.index(str(value))
    raise ValueError(f"{value!r} is none of its labels ({', '.join(column.labels[:12])})")


def tick(column: ModelledColumn, value: object) -> int:
    """Turn one value (or its text) into its tick; bounds are not checked.

    Raises: ValueError, whose text quotes the value: only for values that are public.
    """
    match column:
        case IntegerColumn() | NumberColumn():
            return _number(column, value)
        case DateColumn():
            return _date(column, value)
        case DatetimeColumn():
            return _datetime(column, value)
        case _:
            return _label(column, value)


def tick_all(column: ModelledColumn, values: Sequence[str]) -> npt.NDArray[np.int64]:
    """Turn many texts into ticks, as `tick` does; what lies beyond every tick is cut to FAR or its negative.

    Shapes: (values,). Raises: ValueError, as `tick`.
    """
    if isinstance(column, CategoryColumn) and column.codes is not None:
        found = codelists.load(column.codes).find(list(values)).tolist()
    elif isinstance(column, CategoryColumn | OrderedColumn):
        place = {label: index for index, label in enumerate(column.labels)}
        found = [place.get(value, -1) for value in values]
    else:
        return np.array([min(max(tick(column, value), -FAR), FAR) for value in values], dtype=np.int64)
    if -1 in found:
        tick(column, values[found.index(-1)])
    return np.array(found, dtype=np.int64)


def text(column: ModelledColumn, value: int) -> str:
    """Write one tick as text: the label, the decimal number, the ISO date or time; "missing" for a missing value."""
    if value == MISSING:
        return "missing"
    match column:
        case IntegerColumn() | NumberColumn():
            return format(value * column.unit, "f")
        case DateColumn():
            iso = (EPOCH + dt.timedelta(days=value)).isoformat()
            return iso[: {"day": 10, "month": 7, "year": 4}[column.granularity]]
        case DatetimeColumn():
            moment = _EPOCH_TIME + dt.timedelta(seconds=value * SECONDS[column.granularity])
            return moment.isoformat(timespec="seconds")
        case _:
            return column.labels[value]
