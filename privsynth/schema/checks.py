"""Schema checks: what must hold between columns, rules, unit and key, and how a bought fact completes a column.

Must never look into a table: a schema is right or wrong by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation

from privsynth.errors import SchemaError
from privsynth.schema import labels
from privsynth.schema.binning import CountedBins
from privsynth.schema.columns import (
    MAX_STEPS,
    BooleanColumn,
    CategoryColumn,
    Column,
    DateColumn,
    DatetimeColumn,
    IdentifierColumn,
    IntegerColumn,
    ModelledColumn,
    NumberColumn,
    OrderedColumn,
    TextColumn,
)
from privsynth.schema.levels import column_is_open, layout
from privsynth.schema.rule import CombinationRule, Condition, ImplicationRule, OrderRule, Rule, SumRule
from privsynth.schema.ticks import tick_all


def check(
    *, name: str, unit: str | None, key: Sequence[str], columns: Sequence[Column], rules: Sequence[Rule], source: str
) -> None:
    """Check a schema's parts against each other; `source` is what messages call the file.

    Raises: SchemaError, which names the part, what was expected and found, and what to do.
    """
    problem = labels.problem(name)
    if problem is not None:
        raise SchemaError(f"[table] in {source}: name {problem}")
    by_name: dict[str, Column] = {}
    for column in columns:
        if column.name in by_name:
            raise SchemaError(f"[columns.{column.name}] in {source}: the column is declared twice; remove one")
        by_name[column.name] = column
    modelled = {column.name: column for column in columns if not isinstance(column, IdentifierColumn | TextColumn)}
    if not modelled:
        raise SchemaError(
            f"{source}: there is no column to model; declare at least one [columns.NAME] that is no identifier"
        )
    for role, names in (("unit", [unit] if unit is not None else []), ("key", list(key))):
        for one in names:
            if one not in by_name or isinstance(by_name[one], TextColumn):
                raise SchemaError(
                    f'[table] in {source}: {role} names "{one}", which is no column with values; add [columns.{one}]'
                )
    if len(set(key)) != len(key):
        raise SchemaError(f"[table] in {source}: key names a column twice; name each once")
    for column in modelled.values():
        _check_after(column, modelled, source)
    for column in modelled.values():
        _check_levels(column, source)
    _check_rules(rules, modelled, source)


def _check_after(column: ModelledColumn, modelled: dict[str, ModelledColumn], source: str) -> None:
    """Each column that is counted in days after another starts, in the end, from one that is not."""
    if not isinstance(column, DateColumn | DatetimeColumn) or column.after is None:
        return
    where = f"[columns.{column.name}] in {source}"
    base = modelled.get(column.after)
    if not isinstance(base, DateColumn | DatetimeColumn):
        raise SchemaError(f'{where}: after names "{column.after}", which is no date or datetime column; correct it')
    if base.granularity in ("month", "year"):
        raise SchemaError(
            f'{where}: days after "{base.name}" need its granularity to be "day", not "{base.granularity}"; change it'
        )
    if base.nullable and not column.nullable:
        raise SchemaError(
            f'{where}: "{base.name}" can be missing, and then this column is missing too; declare missing = [""]'
        )
    path = [column.name]
    current: ModelledColumn | None = base
    while isinstance(current, DateColumn | DatetimeColumn):
        if current.name in path:
            raise SchemaError(f"{where}: after runs in a circle ({' after '.join([*path, current.name])}); cut it")
        path.append(current.name)
        current = modelled.get(current.after) if current.after is not None else None


def _check_levels(column: ModelledColumn, source: str) -> None:
    """Bins and atoms agree with the bounds."""
    if column_is_open(column):
        return
    try:
        layout(column)
    except ValueError as error:
        raise SchemaError(f"[columns.{column.name}] in {source}: {error}") from None


def _check_rules(rules: Sequence[Rule], modelled: dict[str, ModelledColumn], source: str) -> None:
    """Each rule names columns that exist, values inside their kinds, and says something new."""
    seen: set[str] = set()
    for number, rule in enumerate(rules, start=1):
        where = f"[[rules]] number {number} in {source}"
        for name in rule.columns:
            if name not in modelled:
                raise SchemaError(
                    f'{where}: names "{name}", which is no modelled column of the schema; correct the name'
                )
        if rule.text in seen:
            raise SchemaError(f'{where}: "{rule.text}" is declared twice; remove one, or merge the two lists')
        seen.add(rule.text)
        try:
            _check_rule(rule, modelled)
        except ValueError as error:
            raise SchemaError(f"{where}: {error}") from None


def _check_rule(rule: Rule, modelled: dict[str, ModelledColumn]) -> None:
    match rule:
        case OrderRule():
            _check_order(rule, modelled)
        case ImplicationRule():
            _check_condition(rule.condition, modelled[rule.condition.column])
            _check_condition(rule.then, modelled[rule.then.column])
        case CombinationRule():
            for name, values in zip(rule.names, zip(*rule.allowed, strict=True), strict=True):
                _constants(modelled[name], values)
        case SumRule():
            columns = [modelled[name] for name in rule.columns]
            units = {column.unit for column in columns if isinstance(column, IntegerColumn | NumberColumn)}
            if any(not isinstance(column, IntegerColumn | NumberColumn) for column in columns) or len(units) != 1:
                raise ValueError("a sum needs integer or number columns of one and the same step or precision")


def _check_order(rule: OrderRule, modelled: dict[str, ModelledColumn]) -> None:
    left = modelled[rule.left]
    if isinstance(left, CategoryColumn | BooleanColumn):
        raise ValueError(f'"{rule.left}" has no order; an order rule needs numbers, dates or ordered labels')
    if rule.right is None:
        assert rule.value is not None
        _constants(left, (rule.value,))
        return
    right = modelled[rule.right]
    families: tuple[tuple[type, ...], ...] = ((IntegerColumn, NumberColumn), (DateColumn, DatetimeColumn))
    alike = any(isinstance(left, family) and isinstance(right, family) for family in families)
    if not alike and not (
        isinstance(left, OrderedColumn) and isinstance(right, OrderedColumn) and left.values == right.values
    ):
        raise ValueError(
            f'"{rule.left}" and "{rule.right}" cannot be compared; expected two numbers, two dates, or the same labels'
        )


def _check_condition(condition: Condition, column: ModelledColumn) -> None:
    ends = tuple(end for end in (condition.lower, condition.upper) if end is not None)
    _constants(column, (*condition.values, *ends))
    bounded = condition.lower is not None or condition.upper is not None
    if bounded and isinstance(column, CategoryColumn | BooleanColumn):
        raise ValueError(f'"{column.name}" has no order; use in = [...] instead of lower and upper')
    if condition.missing is True and not column.nullable:
        raise ValueError(f'"{column.name}" cannot be missing; it declares no missing markers')


def _constants(column: ModelledColumn, values: Sequence[str]) -> None:
    if values and isinstance(column, CategoryColumn) and column.buy:
        raise ValueError(f'"{column.name}": a rule cannot name labels that are still to be bought; declare them')
    try:
        tick_all(column, values)
    except ValueError as error:
        raise ValueError(f'"{column.name}": {error}; correct the rule') from None


def bought(
    column: CategoryColumn | IntegerColumn | NumberColumn, fact: str, found: tuple[str, ...]
) -> dict[str, object]:
    """Return the keys with which a bought fact completes a column.

    Raises: SchemaError when another fact was to be bought, or when nothing usable was found.
    """
    where = f"[columns.{column.name}]"
    wanted = "categories" if isinstance(column, CategoryColumn) else column.buy
    if fact != wanted:
        raise SchemaError(f"{where}: it buys {wanted}, not {fact}; resolve it with what it buys")
    if isinstance(column, CategoryColumn):
        values = tuple(dict.fromkeys(found if column.other is None else (*found, column.other)))
        if not values:
            raise SchemaError(f"{where}: no label was frequent enough to be bought; declare the values, or spend more")
        return {"values": values, "missing": column.missing or ("",)}
    try:
        points = [Decimal(text) for text in found]
    except InvalidOperation:
        raise SchemaError(f"{where}: expected {fact} as decimal strings, found {found!r}") from None
    if not points or any(not point.is_finite() for point in points) or (fact == "bounds" and len(points) != 2):
        raise SchemaError(f"{where}: expected {fact} as finite decimal strings, found {found!r}")
    return _bought_bounds(column, points) if fact == "bounds" else _bought_edges(column, points)


def _bought_bounds(column: IntegerColumn | NumberColumn, points: list[Decimal]) -> dict[str, object]:
    """Widen outwards to whole steps and to the declared atoms; ask for no more bins than there are values."""
    unit = column.unit
    atoms = [Decimal(atom) for atom in column.atoms]
    low = (min(points + atoms) / unit).to_integral_value(ROUND_FLOOR)
    high = (max(points + atoms) / unit).to_integral_value(ROUND_CEILING)
    low, high = max(low, Decimal(-MAX_STEPS)), min(high, Decimal(MAX_STEPS))
    fields: dict[str, object] = {"lower": _of_kind(column, low * unit), "upper": _of_kind(column, high * unit)}
    free = int(high - low) + 1 - len(atoms)
    if isinstance(column.bins, CountedBins) and column.bins.count > free:
        fields["bins"] = {"method": column.bins.method, "count": max(1, free)}
    return fields


def _bought_edges(column: IntegerColumn | NumberColumn, points: list[Decimal]) -> dict[str, object]:
    """Cut to whole steps inside the bounds; equal edges become one."""
    assert column.lower is not None
    assert column.upper is not None
    cut = {(point / column.unit).to_integral_value(ROUND_FLOOR) * column.unit for point in points}
    inside = sorted(point for point in cut if column.lower < point <= column.upper)
    if not inside:
        return {"bins": {"method": "uniform", "count": 1}}
    return {"bins": {"method": "edges", "edges": tuple(_of_kind(column, point) for point in inside)}}


def _of_kind(column: IntegerColumn | NumberColumn, value: Decimal) -> int | Decimal:
    return int(value) if isinstance(column, IntegerColumn) else value
