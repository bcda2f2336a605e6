"""Rule masks: in which rows a business rule is broken.

Must never change a row; `rules` does.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import gcd, lcm
from typing import Final, TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.schema import Schema
from privsynth.schema.columns import SECONDS, DateColumn, ModelledColumn, NumericColumn, TemporalColumn
from privsynth.schema.rule import CombinationRule, Comparison, Condition, ImplicationRule, OrderRule, Rule, SumRule
from privsynth.schema.ticks import MISSING, tick

Ticks: TypeAlias = npt.NDArray[np.int64]
Mask: TypeAlias = npt.NDArray[np.bool_]

_COMPARE: Final[Mapping[Comparison, Callable[[Ticks, Ticks], Mask]]] = {
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


FAR: Final = 1 << 61
"""Beyond every tick, and small enough to add to one."""


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


def constant(column: ModelledColumn, value: str) -> int:
    """The tick of a rule's constant; the schema has checked that it is one."""
    return tick(column, value)


def broken(rule: Rule, schema: Schema, ticks: Mapping[str, Ticks]) -> Mask:
    """In which rows the rule is broken. Shapes: (rows,)."""
    match rule:
        case OrderRule():
            return _order_broken(rule, schema, ticks)
        case ImplicationRule():
            return holds(rule.condition, schema, ticks) & ~holds(rule.then, schema, ticks)
        case CombinationRule():
            present = ~_any_missing(rule.columns, ticks)
            rows = np.stack([ticks[name] for name in rule.names], axis=1)
            return present & ~_listed(rows, allowed(rule, schema))
        case SumRule():
            total = np.sum([ticks[name] for name in rule.parts], axis=0)
            return np.asarray(~_any_missing(rule.columns, ticks) & (ticks[rule.total] != total))


def _any_missing(names: tuple[str, ...], ticks: Mapping[str, Ticks]) -> Mask:
    return np.asarray(np.any([ticks[name] == MISSING for name in names], axis=0))


def _order_broken(rule: OrderRule, schema: Schema, ticks: Mapping[str, Ticks]) -> Mask:
    absent = _any_missing(rule.columns, ticks)
    mine, its = order_scales(rule, schema)
    own = mine.measure(np.where(absent, 0, ticks[rule.left]))
    bound = its.measure(np.where(absent, 0, right_side(rule, schema, ticks)))
    kept: Mask = np.asarray(_COMPARE[rule.op](own, bound), dtype=bool)
    return ~absent & ~kept


def order_scales(rule: OrderRule, schema: Schema) -> tuple[Scale, Scale]:
    """The common measure of the two sides of an order rule."""
    left = schema.modelled_column(rule.left)
    return scales(left, left if rule.right is None else schema.modelled_column(rule.right))


def right_side(rule: OrderRule, schema: Schema, ticks: Mapping[str, Ticks]) -> Ticks:
    """The right side of an order rule in every row: the other column, or the constant."""
    if rule.right is not None:
        return ticks[rule.right]
    assert rule.value is not None
    return np.full_like(ticks[rule.left], constant(schema.modelled_column(rule.left), rule.value))


def holds(condition: Condition, schema: Schema, ticks: Mapping[str, Ticks]) -> Mask:
    """In which rows a condition holds. Shapes: (rows,)."""
    column, own = schema.modelled_column(condition.column), ticks[condition.column]
    absent = own == MISSING
    present = ~absent & condition.accepts_present
    if condition.values:
        present &= np.isin(own, [constant(column, value) for value in condition.values])
    if condition.lower is not None:
        present &= own >= constant(column, condition.lower)
    if condition.upper is not None:
        present &= own <= constant(column, condition.upper)
    met: Mask = present | (absent & bool(condition.missing))
    return met


def allowed(rule: CombinationRule, schema: Schema) -> Ticks:
    """The listed combinations as ticks. Shapes: (combinations, columns)."""
    columns = [schema.modelled_column(name) for name in rule.names]
    rows = [[constant(column, value) for column, value in zip(columns, row, strict=True)] for row in rule.allowed]
    return np.unique(np.array(rows, dtype=np.int64), axis=0)


def _listed(rows: Ticks, listed: Ticks) -> Mask:
    """Which rows are among the listed ones: both numbered by their distinct rows. Shapes: (rows,)."""
    _, numbers = np.unique(np.concatenate([listed, rows]), axis=0, return_inverse=True)
    known = np.zeros(int(numbers.max()) + 1, dtype=bool)
    known[numbers[: len(listed)]] = True
    found: Mask = known[numbers[len(listed) :]]
    return found
