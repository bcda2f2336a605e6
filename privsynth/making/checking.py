"""Checking: whether what a rules file declares fits its schema, and in which order columns can be made.

Must never wait for the first row to say so: a file that is read can be drawn from.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import final

import numpy as np

from privsynth.errors import SchemaError
from privsynth.making.makers import (
    AbstractEffects,
    Faker,
    Given,
    Labels,
    Linear,
    Logistic,
    Lognormal,
    Maker,
    Normal,
    Poisson,
    Simple,
    Sum,
    Uniform,
    Value,
    Zipf,
)
from privsynth.making.spoken import allowed
from privsynth.schema import Schema
from privsynth.schema.columns import (
    BooleanColumn,
    Column,
    IdentifierColumn,
    LabelledColumn,
    ModelledColumn,
    NumericColumn,
    OrderedColumn,
    TemporalColumn,
    TextColumn,
)
from privsynth.schema.levels import granule_bounds
from privsynth.schema.ticks import granules, tick, ticks_per_day

PROVIDERS = (
    "name", "first_name", "last_name", "company", "job", "city", "street_name", "country", "word", "catch_phrase",
    "sentence", "text", "paragraph",
)  # fmt: skip
"""Providers of Faker that may be used: words that name nobody in particular. Its numbers and addresses may be somebody's."""

_INSTEAD = 'use "labels" for labels, "uniform" for dates, and "normal", "lognormal", "poisson" or "linear" for amounts'

_MOST_VALUES = 1 << 22
"""Zipf's law is drawn over at most so many values."""


def counted(column: Column) -> bool:
    """Whether a column holds amounts: numbers, or days after another column."""
    return isinstance(column, NumericColumn) or (isinstance(column, TemporalColumn) and column.after is not None)


def check(schema: Schema, make: Mapping[str, Maker], same: tuple[str, ...] | None, source: str) -> tuple[str, ...]:
    """Check every way against its column.

    Returns: the modelled columns in an order in which what each needs comes before it.
    Raises: SchemaError naming the part of the file, what was expected and what to do.
    """
    names = [column.name for column in schema.columns]
    for name, maker in make.items():
        if name not in names:
            raise SchemaError(
                f"[make.{name}] in {source}: the schema has no such column; add [columns.{name}] or correct the name"
            )
        _Checker(schema, schema.column(name), f"[make.{name}] in {source}").check(maker)
    order = _ordered(schema, make, source)
    if same is not None:
        _check_same(schema, make, same, source)
    return order


def needs(schema: Schema, make: Mapping[str, Maker], name: str) -> tuple[str, ...]:
    """The columns that must be made before one: what its way needs, and the date that it is counted after."""
    column = schema.modelled_column(name)
    after = (column.after,) if isinstance(column, TemporalColumn) and column.after is not None else ()
    return (*after, *(make[name].needs if name in make else ()))


def _ordered(schema: Schema, make: Mapping[str, Maker], source: str) -> tuple[str, ...]:
    done: dict[str, None] = {}
    waiting = [column.name for column in schema.modelled]
    while waiting:
        ready = next((name for name in waiting if set(needs(schema, make, name)) <= set(done)), None)
        if ready is None:
            raise SchemaError(
                f"{source}: {_circle(schema, make, waiting)}; let one of them depend on nothing of the others"
            )
        done[ready] = None
        waiting.remove(ready)
    return tuple(done)


def _circle(schema: Schema, make: Mapping[str, Maker], waiting: list[str]) -> str:
    """Some columns that depend on each other in a circle, in words."""
    path = [waiting[0]]
    while True:
        after = next(name for name in needs(schema, make, path[-1]) if name in waiting)
        if after in path:
            return "columns depend on each other in a circle: " + " needs ".join([*path[path.index(after) :], after])
        path.append(after)


def _check_same(schema: Schema, make: Mapping[str, Maker], same: tuple[str, ...], source: str) -> None:
    where = f"[unit] in {source}"
    if schema.unit is None:
        raise SchemaError(f"{where}: the schema names no unit whose rows these would be; add unit to its [table]")
    if not isinstance(schema.column(schema.unit), IdentifierColumn):
        raise SchemaError(
            f'{where}: the unit "{schema.unit}" is no identifier, which is made anew; declare it so, or drop [unit]'
        )
    if schema.unit in schema.key:
        raise SchemaError(
            f'{where}: the unit "{schema.unit}" is part of the key, so that it cannot repeat; take it out of the key'
        )
    for name in same:
        if name not in [column.name for column in schema.columns]:
            raise SchemaError(f'{where}: same: there is no column "{name}"; correct the name')
        if name in schema.key:
            raise SchemaError(
                f'{where}: same: "{name}" is part of the key, so that it cannot repeat; take it out of one'
            )
        if isinstance(schema.column(name), IdentifierColumn | TextColumn):
            continue
        other = next((one for one in needs(schema, make, name) if one not in same), None)
        if other is not None:
            raise SchemaError(
                f'{where}: same: "{name}" depends on "{other}", which differs from row to row; add it to same'
            )


@final
class _Checker:
    """One column's way, against the schema."""

    def __init__(self, schema: Schema, column: Column, where: str) -> None:
        self._schema, self._column, self._where = schema, column, where

    def _refuse(self, words: str) -> SchemaError:
        return SchemaError(f"{self._where}: {words}")

    def check(self, maker: Maker) -> None:
        """Raises: SchemaError where the way does not fit."""
        for name in maker.needs:
            if name == self._column.name:
                raise self._refuse("a column cannot depend on itself; name another")
            if name not in [column.name for column in self._schema.modelled]:
                raise self._refuse(
                    f'there is no column "{name}" to depend on that is no identifier and no text; correct the name'
                )
        self._check_missing(maker)
        if isinstance(maker, Given):
            self._check_given(maker)
        else:
            self._check_simple(maker)

    def _check_missing(self, maker: Maker) -> None:
        if maker.missing.some and (
            isinstance(self._column, IdentifierColumn | TextColumn) or not self._column.nullable
        ):
            raise self._refuse('missing: the column declares no missing values; give it missing = [""] in the schema')
        if maker.missing.column is not None:
            for text in maker.missing.rates:
                allowed(self._schema, maker.missing.column, text, f"{self._where}: missing.rates")

    def _check_given(self, maker: Given) -> None:
        if isinstance(self._column, IdentifierColumn | TextColumn):
            raise self._refuse('given: identifiers and text depend on nothing; use how = "faker"')
        base = self._schema.modelled_column(maker.column)
        met: set[int] = set()
        for text in maker.when:
            one = allowed(self._schema, maker.column, text, f"{self._where}: when")
            met |= set() if one.values is None else set(one.values.tolist())
        if maker.otherwise is None and isinstance(base, LabelledColumn):
            left = [label for index, label in enumerate(base.labels) if index not in met]
            if left or (base.nullable and "missing" not in maker.when):
                shown = ", ".join((*left[:5], *(["missing"] if base.nullable and "missing" not in maker.when else [])))
                raise self._refuse(
                    f'nothing says how it is made where "{maker.column}" is {shown}; add them to when, or otherwise'
                )
        elif maker.otherwise is None:
            raise self._refuse(
                f'"{maker.column}" has other values than those under when; say otherwise = {{ how = ... }} too'
            )
        for way in (*maker.when.values(), *([maker.otherwise] if maker.otherwise is not None else [])):
            self._check_missing(way)
            self._check_simple(way)

    def _check_simple(self, maker: Simple) -> None:
        column = self._column
        if isinstance(maker, Faker):
            self._check_faker(maker)
            return
        if isinstance(column, IdentifierColumn | TextColumn):
            raise self._refuse(
                f'how = "{maker.how}" makes no {column.kind} column; use how = "faker", or leave [make.{column.name}] out'
            )
        match maker:
            case Value():
                self.point(column, maker.value, "value")
            case Uniform():
                self._check_uniform(column, maker)
            case Labels() | Logistic():
                self._check_labels(column, maker)
            case Normal() | Lognormal() | Poisson() | Linear() | Sum():
                if not counted(column):
                    raise self._refuse(
                        f'how = "{maker.how}" makes amounts, and the column is of kind "{column.kind}"; {_INSTEAD}'
                    )
            case Zipf():
                low, high = granule_bounds(column)
                if not (counted(column) or isinstance(column, LabelledColumn)) or high - low >= _MOST_VALUES:
                    raise self._refuse(
                        'how = "zipf" needs labels or amounts of at most 4 million values; use another way'
                    )
        if isinstance(maker, AbstractEffects):
            self._check_effects(maker)
        if isinstance(maker, Sum):
            for name in maker.parts:
                self._require_number(name, "parts")

    def _check_faker(self, maker: Faker) -> None:
        if not isinstance(self._column, IdentifierColumn | TextColumn):
            raise self._refuse(
                'how = "faker" is for columns of kind "identifier" or "text"; others have values that are declared'
            )
        if maker.provider not in PROVIDERS:
            raise self._refuse(
                f'provider "{maker.provider}" is not offered, as what it makes may be somebody\'s; there are '
                + ", ".join(PROVIDERS)
            )
        if self._column.name in {*self._schema.key, self._schema.unit or ""}:
            raise self._refuse(
                'how = "faker" repeats itself, and this column is a key or the unit; leave it to the schema\'s make'
            )

    def _check_uniform(self, column: ModelledColumn, maker: Uniform) -> None:
        if (
            isinstance(column, LabelledColumn)
            and not isinstance(column, OrderedColumn)
            and (maker.lower, maker.upper) != (None, None)
        ):
            raise self._refuse('labels without order have no lower and upper; use how = "labels"')
        ends = [
            None if end is None else self.point(column, end, key)
            for key, end in (("lower", maker.lower), ("upper", maker.upper))
        ]
        if ends[0] is not None and ends[1] is not None and ends[0] > ends[1]:
            raise self._refuse(f"lower {maker.lower} is above upper {maker.upper}; swap or correct them")

    def _check_labels(self, column: ModelledColumn, maker: Labels | Logistic) -> None:
        if not isinstance(column, LabelledColumn):
            raise self._refuse(
                f'how = "{maker.how}" makes labels, and the column is of kind "{column.kind}"; {_INSTEAD}'
            )
        named = (maker.label,) if isinstance(maker, Logistic) else tuple(maker.weights)
        for label in named:
            if label not in column.labels:
                raise self._refuse(f"{label!r} is none of its labels ({', '.join(column.labels[:12])}); correct it")
        if isinstance(maker, Logistic) and len(column.labels) != 2:
            raise self._refuse('how = "logistic" is for columns of two labels; use how = "given" with "labels"')
        if isinstance(maker, Labels) and maker.rest and len(named) == len(column.labels):
            raise self._refuse("rest: every label has a weight, and none is left to share it; remove rest")

    def _check_effects(self, maker: AbstractEffects) -> None:
        for name in maker.per:
            self._require_number(name, "per")
        for name, effects in maker.effects.items():
            for text in effects:
                allowed(self._schema, name, text, f"{self._where}: effects.{name}")

    def _require_number(self, name: str, key: str) -> None:
        column = self._schema.modelled_column(name)
        ordered = key == "per" and isinstance(column, BooleanColumn | OrderedColumn)
        if not counted(column) and not ordered:
            raise self._refuse(f'{key}: "{name}" is no number; name an amount, or give its labels effects')

    def point(self, column: ModelledColumn, value: object, key: str) -> int:
        """A declared value as a granule inside the column's bounds. Raises: SchemaError."""
        try:
            return granule(column, value)
        except ValueError as error:
            raise self._refuse(f"{key}: {error}") from None


def granule(column: ModelledColumn, value: object) -> int:
    """A declared value as a granule. Raises: ValueError where it is none of the column's, or outside its bounds."""
    if isinstance(column, TemporalColumn) and column.after is not None:
        days = Decimal(str(value)) if isinstance(value, Decimal | int) else None
        if days is None or days != days.to_integral_value():
            raise ValueError(f'expected whole days after "{column.after}", found {value}')
        found = int(days) * ticks_per_day(column)
    else:
        named = str(value) if isinstance(column, LabelledColumn) and isinstance(value, Decimal) else value
        found = int(granules(column, np.array([tick(column, named)], dtype=np.int64))[0])
    low, high = granule_bounds(column)
    if not low <= found <= high:
        raise ValueError(f"{value} lies outside the column's bounds; move it inside, or widen them in the schema")
    return found
