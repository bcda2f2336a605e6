"""What is declared of a table's place among others: its parent, its bound, its time, and what is computed from the rest.

Must never hold anything that was read from a table.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias, final

from pydantic import BaseModel, Field, field_validator, model_validator

from privsynth.schema.binning import FROZEN

MOST_ROWS = 256
"""Most rows of one unit that are used of one table: a unit's weight is shared among them in 256 equal parts."""


@final
class ParentLink(BaseModel):
    """The foreign key of a table: `columns` hold the key of `table`, in that key's order.

    Args: `table` is None where the table holds events of units that no table lists: `columns` then name the unit. `optional`
        foreign keys may be empty; the row is then its unit's alone, and `unit` names the columns with the unit's key.
    """

    model_config = FROZEN
    table: str | None = None
    columns: tuple[str, ...] = Field(min_length=1)
    optional: bool = False
    unit: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> ParentLink:
        if self.optional and not self.unit:
            raise ValueError(
                "an optional parent needs unit = [...]: the columns that name the unit of rows without a parent"
            )
        if self.optional and self.table is None:
            raise ValueError("the unit itself is no optional parent; remove optional, or name the parent's table")
        return self


@final
class Bound(BaseModel):
    """How much of one unit a table's measurements may hold.

    Args: `rows` of a unit are used at most, "buy" learns a number from noisy group sizes; `keep` says which ("first" and
        "last" by the table's order). With `weights` "unit", each of a unit's m rows counts 1/m; with "row", each counts
        fully, and noise grows with `rows`. `most` is the largest number of rows of one parent that is told apart; more count
        as `most`. It is public, and by default `rows`.
    """

    model_config = FROZEN
    rows: Annotated[int, Field(ge=1, le=MOST_ROWS)] | Literal["buy"]
    keep: Literal["random", "first", "last"] = "random"
    weights: Literal["unit", "row"] = "unit"
    most: Annotated[int, Field(ge=1, le=100_000)] | None = None

    @field_validator("rows", mode="before")
    @classmethod
    def _number_or_buy(cls, found: object) -> object:
        number = isinstance(found, int) and not isinstance(found, bool) and 1 <= found <= MOST_ROWS
        if not number and found != "buy":
            raise ValueError(f'expected a whole number from 1 to {MOST_ROWS}, or "buy"')
        return found

    @model_validator(mode="after")
    def _check(self) -> Bound:
        if self.rows == "buy" and self.most is None:
            raise ValueError('rows = "buy" needs most = NUMBER: a public upper bound on the rows of one parent')
        return self

    @property
    def largest(self) -> int:
        """The largest number of rows of one parent that is told apart."""
        return self.most if self.most is not None else int(self.rows)


@final
class Time(BaseModel):
    """When a table's rows happen: `column` orders them, and the gaps between them are modelled.

    Args: `anchor` and `until` are columns of the parent, or "table.column" of another ancestor, in the same units: nothing
        happens before the one or after the other. With an `anchor` whose bounds are no wider than the column's, a parent's
        first row is placed by its distance from it.
        `largest_gap` is in the column's own units (days of a date, steps of an integer; of a datetime, its granularity).
        `keep` asks for days of the week or months to be kept. `shared_with` is another table of the same parent: a row on a
        day of that table's rows stays on one.
    """

    model_config = FROZEN
    column: str
    anchor: str | None = None
    until: str | None = None
    largest_gap: Annotated[int, Field(ge=1)] | None = None
    keep: tuple[Literal["weekday", "month"], ...] = ()
    shared_with: str | None = None


@final
class Sign(BaseModel):
    """Which amounts count as negative: those of rows whose label in `column` is one of `values`."""

    model_config = FROZEN
    column: str
    values: tuple[str, ...] = Field(min_length=1)


class AbstractDerived(BaseModel):
    """A column that is computed when the tables are written, never modelled; one in the source is not read."""

    model_config = FROZEN
    name: str


@final
class Sequence(AbstractDerived):
    """1, 2, 3, ... within each parent, in the table's order."""

    kind: Literal["sequence"]


@final
class Elapsed(AbstractDerived):
    """Whole `unit`s from the date `since` (a column of this table or "table.column" of an ancestor) to the date `at`."""

    kind: Literal["elapsed"]
    since: str
    at: str
    unit: Literal["days", "months", "years"] = "years"


@final
class Running(AbstractDerived):
    """The sum of `of` over the parent's rows so far, this one included; on top of the parent's column `opening`, if given."""

    kind: Literal["running"]
    of: str
    opening: str | None = None
    negative: Sign | None = None


@final
class Total(AbstractDerived):
    """The sum of a child table's column ("table.column") over a row's children, on top of the own column `opening`."""

    kind: Literal["total"]
    of: str
    opening: str | None = None
    negative: Sign | None = None


@final
class Count(AbstractDerived):
    """The number of a row's children in the table `of`."""

    kind: Literal["count"]
    of: str


@final
class Copied(AbstractDerived):
    """The value of an ancestor's column, "table.column"."""

    kind: Literal["copied"]
    of: str


Derived: TypeAlias = Annotated[Sequence | Elapsed | Running | Total | Count | Copied, Field(discriminator="kind")]


@final
class InOrder(BaseModel):
    """`left` is never after `right`: columns "table.column", of one table and an ancestor of it; missing ones bind nothing."""

    model_config = FROZEN
    kind: Literal["in-order"]
    left: str
    right: str


@final
class Balanced(BaseModel):
    """The signed sum of `amount` over the rows of each parent is zero: debits equal credits."""

    model_config = FROZEN
    kind: Literal["balanced"]
    table: str
    amount: str
    negative: Sign


AcrossRule: TypeAlias = Annotated[InOrder | Balanced, Field(discriminator="kind")]
"""A business rule over more than one row or table."""
