"""Business rules on synthetic tables: which rows break them, and a repair after which none does.

Must never be run to learn something of private records: what it counts is counted on synthetic rows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth import conditions
from privsynth.encoding import offsets
from privsynth.errors import FitError
from privsynth.records import Records
from privsynth.rule_masks import allowed, broken, constant, holds, order_scales, right_side
from privsynth.schema import Schema
from privsynth.schema.columns import TemporalColumn
from privsynth.schema.comparing import MIRRORED, Mask, Scale, Ticks
from privsynth.schema.levels import granule_bounds, levels
from privsynth.schema.rule import CombinationRule, ImplicationRule, OrderRule, Rule, SumRule
from privsynth.schema.ticks import FAR, MISSING, from_granules, granules, rebased

_ROUNDS = 6
"""Repairing one rule may break another; after so many rounds a row that is still broken is replaced."""


def check(rules: Sequence[Rule], records: Records) -> dict[str, npt.NDArray[np.bool_]]:
    """For every rule, by its text, which rows break it. Shapes: each mask is (rows,)."""
    return {rule.text: broken(rule, records.schema, records.ticks) for rule in rules}


def meets(schema: Schema, records: Records, given: Mapping[str, object]) -> npt.NDArray[np.bool_]:
    """Which rows meet the conditions of `encoding.evidence`. Shapes: (rows,)."""
    found = offsets(schema, records.ticks)
    met = np.ones(records.rows, dtype=bool)
    for name, one in conditions.read_conditions(schema, given).items():
        met &= one.admits(found[name])
    return met


def repair(
    schema: Schema,
    records: Records,
    *,
    rng: np.random.Generator,
    keep: Collection[str] = (),
    asked: Collection[str] = (),
) -> tuple[Records, dict[str, int]]:
    """Change as little as needed for every rule to hold in every row.

    A value is first drawn anew within its own bin, which keeps every measured table as it is; then moved to the nearest
    value that obeys; a row that still breaks a rule after a few rounds is replaced by a random row that breaks none.
    Args: `keep` names columns that are not changed in place (those that were conditioned on); `asked` those of which a caller
            asked something, to be named where it contradicts the rules.
    Returns: the records, and for every rule, by its text, in how many rows it was broken.
    Raises: FitError when no row obeys every rule, so that there is nothing to replace the others by.
    """
    counts = {text: int(mask.sum()) for text, mask in check(schema.rules, records).items()}
    if not any(counts.values()):
        return records, counts
    table = _Table(
        schema=schema, ticks={name: ticks.copy() for name, ticks in records.ticks.items()}, keep=keep, rng=rng
    )
    for _ in range(_ROUNDS):
        clean = True
        for rule in schema.rules:
            rows = np.flatnonzero(broken(rule, schema, table.ticks))
            if rows.size:
                clean = False
                _mend(table, rule, rows)
        if clean:
            break
    return _replaced(records.with_ticks(table.ticks), rng, asked), counts


def _replaced(records: Records, rng: np.random.Generator, asked: Collection[str]) -> Records:
    """Replace the rows that still break a rule, or left their schema, by random ones that do not."""
    masks = check(records.schema.rules, records)
    bad = np.any([*masks.values(), _outside(records)], axis=0)
    if not bad.any():
        return records
    good = np.flatnonzero(~bad)
    if not good.size:
        worst = max(masks, key=lambda text: int(masks[text].sum()))
        if asked:
            raise FitError(
                f'no row with what was asked of {", ".join(asked)} obeys every rule; the hardest is "{worst}". Ask for '
                "something else of these columns, or correct the rule"
            )
        raise FitError(f'no row obeys every rule; the hardest is "{worst}". Check it against the schema, or remove it')
    index = np.arange(records.rows)
    index[bad] = rng.choice(good, size=int(bad.sum()))
    return records.take(index)


def _outside(records: Records) -> Mask:
    """Which rows have a column outside its bounds: one counted after another, which was moved."""
    found = offsets(records.schema, records.ticks)
    bad = np.zeros(records.rows, dtype=bool)
    for column, base in records.schema.following:
        lower, upper = granule_bounds(column)
        own = found[column.name]
        bad |= (own != MISSING) & ((own < lower) | (own > upper))
        bad |= (records.ticks[base.name] == MISSING) & (records.ticks[column.name] != MISSING)
    return bad


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """Rows under repair: what each cell may become, and writing to one."""

    schema: Schema
    ticks: dict[str, Ticks]
    keep: Collection[str]
    rng: np.random.Generator

    def start(self, name: str, rows: Ticks) -> Ticks:
        """What a column's bounds are counted from: 0, or the column that it is counted after."""
        for column, base in self.schema.following:
            if column.name == name:
                found = rebased(column, base, self.ticks[base.name][rows])
                return np.where(found == MISSING, 0, found)
        return np.zeros(rows.size, dtype=np.int64)

    def bounds(self, name: str, rows: Ticks) -> tuple[Ticks, Ticks]:
        """Lowest and highest granule that each cell may take."""
        lower, upper = granule_bounds(self.schema.modelled_column(name))
        start = self.start(name, rows)
        return start + lower, start + upper

    def bin(self, name: str, rows: Ticks) -> tuple[Ticks, Ticks]:
        """Lowest and highest granule of each cell's own level."""
        column = self.schema.modelled_column(name)
        layout, start = levels(column), self.start(name, rows)
        own = np.clip(granules(column, self.ticks[name][rows]) - start, layout.lower, layout.upper)
        first, last = layout.span(layout.codes(own))
        return start + first, start + last

    def write(self, name: str, rows: Ticks, values: Ticks) -> None:
        """Set cells, and move along what is counted in days after them."""
        before = self.ticks[name][rows]
        self.ticks[name][rows] = values
        for column, base in self.schema.following:
            if base.name == name:
                own = self.ticks[column.name][rows]
                there = (own != MISSING) & (before != MISSING) & (values != MISSING)
                old, new = (rebased(column, base, np.where(there, one, 0)) for one in (before, values))
                moved = np.where(there, own + new - old, np.where(values == MISSING, MISSING, own))
                self.write(column.name, rows, moved)


def _mend(table: _Table, rule: Rule, rows: Ticks) -> None:
    match rule:
        case OrderRule():
            _mend_order(table, rule, rows)
        case ImplicationRule():
            _mend_implication(table, rule, rows)
        case CombinationRule():
            _mend_combination(table, rule, rows)
        case SumRule():
            _mend_sum(table, rule, rows)


def _mend_order(table: _Table, rule: OrderRule, rows: Ticks) -> None:
    """Draw a side anew within its own bin, left first; what cannot be helped so is moved to the nearest lawful value."""
    schema = table.schema
    mine, its = order_scales(rule, schema)
    move_right = rule.right not in table.keep and not _is_after(schema, rule.left, rule.right)
    for within_bin in (True, False):
        if rule.left not in table.keep:
            target = its.measure(right_side(rule, schema, table.ticks)[rows])
            rows = rows[~_move(table, rule.left, rows, _interval(rule.op, mine, target), within_bin=within_bin)]
        if rule.right is not None and move_right:
            target = mine.measure(table.ticks[rule.left][rows])
            span = _interval(MIRRORED[rule.op], its, target)
            rows = rows[~_move(table, rule.right, rows, span, within_bin=within_bin)]


def _is_after(schema: Schema, name: str, base: str | None) -> bool:
    """Whether a column is counted, directly or not, after another, and so moves with it."""
    parents = {column.name: parent.name for column, parent in schema.following}
    while name in parents:
        name = parents[name]
        if name == base:
            return True
    return False


def _interval(op: str, scale: Scale, target: Ticks) -> tuple[Ticks, Ticks]:
    """The ticks whose measure stands in relation `op` to the target: lowest and highest."""
    low = np.full(target.size, -FAR, dtype=np.int64)
    high = np.full(target.size, FAR, dtype=np.int64)
    if op in (">=", "=="):
        low = scale.least(target)
    if op == ">":
        low = scale.least(target + 1)
    if op in ("<=", "=="):
        high = scale.least(target + 1) - 1
    if op == "<":
        high = scale.least(target) - 1
    return low, high


def _move(table: _Table, name: str, rows: Ticks, span: tuple[Ticks, Ticks], *, within_bin: bool) -> Mask:
    """Move cells into an interval of ticks: anywhere in their bin, drawn uniformly, or to the nearest lawful value.

    Returns: which rows could be moved.
    """
    column = table.schema.modelled_column(name)
    floor, ceiling = table.bin(name, rows) if within_bin else table.bounds(name, rows)
    lowest, highest = from_granules(column, floor), from_granules(column, ceiling)
    low, high = np.clip(span[0], lowest, highest + 1), np.clip(span[1], lowest - 1, highest)
    first, last = granules(column, low), granules(column, high)
    first = first + (from_granules(column, first) < low)
    able = first <= last
    if within_bin:
        drawn = first + (table.rng.random(rows.size) * (last - first + 1)).astype(np.int64)
    else:
        drawn = np.clip(granules(column, table.ticks[name][rows]), first, last)
    table.write(name, rows[able], from_granules(column, drawn[able]))
    moved: Mask = able
    return moved


def _mend_implication(table: _Table, rule: ImplicationRule, rows: Ticks) -> None:
    """Give the consequence a value that obeys, as rows have it in which the rule holds and says something.

    Where the consequence is kept, the condition is given a value that asks for nothing.
    """
    then, schema = rule.then, table.schema
    asked, obeyed = holds(rule.condition, schema, table.ticks), holds(then, schema, table.ticks)
    if then.column in table.keep:
        _borrow(table, rule.condition.column, rows, ~asked)
        return
    column = schema.modelled_column(then.column)
    dated = bool(then.values) or then.lower is not None or then.upper is not None
    if not (dated and isinstance(column, TemporalColumn) and column.after is not None) and (
        _borrow(table, then.column, rows, asked & obeyed) or _borrow(table, then.column, rows, obeyed)
    ):
        return
    if then.values:
        listed = np.array([constant(column, value) for value in then.values], dtype=np.int64)
        table.write(then.column, rows, table.rng.choice(listed, size=rows.size))
    elif then.lower is not None or then.upper is not None:
        low = -FAR if then.lower is None else constant(column, then.lower)
        high = FAR if then.upper is None else constant(column, then.upper)
        span = (np.full(rows.size, low, dtype=np.int64), np.full(rows.size, high, dtype=np.int64))
        _move(table, then.column, rows, span, within_bin=False)
    elif then.missing:
        table.write(then.column, rows, np.full(rows.size, MISSING, dtype=np.int64))


def _borrow(table: _Table, name: str, rows: Ticks, lenders: Mask) -> bool:
    """Give cells the values that random other rows have; of what is counted after another column, the distances.

    Returns: whether it could be done.
    """
    pool = np.flatnonzero(lenders)
    if name in table.keep or not pool.size:
        return False
    lent = table.rng.choice(pool, size=rows.size)
    values = table.ticks[name][lent]
    moved = values - table.start(name, lent) + table.start(name, rows)
    table.write(name, rows, np.where(values == MISSING, MISSING, moved))
    return True


def _mend_combination(table: _Table, rule: CombinationRule, rows: Ticks) -> None:
    """Go to a listed combination that keeps the most columns, likelier ones the more often."""
    listed = allowed(rule, table.schema)
    held = [index for index, name in enumerate(rule.names) if name in table.keep]
    present = np.stack([table.ticks[name] for name in rule.names], axis=1)
    _, numbers = np.unique(np.concatenate([listed, present]), axis=0, return_inverse=True)
    weights = np.bincount(numbers, minlength=int(numbers.max()) + 1)[numbers[: len(listed)]].astype(np.float64)
    found, which = np.unique(present[rows], axis=0, return_inverse=True)
    for number, combination in enumerate(found):
        agree = listed == combination
        agreeing = np.where(agree[:, held].all(axis=1), agree.sum(axis=1), -1)
        if agreeing.max() < 0:
            continue
        nearest = np.flatnonzero(agreeing == agreeing.max())
        here = rows[which == number]
        share = weights[nearest] / weights[nearest].sum()
        chosen = listed[table.rng.choice(nearest, size=here.size, p=share)]
        for index, name in enumerate(rule.names):
            changed = chosen[:, index] != table.ticks[name][here]
            table.write(name, here[changed], chosen[changed, index])


def _mend_sum(table: _Table, rule: SumRule, rows: Ticks) -> None:
    """Set the total to the sum; where that leaves the total's bounds, or it is kept, the parts share the difference."""
    total = np.sum([table.ticks[name][rows] for name in rule.parts], axis=0)
    low, high = table.bounds(rule.total, rows)
    if rule.total not in table.keep:
        table.write(rule.total, rows, np.clip(total, low, high))
    left_over = table.ticks[rule.total][rows] - total
    for name in rule.parts:
        if name not in table.keep:
            floor, ceiling = table.bounds(name, rows)
            own = table.ticks[name][rows]
            moved = np.clip(own + left_over, floor, ceiling)
            left_over = left_over - (moved - own)
            table.write(name, rows, moved)
