"""Impossible cells: which combinations of levels no row can have that obeys the schema's rules.

Must never mark a cell that some row of values inside its levels can have; where a rule is not decided exactly, cells stay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar, final

import numpy as np
import numpy.typing as npt

from privsynth.domain import Clique, Impossible
from privsynth.errors import SchemaError
from privsynth.schema.columns import SECONDS, DateColumn, ModelledColumn, TemporalColumn
from privsynth.schema.comparing import COMPARE, Mask, Scale, Ticks, listed, meets, scales
from privsynth.schema.levels import granule_bounds, levels
from privsynth.schema.rule import CombinationRule, Condition, ImplicationRule, OrderRule, Rule
from privsynth.schema.ticks import FAR, MISSING, from_granules, granules, rebased, tick, tick_all

LIMIT: Final = 100_000
"""Cells of one table; a larger one is not looked through, and repair is left to mend what breaks its rule."""

_LISTED: Final = 1 << 17
"""Up to so many values in a column, equality is decided value by value."""

_PAIR = 2

Columns: TypeAlias = Mapping[str, ModelledColumn]
T = TypeVar("T", bound=np.generic)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """A table over some attributes' levels. Shapes: `cells` has one axis an attribute of `clique`."""

    clique: Clique
    cells: Mask

    def over(self, clique: Clique) -> Mask:
        """The same table, its axes spread over a larger clique."""
        return _spread(self.cells, self.clique, clique)


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forbidden:
    """The cells for which one declaration leaves no row.

    `number` is the rule's place in the schema, from 1; 0 of what is counted after a missing date. Shapes: `cells` has one axis
        an attribute of `clique`.
    """

    what: str
    number: int
    clique: Clique
    cells: Mask


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Reach:
    """The ticks a column can have in each cell of a table over its own levels and those of what it is counted after.

    Shapes: `low` (least tick), `high` (greatest) and `absent` (no value) have one axis an attribute of `clique`.
    """

    clique: Clique
    low: Ticks
    high: Ticks
    absent: Mask


def impossible_cells(columns: Sequence[ModelledColumn], rules: Sequence[Rule]) -> tuple[Impossible, ...]:
    """The tables of at most LIMIT cells in which a rule, or a column's missing base, leaves no row for some cell.

    A cell is marked exactly when its rule leaves no row for it, with these exceptions, where cells may stay unmarked. Only
    the spans of values are looked at by `==` between columns of more than _LISTED values or counted after others, by order
    rules between columns that share a base cut finer than they are, and by implications about dates counted after a base
    that is cut coarser, or with atoms. Order rules on one attribute, combination rules that name a date counted after
    another, and sums mark nothing.
    Raises: SchemaError for a rule that no row at all can obey.
    """
    found: dict[Clique, Mask] = {}
    place = {column.name: index for index, column in enumerate(columns)}
    for one in forbidden_cells(columns, rules):
        if len(one.clique) < _PAIR:
            continue
        if one.cells.all():
            raise SchemaError(
                f"{one.what} can be obeyed by no row of values inside their columns' bounds; correct one of them"
            )
        clique = tuple(sorted(one.clique, key=place.__getitem__))
        cells = _spread(one.cells, one.clique, clique)
        found[clique] = found[clique] | cells if clique in found else cells
    return tuple(Impossible.of(clique, cells) for clique, cells in found.items())


def forbidden_cells(columns: Sequence[ModelledColumn], rules: Sequence[Rule]) -> tuple[Forbidden, ...]:
    """The same, declaration by declaration, and also of order rules on one attribute; those that mark nothing are left out."""
    by_name = {column.name: column for column in columns}
    tables = [
        (f'"{column.name}" after "{column.after}"', 0, _following(column, by_name))
        for column in columns
        if isinstance(column, TemporalColumn) and column.after is not None
    ]
    tables += [(f'the rule "{rule.text}"', number, _of_rule(rule, by_name)) for number, rule in enumerate(rules, 1)]
    return tuple(
        Forbidden(what=what, number=number, clique=table.clique, cells=table.cells)
        for what, number, table in tables
        if table is not None and table.cells.any()
    )


def _following(column: TemporalColumn, columns: Columns) -> _Table | None:
    """A value counted after a missing date is missing."""
    assert column.after is not None
    own, base = levels(column), levels(columns[column.after])
    if not base.missing or own.size * base.size > LIMIT:
        return None
    cells = np.zeros((own.size, base.size), dtype=bool)
    cells[:-1, -1] = True
    return _Table(clique=(column.name, column.after), cells=cells)


def _of_rule(rule: Rule, columns: Columns) -> _Table | None:
    """The cells in which every row breaks the rule; None where it is not decided."""
    match rule:
        case OrderRule():
            if rule.right is None:
                return _bounded(rule, columns[rule.left])
            return _order(rule, columns[rule.left], columns[rule.right], columns)
        case ImplicationRule():
            failing = _outcome(rule.condition, columns, wanted=False)
            holding = _outcome(rule.then, columns, wanted=True)
            return None if failing is None or holding is None else _neither(failing, holding)
        case CombinationRule():
            return _combination(rule, columns)
        case _:
            return None


def _spread(values: npt.NDArray[T], clique: Clique, target: Clique) -> npt.NDArray[T]:
    """Order an array's axes as a larger clique, with an axis of length one for every attribute that it lacks."""
    order = [clique.index(name) for name in target if name in clique]
    shape = tuple(values.shape[clique.index(name)] if name in clique else 1 for name in target)
    return values.transpose(order).reshape(shape)


def _union(one: Clique, other: Clique) -> Clique:
    return one + tuple(name for name in other if name not in one)


def _size(names: Clique, columns: Columns) -> int:
    return math.prod(levels(columns[name]).size for name in names)


def _neither(one: _Table, other: _Table) -> _Table | None:
    """The cells in which neither table is true."""
    clique = _union(one.clique, other.clique)
    sizes = dict(zip(one.clique + other.clique, one.cells.shape + other.cells.shape, strict=True))
    if math.prod(sizes.values()) > LIMIT:
        return None
    return _Table(clique=clique, cells=~(one.over(clique) | other.over(clique)))


# --- values ---


def _chain(column: ModelledColumn, columns: Columns) -> Clique:
    """The column, what it is counted after, and so on."""
    names = [column.name]
    while isinstance(column, TemporalColumn) and column.after is not None:
        column = columns[column.after]
        names.append(column.name)
    return tuple(names)


def _reach(column: ModelledColumn, columns: Columns, origin: str | None = None) -> _Reach:
    """What a column can be in each cell; the column `origin`, where the chain meets it, is taken to be 0."""
    if column.name == origin:
        nothing = np.zeros((), dtype=np.int64)
        return _Reach(clique=(), low=nothing, high=nothing, absent=nothing.astype(bool))
    layout = levels(column)
    first, last = layout.span(np.arange(layout.size))
    absent = first == MISSING
    low, high = from_granules(column, np.where(absent, 0, first)), from_granules(column, np.where(absent, 0, last))
    if not isinstance(column, TemporalColumn) or column.after is None:
        return _Reach(clique=(column.name,), low=low, high=high, absent=absent)
    parent = columns[column.after]
    assert isinstance(parent, TemporalColumn)
    base = _reach(parent, columns, origin)
    own = (-1, *(1,) * base.low.ndim)
    return _Reach(
        clique=(column.name, *base.clique),
        low=low.reshape(own) + rebased(column, parent, base.low),
        high=high.reshape(own) + rebased(column, parent, base.high),
        absent=absent.reshape(own) | base.absent,
    )


# --- order ---


def _order(rule: OrderRule, left: ModelledColumn, right: ModelledColumn, columns: Columns) -> _Table | None:
    """Compare the least and greatest values of the two sides: each is had by some row of the cell."""
    origin = _origin(left, right, columns)
    chains = [_chain(column, columns) for column in (left, right)]
    if origin is not None:
        chains = [chain[: chain.index(origin)] for chain in chains]
    clique = _union(*chains)
    if _size(clique, columns) > LIMIT:
        return None
    mine, its = scales(left, right)
    if rule.op == "==" and max(_values(left), _values(right)) <= _LISTED:
        return _equal(left, right, mine, its)
    one, other = _reach(left, columns, origin), _reach(right, columns, origin)
    low, high = (_spread(np.asarray(mine.measure(end)), one.clique, clique) for end in (one.low, one.high))
    floor, ceiling = (_spread(np.asarray(its.measure(end)), other.clique, clique) for end in (other.low, other.high))
    absent = _spread(one.absent, one.clique, clique) | _spread(other.absent, other.clique, clique)
    match rule.op:
        case "<" | "<=":
            kept = COMPARE[rule.op](low, ceiling)
        case ">" | ">=":
            kept = COMPARE[rule.op](high, floor)
        case _:
            kept = COMPARE["<="](low, ceiling) & COMPARE[">="](high, floor)
    return _Table(clique=clique, cells=~(absent | kept.astype(bool)))


def _bounded(rule: OrderRule, column: ModelledColumn) -> _Table | None:
    """The levels of one column all of whose values break a rule with a constant; None where they depend on another's."""
    if isinstance(column, TemporalColumn) and column.after is not None:
        return None
    assert rule.value is not None
    reach = _reach(column, {column.name: column})
    value = np.full_like(reach.low, tick(column, rule.value))
    match rule.op:
        case "<" | "<=":
            kept = COMPARE[rule.op](reach.low, value)
        case ">" | ">=":
            kept = COMPARE[rule.op](reach.high, value)
        case _:
            kept = (reach.low <= value) & (reach.high >= value)
    return _Table(clique=reach.clique, cells=~(reach.absent | kept))


def _origin(left: ModelledColumn, right: ModelledColumn, columns: Columns) -> str | None:
    """The column that both sides are counted after, where only the distances from it decide: it is cut no finer than they."""
    chains = [_chain(column, columns) for column in (left, right)]
    shared = [name for name in chains[0] if name in chains[1]]
    if not shared:
        return None
    counted = {name for chain in chains for name in chain[: chain.index(shared[0])]}
    whole = all(_seconds(columns[shared[0]]) % _seconds(columns[name]) == 0 for name in counted)
    return shared[0] if whole else None


def _seconds(column: ModelledColumn) -> int:
    assert isinstance(column, TemporalColumn)
    return SECONDS["day" if isinstance(column, DateColumn) else column.granularity]


def _values(column: ModelledColumn) -> int:
    """How many values a column has; more than any where they depend on another column's."""
    lower, upper = granule_bounds(column)
    return FAR if isinstance(column, TemporalColumn) and column.after is not None else upper - lower + 1


def _equal(left: ModelledColumn, right: ModelledColumn, mine: Scale, its: Scale) -> _Table:
    """Equality, value by value: the cells in which no value of the one equals a value of the other."""
    pairs: list[tuple[Ticks, npt.NDArray[np.int64]]] = []
    for column, scale in ((left, mine), (right, its)):
        lower, upper = granule_bounds(column)
        every = np.arange(lower, upper + 1)
        pairs.append((np.asarray(scale.measure(from_granules(column, every))), levels(column).codes(every)))
    (own, own_codes), (others, other_codes) = pairs
    sizes = (levels(left).size, levels(right).size)
    cells = np.ones(sizes, dtype=bool)
    first, last = np.searchsorted(others, own, side="left"), np.searchsorted(others, own, side="right")
    for step in range(int((last - first).max())):
        there = first + step < last
        cells[own_codes[there], other_codes[(first + step)[there]]] = False
    cells[sizes[0] - int(levels(left).missing) :] = False
    cells[:, sizes[1] - int(levels(right).missing) :] = False
    return _Table(clique=(left.name, right.name), cells=cells)


# --- implications and combinations ---


def _outcome(condition: Condition, columns: Columns, *, wanted: bool) -> _Table | None:
    """In which cells some value satisfies the condition, or (not `wanted`) fails it."""
    column = columns[condition.column]
    counted = isinstance(column, TemporalColumn) and column.after is not None
    if counted and (condition.values or condition.lower is not None or condition.upper is not None):
        return _counted_outcome(condition, column, columns, wanted=wanted)
    layout = levels(column)
    tried = _turning_points(condition, column)
    met = meets(condition, column, from_granules(column, tried)) == wanted
    cells = np.zeros(layout.size, dtype=bool)
    cells[layout.codes(tried)[met]] = True
    return _Table(clique=(column.name,), cells=cells)


def _turning_points(condition: Condition, column: ModelledColumn) -> Ticks:
    """Granules among which every level has one that satisfies a condition, and one that fails it, if it has any at all.

    They are the ends of all levels, and in each bin the condition's constants with what follows them: a bin that begins
    and ends with listed values has one that is not listed after a listed one, if it has any.
    """
    layout = levels(column)
    first, last = layout.span(np.arange(layout.size))
    ends = tuple(end for end in (condition.lower, condition.upper) if end is not None)
    constants = granules(column, tick_all(column, (*condition.values, *ends)))
    inside = np.clip(constants, layout.lower, layout.upper)
    near = (layout.rank(inside)[:, np.newaxis] + np.array([0, 1])).ravel()
    return np.concatenate([first, last, layout.unrank(near[near < layout.ranks[-1]])])


def _counted_outcome(condition: Condition, column: ModelledColumn, columns: Columns, *, wanted: bool) -> _Table | None:
    """The same for a date counted after another, from the least to the greatest date of each cell."""
    if _size(_chain(column, columns), columns) > LIMIT:
        return None
    reach = _reach(column, columns)
    lower = -FAR if condition.lower is None else tick(column, condition.lower)
    upper = FAR if condition.upper is None else tick(column, condition.upper)
    if condition.values:
        listed_ticks = np.unique(tick_all(column, condition.values))
        listed_ticks = listed_ticks[(listed_ticks >= lower) & (listed_ticks <= upper)]
        inside = np.searchsorted(listed_ticks, reach.high, side="right") - np.searchsorted(listed_ticks, reach.low)
    else:
        inside = np.maximum(np.minimum(reach.high, upper) - np.maximum(reach.low, lower) + 1, 0)
    present = inside > 0 if wanted else inside < reach.high - reach.low + 1
    return _Table(clique=reach.clique, cells=np.where(reach.absent, bool(condition.missing) == wanted, present))


def _combination(rule: CombinationRule, columns: Columns) -> _Table | None:
    """The cells that no listed combination is in."""
    named = [columns[name] for name in rule.names]
    if _size(rule.names, columns) > LIMIT or any(_values(column) == FAR for column in named):
        return None
    ticks = listed(rule, columns)
    kept = np.ones(len(ticks), dtype=bool)
    codes: list[npt.NDArray[np.int64]] = []
    for column, values in zip(named, ticks.T, strict=True):
        layout, found = levels(column), granules(column, values)
        kept &= (found >= layout.lower) & (found <= layout.upper)
        codes.append(layout.codes(np.clip(found, layout.lower, layout.upper)))
    cells = np.ones([levels(column).size for column in named], dtype=bool)
    cells[tuple(code[kept] for code in codes)] = False
    for axis, column in enumerate(named):
        if levels(column).missing:
            np.moveaxis(cells, axis, 0)[-1] = False
    return _Table(clique=rule.names, cells=cells)
