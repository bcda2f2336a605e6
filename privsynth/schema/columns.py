"""Columns: one model a kind of column, as the schema declares it.

Must never hold anything that was read from a table: a fact that is not public is declared as something to buy.
"""

from __future__ import annotations

import datetime as dt
from abc import ABC
from decimal import Decimal, InvalidOperation
from typing import Annotated, Literal, TypeAlias, final

from pydantic import BaseModel, BeforeValidator, Field, NaiveDatetime, model_validator

from privsynth.schema import codelists, groups, labels
from privsynth.schema.binning import FROZEN, CountedBins, EdgeBins
from privsynth.schema.groups import Groups

Role: TypeAlias = Literal["identifier", "quasi", "sensitive", "other"]
Granularity: TypeAlias = Literal["day", "month", "year"]
TimeGranularity: TypeAlias = Literal["second", "minute", "hour", "day"]

MAX_STEPS = 1 << 50
"""Bounds may lie this many steps from zero: beyond, a binary fraction could not tell two neighbours apart."""

SECONDS: dict[TimeGranularity, int] = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
"""Seconds in one granule of a datetime column."""


def _exact(value: object) -> object:
    """Read a decimal string or a whole number exactly; leave anything else to the strict type check."""
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, str):
        try:
            return Decimal(value)
        except InvalidOperation:
            raise ValueError(f'expected a decimal number such as "0.01", found {value!r}') from None
    return value


Exact: TypeAlias = Annotated[Decimal, BeforeValidator(_exact), Field(allow_inf_nan=False)]
"""An exact decimal: a number or a decimal string in TOML, always a string in JSON."""


class AbstractColumn(BaseModel, ABC):
    """What every kind of column declares.

    `missing` lists the texts that mean a missing value ("" is an empty cell); declaring one adds a level for it. The first
    marker is what a missing value is written back as, in columns of labels.
    """

    model_config = FROZEN
    name: str
    role: Role = "other"
    missing: tuple[str, ...] = ()
    description: str | None = None

    @model_validator(mode="after")
    def _check_names(self) -> AbstractColumn:
        found = labels.problem(self.name)
        if found is not None:
            raise ValueError(f"the column's name {found}")
        if len(set(self.missing)) != len(self.missing):
            raise ValueError("missing: a marker is declared twice; remove one")
        return self

    @property
    def nullable(self) -> bool:
        """Whether missing values are a level of this column."""
        return bool(self.missing)


def _check_labels(column: CategoryColumn | OrderedColumn | BooleanColumn, values: tuple[str, ...]) -> None:
    """Labels are lawful and distinct, are no missing markers, and the marker that is written back is lawful too."""
    found = labels.first_problem(values)
    if found is not None:
        raise ValueError(found)
    for marker in column.missing:
        if marker in values:
            raise ValueError(f"{marker!r} is both a label and a missing marker; keep one of the two")
    if column.missing and column.missing[0]:
        found = labels.problem(column.missing[0])
        if found is not None:
            raise ValueError(f'missing marker {column.missing[0]!r} is written back and {found}, or list "" first')


@final
class CategoryColumn(AbstractColumn):
    """Labels without order: declared (`values`), taken from a named code list (`codes`), or bought (`buy = true`).

    `groups` is a hierarchy: every label in exactly one named group; a code list may have one of its own, which this replaces.
    `other` names the label that takes what is outside the domain. A bought column always has a missing level, because
    labels too rare to be bought must go somewhere; with `other` they go there, and `other` is always one of the labels.
    """

    kind: Literal["category"]
    values: tuple[str, ...] = ()
    codes: str | None = None
    buy: bool = False
    other: str | None = None
    groups: Groups = ()

    @model_validator(mode="after")
    def _check(self) -> CategoryColumn:
        if (bool(self.values), self.codes is not None, self.buy).count(True) != 1:
            raise ValueError(
                "the categories are not declared. Give exactly one of: values = [...] (from a data dictionary), "
                f"codes = a code list ({', '.join(codelists.names())}), or buy = true (learn them with budget)"
            )
        if self.codes is not None and self.codes not in codelists.names():
            raise ValueError(f"codes: there is no code list {self.codes!r}; there are {', '.join(codelists.names())}")
        _check_labels(self, self.labels)
        if self.other is not None and self.buy:
            _check_labels(self, (self.other,))
        elif self.other is not None and self.other not in self.labels:
            raise ValueError(f"other: {self.other!r} is not one of the labels; add it to values")
        if self.groups and self.buy:
            raise ValueError("groups: labels that are bought are not known before; declare values, or remove groups")
        found = groups.problem(self.groups, self.labels) if self.groups else None
        if found is not None:
            raise ValueError(found)
        return self

    @property
    def hierarchy(self) -> Groups:
        """The groups of the labels, declared or of the code list; empty where there are none."""
        return codelists.load(self.codes).groups if self.codes is not None and not self.groups else self.groups

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in the order of their ticks; empty while they are to be bought."""
        return codelists.load(self.codes).labels if self.codes is not None else self.values


@final
class OrderedColumn(AbstractColumn):
    """Labels in their declared order."""

    kind: Literal["ordered"]
    values: tuple[str, ...] = ()
    other: str | None = None

    @model_validator(mode="after")
    def _check(self) -> OrderedColumn:
        if not self.values:
            raise ValueError("the labels are not declared: values = [...], lowest first (from a data dictionary)")
        _check_labels(self, self.values)
        if self.other is not None and self.other not in self.values:
            raise ValueError(f"other: {self.other!r} is not one of the labels; add it to values")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in the order of their ticks."""
        return self.values


@final
class BooleanColumn(AbstractColumn):
    """Two labels; tick 0 is false. The first text of each list is what is written back."""

    kind: Literal["boolean"]
    true: Annotated[tuple[str, ...], Field(min_length=1)] = ("true", "True")
    false: Annotated[tuple[str, ...], Field(min_length=1)] = ("false", "False")

    @model_validator(mode="after")
    def _check(self) -> BooleanColumn:
        _check_labels(self, self.false + self.true)
        return self

    @property
    def labels(self) -> tuple[str, str]:
        """The labels in the order of their ticks: false, true."""
        return (self.false[0], self.true[0])


def _check_bought(column: IntegerColumn | NumberColumn) -> None:
    """Bounds are declared, or bought; edges are bought only inside declared bounds."""
    declared = column.lower is not None and column.upper is not None
    absent = column.lower is None and column.upper is None
    if column.buy == "bounds" and not absent:
        raise ValueError('bounds are declared and bought at once; remove lower and upper, or buy = "bounds"')
    if column.buy != "bounds" and not declared:
        raise ValueError(
            "the bounds are not declared. Give lower = ... and upper = ... (from a data dictionary or common "
            'knowledge, not from this table), or buy = "bounds" (learn them with budget)'
        )
    if column.buy == "edges" and isinstance(column.bins, EdgeBins):
        raise ValueError("edges are declared and bought at once; remove one of the two")
    if column.buy == "bounds" and isinstance(column.bins, EdgeBins):
        raise ValueError("edges cannot be declared before the bounds are known; give bins a count")
    if column.lower is not None and column.upper is not None and column.lower > column.upper:
        raise ValueError(f"lower bound {column.lower} is above upper bound {column.upper}; swap or correct them")


def _check_steps(column: IntegerColumn | NumberColumn, unit: Decimal, unit_name: str) -> None:
    """Every declared value is a whole number of steps, and not too many of them."""
    if unit <= 0:
        raise ValueError(f"{unit_name} {unit} must be above zero")
    edges = column.bins.edges if isinstance(column.bins, EdgeBins) else ()
    for value in (column.lower, column.upper, *column.atoms, *edges):
        if value is None:
            continue
        steps = Decimal(value) / unit
        if abs(steps) > MAX_STEPS or abs(Decimal(value)) > MAX_STEPS:
            raise ValueError(f"{value} lies more than 2^50 steps from zero; use a coarser {unit_name}, or another kind")
        if steps != steps.to_integral_value():
            raise ValueError(f"{value} is not a multiple of {unit_name} {unit}; change one of the two")


@final
class IntegerColumn(AbstractColumn):
    """Whole numbers: multiples of `step` from `lower` to `upper`, both included. Tick = value / step."""

    kind: Literal["integer"]
    lower: int | None = None
    upper: int | None = None
    step: int = 1
    bins: Annotated[CountedBins | EdgeBins[int], Field(discriminator="method")] | None = None
    atoms: tuple[int, ...] = ()
    buy: Literal["bounds", "edges"] | None = None

    @model_validator(mode="after")
    def _check(self) -> IntegerColumn:
        _check_bought(self)
        _check_steps(self, Decimal(self.step), "step")
        return self

    @property
    def unit(self) -> Decimal:
        """The value of one tick."""
        return Decimal(self.step)


@final
class NumberColumn(AbstractColumn):
    """Decimal numbers, rounded to multiples of `precision`. Tick = value / precision."""

    kind: Literal["number"]
    lower: Exact | None = None
    upper: Exact | None = None
    precision: Exact | None = None
    bins: Annotated[CountedBins | EdgeBins[Exact], Field(discriminator="method")] | None = None
    atoms: tuple[Exact, ...] = ()
    buy: Literal["bounds", "edges"] | None = None

    @model_validator(mode="after")
    def _check(self) -> NumberColumn:
        if self.precision is None:
            raise ValueError(
                'the precision is not declared: precision = "0.01" (the step between two admissible values)'
            )
        _check_bought(self)
        _check_steps(self, self.precision, "precision")
        return self

    @property
    def unit(self) -> Decimal:
        """The value of one tick."""
        assert self.precision is not None
        return self.precision


def _check_span(column: DateColumn | DatetimeColumn, point: type, example: str) -> None:
    """Bounds, edges and atoms are points in time, or whole days after another column; never a mixture."""
    if column.lower is None or column.upper is None:
        raise ValueError(
            f"the bounds are not declared. Give lower = {example} and upper = ..., "
            'or after = "another column" with lower and upper in days after it'
        )
    edges = column.bins.edges if isinstance(column.bins, EdgeBins) else ()
    wanted: type = point if column.after is None else int
    for value in (column.lower, column.upper, *column.atoms, *edges):
        if not isinstance(value, wanted):
            hint = (
                "whole days after the other column" if column.after is not None else f"points in time such as {example}"
            )
            raise ValueError(f"expected {hint}, found {value}; correct the bounds, atoms and edges")
        if isinstance(value, int) and abs(value) > MAX_DAYS:
            raise ValueError(f"{value} days is more than {MAX_DAYS}; correct it")
    if column.lower > column.upper:  # type: ignore[operator]  # both are of the wanted type, checked above
        raise ValueError(f"lower bound {column.lower} is above upper bound {column.upper}; swap or correct them")
    if isinstance(column.bins, CountedBins) and column.bins.method == "log" and column.after is None:
        raise ValueError('bins: method "log" needs numbers; use "uniform", "quantiles" or "edges"')


MAX_DAYS = 366 * 400
"""The longest span after another column, in days."""


def _check_format(text: str, directives: str) -> None:
    """A format names each of its directives once and nothing else that begins with a percent sign."""
    found = [text[index + 1 : index + 2] for index, sign in enumerate(text) if sign == "%"]
    if sorted(found) != sorted(set(found)) or not set(found) <= set(directives) or not set("Ymd") <= set(found):
        allowed = ", ".join(f"%{directive}" for directive in directives)
        raise ValueError(f"format {text!r}: use each of %Y, %m, %d once, and nothing but {allowed}")
    if text.startswith("%Y-%d-%m"):
        raise ValueError(f"format {text!r} looks like ISO 8601 with another meaning; convert the column to ISO 8601")


@final
class DateColumn(AbstractColumn):
    """Days from `lower` to `upper`, both included, cut to `granularity`; or whole days after another column.

    `format` is how the table writes dates (ISO 8601 where it is absent). Tick = days since 1970-01-01; a month or a year is
    the tick of its first day.
    """

    kind: Literal["date"]
    lower: dt.date | int | None = None
    upper: dt.date | int | None = None
    granularity: Granularity = "day"
    after: str | None = None
    format: str | None = None
    bins: Annotated[CountedBins | EdgeBins[dt.date | int], Field(discriminator="method")] | None = None
    atoms: tuple[dt.date | int, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> DateColumn:
        _check_span(self, dt.date, "2001-01-01")
        if self.after is not None and self.granularity != "day":
            raise ValueError('a date after another column needs granularity = "day"')
        if self.format is not None:
            _check_format(self.format, "Ymd")
        return self


@final
class DatetimeColumn(AbstractColumn):
    """Local times without zone from `lower` to `upper`, cut to `granularity`; or days after another column.

    Tick = granules (seconds, minutes, hours or days) since 1970-01-01T00:00.
    """

    kind: Literal["datetime"]
    lower: NaiveDatetime | int | None = None
    upper: NaiveDatetime | int | None = None
    granularity: TimeGranularity = "second"
    after: str | None = None
    format: str | None = None
    bins: Annotated[CountedBins | EdgeBins[NaiveDatetime | int], Field(discriminator="method")] | None = None
    atoms: tuple[NaiveDatetime | int, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> DatetimeColumn:
        _check_span(self, dt.datetime, "2001-01-01T00:00:00")
        if self.format is not None:
            _check_format(self.format, "YmdHMS")
        return self


@final
class IdentifierColumn(AbstractColumn):
    """A column that names somebody: read only as the privacy unit, never modelled, regenerated on release.

    Exactly one of `make` (a pattern: # a digit, ? a letter), `faker` (a provider's name) and `range` (a never-issued range).
    """

    kind: Literal["identifier"]
    role: Role = "identifier"
    make: str | None = None
    faker: str | None = None
    range: str | None = None

    @model_validator(mode="after")
    def _check(self) -> IdentifierColumn:
        if [self.make, self.faker, self.range].count(None) != 2:
            raise ValueError(
                'give exactly one of make = "P-########", faker = "name", range = "...": how new identifiers are made'
            )
        found = labels.problem(self.make) if self.make is not None else None
        if found is not None:
            raise ValueError(f"make: {self.make!r} {found}")
        return self


@final
class TextColumn(AbstractColumn):
    """Free text: refused, unless the schema says that it is dropped."""

    kind: Literal["text"]
    drop: bool = False

    @model_validator(mode="after")
    def _check(self) -> TextColumn:
        if not self.drop:
            raise ValueError("free text cannot be released: write drop = true to leave it out, or declare another kind")
        return self


LabelledColumn: TypeAlias = CategoryColumn | OrderedColumn | BooleanColumn
NumericColumn: TypeAlias = IntegerColumn | NumberColumn
TemporalColumn: TypeAlias = DateColumn | DatetimeColumn
ModelledColumn: TypeAlias = LabelledColumn | NumericColumn | TemporalColumn
Column: TypeAlias = Annotated[ModelledColumn | IdentifierColumn | TextColumn, Field(discriminator="kind")]
"""Any column, told apart by its `kind`."""
