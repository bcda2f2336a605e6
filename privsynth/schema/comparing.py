"""Comparing: the measure in which a rule compares two columns, and the values that a rule's constants stand for.

Must never look at more than the columns that a rule names.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import gcd, lcm
from typing import Final, TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.schema.columns import SECONDS, DateColumn, ModelledColumn, NumericColumn, TemporalColumn
from privsynth.schema.rule import CombinationRule, Comparison, Condition
from privsynth.schema.ticks import FAR, MISSING, tick, tick_all

Ticks: TypeAlias = npt.NDArray[np.int64]
Mask: TypeAlias = npt.NDArray[np.bool_]

COMPARE: Final[Mapping[Comparison, Callable[[Ticks, Ticks], Mask]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}
MIRRORED: Final[Mapping[Comparison, Comparison]] = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "=="}

_COARSE = ("second", "minute", "hour", "day", "month", "year")
_NUMPY_UNIT = {"second": "s", "minute": "m", "hour": "h", "day": "D", "month": "M", "year": "Y"}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """A common measure of two columns, in which their ticks can be compared: whole numbers, never decreasing in the ticks.

    `measure` turns ticks into it; `least` returns the smallest tick whose measure is at least a value.
    """

    measure: Callable[[Ticks], Ticks]
    least: Callable[[Ticks], Ticks]


def scales(left: ModelledColumn, right: ModelledColumn) -> tuple[Scale, Scale]:
    """A common measure for two columns: the value for numbers, the coarser of two granularities for times, else the label."""
    if isinstance(left, NumericColumn) and isinstance(right, NumericColumn):
        (a, b), (c, d) = left.unit.as_integer_ratio(), right.unit.as_integer_ratio()
        common = lcm(b, d)
        factors = (a * common // b, c * common // d)
        shared = gcd(*factors)
        return _numeric(factors[0] // shared), _numeric(factors[1] // shared)
    if isinstance(left, TemporalColumn) and isinstance(right, TemporalColumn):
        unit = _NUMPY_UNIT[max(left.granularity, right.granularity, key=_COARSE.index)]
        return _temporal(left, unit), _temporal(right, unit)
    return _numeric(1), _numeric(1)


def _numeric(factor: int) -> Scale:
    """Multiples of a factor, in Python's whole numbers where 64 bits may not hold them."""
    if factor == 1:
        return Scale(measure=lambda ticks: ticks, least=_bounded)
    return Scale(
        measure=lambda ticks: ticks.astype(object) * factor, least=lambda values: _bounded(-(-values // factor))
    )


def _bounded(values: Ticks) -> Ticks:
    return np.clip(values, -FAR, FAR).astype(np.int64)


def _temporal(column: TemporalColumn, unit: str) -> Scale:
    seconds = 86400 if isinstance(column, DateColumn) else SECONDS[column.granularity]

    def measure(ticks: Ticks) -> Ticks:
        return (ticks * seconds).astype("datetime64[s]").astype(f"datetime64[{unit}]").astype(np.int64)

    def least(values: Ticks) -> Ticks:
        starts = values.astype(f"datetime64[{unit}]").astype("datetime64[s]").astype(np.int64)
        return -(-starts // seconds)

    return Scale(measure=measure, least=least)


def meets(condition: Condition, column: ModelledColumn, ticks: Ticks) -> Mask:
    """Which ticks of its column satisfy a condition. Shapes: as `ticks`."""
    absent = ticks == MISSING
    present = ~absent & condition.accepts_present
    if condition.values:
        present &= np.isin(ticks, tick_all(column, condition.values))
    if condition.lower is not None:
        present &= ticks >= tick(column, condition.lower)
    if condition.upper is not None:
        present &= ticks <= tick(column, condition.upper)
    met: Mask = present | (absent & bool(condition.missing))
    return met


def listed(rule: CombinationRule, columns: Mapping[str, ModelledColumn]) -> Ticks:
    """The listed combinations as ticks, each once. Shapes: (combinations, columns)."""
    values = [
        tick_all(columns[name], texts) for name, texts in zip(rule.names, zip(*rule.allowed, strict=True), strict=True)
    ]
    return np.unique(np.stack(values, axis=1), axis=0)
