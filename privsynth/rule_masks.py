"""Rule masks: in which rows a business rule is broken.

Must never change a row; `rules` does.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from privsynth.schema import Schema
from privsynth.schema.columns import ModelledColumn
from privsynth.schema.comparing import COMPARE, Mask, Scale, Ticks, listed, meets, scales
from privsynth.schema.rule import CombinationRule, Condition, ImplicationRule, OrderRule, Rule, SumRule
from privsynth.schema.ticks import MISSING, tick


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
            return present & ~_among(rows, allowed(rule, schema))
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
    kept: Mask = np.asarray(COMPARE[rule.op](own, bound), dtype=bool)
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
    return meets(condition, schema.modelled_column(condition.column), ticks[condition.column])


def allowed(rule: CombinationRule, schema: Schema) -> Ticks:
    """The listed combinations as ticks. Shapes: (combinations, columns)."""
    return listed(rule, {name: schema.modelled_column(name) for name in rule.names})


def _among(rows: Ticks, known_rows: Ticks) -> Mask:
    """Which rows are among the known ones: both numbered by their distinct rows. Shapes: (rows,)."""
    _, numbers = np.unique(np.concatenate([known_rows, rows]), axis=0, return_inverse=True)
    known = np.zeros(int(numbers.max()) + 1, dtype=bool)
    known[numbers[: len(known_rows)]] = True
    found: Mask = known[numbers[len(known_rows) :]]
    return found
