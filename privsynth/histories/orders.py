"""Orders: which dates and numbers of a row may not lie before, or after, which of a row above it; and moving them there.

Must never change a row above, a missing value, or a row in which nothing is out of order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.database.document import DatabaseSchema, TableTerms
from privsynth.database.held import Database
from privsynth.database.terms import InOrder
from privsynth.histories import kinship
from privsynth.rule_masks import broken
from privsynth.schema import Schema
from privsynth.schema.columns import SECONDS, DateColumn, ModelledColumn, NumericColumn, TemporalColumn
from privsynth.schema.comparing import scales
from privsynth.schema.levels import granule_bounds
from privsynth.schema.rule import OrderRule
from privsynth.schema.ticks import MISSING, from_granules, granules, rebased, tick

_Ints = npt.NDArray[np.int64]
_Mask = npt.NDArray[np.bool_]

_MOVABLE = (NumericColumn, TemporalColumn)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """`left` is never after `right` ("table.column" each), compared at the coarser granularity; with `strict`, before it.

    `table` is the lower of the two tables, or the one; its rows are what the rule is about. Missing values bind nothing.
    """

    table: str
    left: str
    right: str
    strict: bool = False

    @property
    def text(self) -> str:
        """The rule in words."""
        return f"{self.left} {'<' if self.strict else '<='} {self.right}"

    @property
    def own(self) -> tuple[str, ...]:
        """The columns of the lower table."""
        sides = [one.rpartition(".") for one in (self.left, self.right)]
        return tuple(column for table, _, column in sides if table == self.table)

    def broken(self, database: Database) -> _Mask:
        """In which rows of the lower table it is broken. Shapes: (rows,)."""
        left, right = (kinship.lifted(database, self.table, name) for name in (self.left, self.right))
        mine, its = scales(left[0], right[0])
        absent = (left[1] == MISSING) | (right[1] == MISSING)
        low, high = mine.measure(np.where(absent, 0, left[1])), its.measure(np.where(absent, 0, right[1]))
        after = low >= high if self.strict else low > high
        return np.asarray(~absent & after, dtype=bool)


def across(schema: DatabaseSchema, table: str) -> tuple[Before, ...]:
    """What binds rows of this table: its time by anchor and until, and the rules of which it is the lower table."""
    terms = schema.table(table)
    found: list[Before] = []
    if terms.time is not None:
        own = f"{table}.{terms.time.column}"
        if terms.time.anchor is not None:
            found.append(Before(table=table, left=_full(terms, terms.time.anchor), right=own))
        if terms.time.until is not None:
            found.append(Before(table=table, left=own, right=_full(terms, terms.time.until)))
    for rule in schema.rules:
        if isinstance(rule, InOrder):
            sides = [one.rpartition(".")[0] for one in (rule.left, rule.right)]
            lower = max(sides, key=lambda name: len(schema.ancestors(name)))
            if lower == table:
                found.append(Before(table=table, left=rule.left, right=rule.right))
    return tuple({one.text: one for one in found}.values())


def _full(terms: TableTerms, name: str) -> str:
    return name if "." in name else f"{terms.parent_table}.{name}"


def _own_orders(terms: TableTerms) -> tuple[Before, ...]:
    """The order rules of one table between two of its dates or numbers."""
    assert terms.content is not None
    found: list[Before] = []
    for rule in terms.content.rules:
        if not isinstance(rule, OrderRule) or rule.right is None:
            continue
        if not all(isinstance(terms.content.modelled_column(name), _MOVABLE) for name in (rule.left, rule.right)):
            continue
        left, right, strict = f"{terms.name}.{rule.left}", f"{terms.name}.{rule.right}", rule.op in ("<", ">")
        if rule.op in ("<", "<=", "=="):
            found.append(Before(table=terms.name, left=left, right=right, strict=strict))
        if rule.op in (">", ">=", "=="):
            found.append(Before(table=terms.name, left=right, right=left, strict=strict))
    return tuple(found)


def _constants(content: Schema, names: Collection[str]) -> tuple[OrderRule, ...]:
    """The order rules between one of these columns and a constant."""
    return tuple(
        rule for rule in content.rules if isinstance(rule, OrderRule) and rule.value is not None and rule.left in names
    )


def bound_columns(schema: DatabaseSchema, table: str) -> frozenset[str]:
    """The columns of a table that rows above it bind, and those that move with them."""
    terms, found = schema.table(table), {name for one in across(schema, table) for name in one.own}
    if not found or terms.content is None:
        return frozenset()
    pairs = [(column.name, base.name) for column, base in terms.content.following]
    pairs += [(one.own[0], one.own[1]) for one in _own_orders(terms)]
    for _ in pairs:
        found |= {name for pair in pairs if found & set(pair) for name in pair}
    return frozenset(found)


def hold(database: Database, table: str) -> tuple[dict[str, _Ints], _Mask]:
    """Move what is out of order to the nearest value that obeys, within the columns' bounds.

    Returns: the columns that changed, as ticks, and in which rows no admissible values exist (nothing of them changed).
    """
    schema = database.schema
    terms, rules = schema.table(table), across(schema, table)
    hopeless = np.zeros(database.tables[table].count, dtype=bool)
    if not rules:
        return {}, hopeless
    names = bound_columns(schema, table)
    rules += tuple(one for one in _own_orders(terms) if set(one.own) <= names)
    records = database.tables[table].records
    assert terms.content is not None
    assert records is not None
    wrong = [one.broken(database) for one in rules]
    wrong += [broken(rule, terms.content, records.ticks) for rule in _constants(terms.content, names)]
    rows = np.flatnonzero(np.any(wrong, axis=0))
    if not rows.size:
        return {}, hopeless
    held = _Intervals.of(database, terms, terms.content, names, rules, rows)
    able = held.able()
    hopeless[rows[~able]] = True
    changed: dict[str, _Ints] = {}
    for name, (before, after) in held.settle().items():
        moved = able & (before != after)
        if moved.any():
            changed[name] = records.ticks[name].copy()
            changed[name][rows[moved]] = after[moved]
    return changed, hopeless


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Link:
    """One side of a rule bounds the other: `left` and `right` are columns of the row, or the value of a row above."""

    rule: Before
    left: ModelledColumn
    right: ModelledColumn
    above: _Ints | None

    @property
    def strict(self) -> int:
        """By how much of the common measure left is lower at least."""
        return int(self.rule.strict)


@final
@dataclass(slots=True, kw_only=True)
class _Intervals:
    """For some rows of one table, between which ticks each column may move.

    Bounds are propagated along all rules until nothing changes. They are then exactly the values that some lawful row has, so
    that columns can be settled one after the other, each at the value nearest to its own, without a way back.
    Source: Dechter, Meiri and Pearl, "Temporal constraint networks" (1991), section 3: simple temporal problems.
    """

    columns: dict[str, ModelledColumn]
    following: tuple[tuple[TemporalColumn, TemporalColumn], ...]
    links: tuple[_Link, ...]
    value: dict[str, _Ints]
    low: dict[str, _Ints] = field(default_factory=dict)
    high: dict[str, _Ints] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        database: Database,
        terms: TableTerms,
        content: Schema,
        names: Iterable[str],
        rules: Iterable[Before],
        rows: _Ints,
    ) -> _Intervals:
        """Start from the columns' own bounds, bases before what is counted after them."""
        records = database.tables[terms.name].records
        assert records is not None
        columns = {column.name: column for column in content.modelled if column.name in set(names)}
        following = tuple(pair for pair in content.following if pair[0].name in columns)
        links = []
        for rule in rules:
            (left, low), (right, high) = (
                kinship.lifted(database, terms.name, name) for name in (rule.left, rule.right)
            )
            above = None if len(rule.own) > 1 else (low if rule.left.rpartition(".")[0] != terms.name else high)[rows]
            links.append(_Link(rule=rule, left=left, right=right, above=above))
        value = {name: records.ticks[name][rows] for name in columns}
        found = cls(columns=columns, following=following, links=tuple(links), value=value)
        found._start(content)
        found._propagate()
        return found

    def _start(self, content: Schema) -> None:
        for name in sorted(self.columns, key=self._depth):
            column, size = self.columns[name], self.value[name].shape
            lower, upper = granule_bounds(column)
            pair = self._pair(name)
            if pair is None:
                ends = from_granules(column, np.array([lower, upper], dtype=np.int64))
                self.low[name], self.high[name] = np.full(size, ends[0]), np.full(size, ends[1])
            else:
                self.low[name] = rebased(*pair, self.low[pair[1].name]) + lower
                self.high[name] = rebased(*pair, self.high[pair[1].name]) + upper
        for rule in _constants(content, self.columns):
            assert rule.value is not None
            at, always = tick(self.columns[rule.left], rule.value), np.array([True])
            if rule.op in (">", ">=", "=="):
                self._raise(rule.left, np.full(1, at + (rule.op == ">")), always)
            if rule.op in ("<", "<=", "=="):
                self._reduce(rule.left, np.full(1, at - (rule.op == "<")), always)

    def _pair(self, name: str) -> tuple[TemporalColumn, TemporalColumn] | None:
        """The column and what it is counted after."""
        return next((pair for pair in self.following if pair[0].name == name), None)

    def _depth(self, name: str) -> int:
        pair = self._pair(name)
        return 0 if pair is None else 1 + self._depth(pair[1].name)

    def able(self) -> _Mask:
        """In which rows every column has a value left. Shapes: (rows,)."""
        empty = [(self.value[name] != MISSING) & (self.low[name] > self.high[name]) for name in self.columns]
        return np.asarray(~np.any(empty, axis=0), dtype=bool)

    def settle(self) -> dict[str, tuple[_Ints, _Ints]]:
        """Each column before and after: moved as little as possible, with its distance to its base kept where it can be."""
        before = dict(self.value)
        for name in sorted(self.columns, key=self._depth):
            wish, pair = before[name], self._pair(name)
            present = wish != MISSING
            if pair is not None:
                old, new = (rebased(*pair, one[pair[1].name]) for one in (before, self.value))
                wish = np.where(present & (old != MISSING), wish + np.where(old == MISSING, 0, new - old), wish)
            settled = np.where(present, np.clip(wish, self.low[name], self.high[name]), MISSING)
            self.value[name] = settled
            self.low[name] = np.where(present, settled, self.low[name])
            self.high[name] = np.where(present, settled, self.high[name])
            self._propagate()
        return {name: (before[name], self.value[name]) for name in self.columns}

    def _propagate(self) -> None:
        """Tighten until nothing changes, or long enough that only contradictions are left."""
        for _ in range(2 * (len(self.links) + len(self.following)) + 2):
            changed = [self._apply(link) for link in self.links]
            changed += [self._apply_offset(column, base) for column, base in self.following]
            if not any(changed):
                return

    def _apply(self, link: _Link) -> bool:
        """Left's lowest value bounds right from below, right's highest bounds left from above."""
        mine, its = scales(link.left, link.right)
        (left_table, _, left), (right_table, _, right) = (
            one.rpartition(".") for one in (link.rule.left, link.rule.right)
        )
        left_moves, right_moves = left_table == link.rule.table, right_table == link.rule.table
        where: _Mask = np.ones(next(iter(self.value.values())).shape, dtype=bool)
        for name in link.rule.own:
            where &= self.value[name] != MISSING
        if link.above is not None:
            where &= link.above != MISSING
        changed = False
        if right_moves:
            low = self.low[left] if left_moves else link.above
            assert low is not None
            changed |= self._raise(right, its.least(mine.measure(np.where(where, low, 0)) + link.strict), where)
        if left_moves:
            high = self.high[right] if right_moves else link.above
            assert high is not None
            most = mine.least(its.measure(np.where(where, high, 0)) + 1 - link.strict) - 1
            changed |= self._reduce(left, most, where)
        return changed

    def _apply_offset(self, column: TemporalColumn, base: TemporalColumn) -> bool:
        """`column` is `lower` to `upper` of its own ticks after `base`, which is rounded down to them."""
        own, its = _seconds(column), _seconds(base)
        lower, upper = granule_bounds(column)
        name, above = column.name, base.name
        where = (self.value[name] != MISSING) & (self.value[above] != MISSING)
        changed = self._raise(name, rebased(column, base, self.low[above]) + lower, where)
        changed |= self._reduce(name, rebased(column, base, self.high[above]) + upper, where)
        changed |= self._raise(above, -(-(self.low[name] - upper) * own // its), where)
        changed |= self._reduce(above, ((self.high[name] - lower + 1) * own - 1) // its, where)
        return changed

    def _raise(self, name: str, least: _Ints, where: _Mask) -> bool:
        """Raise lower bounds to admissible values; whether any was."""
        column, old = self.columns[name], self.low[name]
        start = from_granules(column, granules(column, least))
        if isinstance(column, DateColumn) and column.granularity != "day":
            start = np.where(start < least, from_granules(column, granules(column, least) + 1), start)
        self.low[name] = np.where(where, np.maximum(old, start), old)
        return bool((self.low[name] != old).any())

    def _reduce(self, name: str, most: _Ints, where: _Mask) -> bool:
        """Reduce upper bounds to admissible values; whether any was."""
        column, old = self.columns[name], self.high[name]
        self.high[name] = np.where(where, np.minimum(old, from_granules(column, granules(column, most))), old)
        return bool((self.high[name] != old).any())


def _seconds(column: TemporalColumn) -> int:
    return SECONDS["day" if isinstance(column, DateColumn) else column.granularity]
