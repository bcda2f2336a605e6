"""Makers: the ways to make a column, as a rules file declares them.

Must never hold anything that was read from a table: weights, means and rates are declared by whoever imagines.
"""

from __future__ import annotations

import datetime as dt
from abc import ABC
from decimal import Decimal
from typing import Annotated, Literal, TypeAlias, final

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from privsynth.schema.binning import FROZEN

_MOST = 10**15


def _number(value: object) -> object:
    """Read a whole number or a decimal, also one in quotes; leave anything else to the strict type check."""
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value


Number: TypeAlias = Annotated[Decimal, BeforeValidator(_number), Field(allow_inf_nan=False, ge=-_MOST, le=_MOST)]
Weight: TypeAlias = Annotated[Decimal, BeforeValidator(_number), Field(allow_inf_nan=False, ge=0, le=_MOST)]
Rate: TypeAlias = Annotated[Decimal, BeforeValidator(_number), Field(allow_inf_nan=False, ge=0, le=1)]
Point: TypeAlias = Number | dt.datetime | dt.date | str


@final
class Missing(BaseModel):
    """Rates of missing values: `rates` by the values of `column`, `otherwise` for the rest; or one rate for all rows."""

    model_config = FROZEN
    column: str | None = None
    rates: dict[str, Rate] = Field(default_factory=dict)
    otherwise: Rate = Decimal(0)

    @model_validator(mode="after")
    def _check(self) -> Missing:
        if (self.column is None) != (not self.rates):
            raise ValueError('expected a rate, or { column = "sex", rates = { F = 0.1 }, otherwise = 0 }')
        return self

    @property
    def some(self) -> bool:
        """Whether any row can go missing."""
        return self.otherwise > 0 or any(rate > 0 for rate in self.rates.values())


def _one_rate(value: object) -> object:
    """One number is the rate of all rows."""
    return value if isinstance(value, dict | Missing) else {"otherwise": value}


class AbstractMaker(BaseModel, ABC):
    """What every way has: the share of rows in which the value is missing, or shares by another column."""

    model_config = FROZEN
    missing: Annotated[Missing, BeforeValidator(_one_rate)] = Missing()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that must be made before, but for those of the missing rates."""
        return ()

    @property
    def needs(self) -> tuple[str, ...]:
        """The columns that must be made before."""
        rates = () if self.missing.column is None else (self.missing.column,)
        return tuple(dict.fromkeys((*self.inputs, *rates)))


@final
class Value(AbstractMaker):
    """One value in every row."""

    how: Literal["value"]
    value: Point | bool


@final
class Labels(AbstractMaker):
    """Labels by weight; those that are not named share `rest` equally. Without weights all are equally likely."""

    how: Literal["labels"]
    weights: dict[str, Weight] = Field(default_factory=dict)
    rest: Weight = Decimal(0)

    @model_validator(mode="after")
    def _check(self) -> Labels:
        if self.weights and not sum(self.weights.values()) + self.rest > 0:
            raise ValueError("weights: at least one must be above zero")
        return self


@final
class Uniform(AbstractMaker):
    """Every admissible value alike, from `lower` to `upper`: the column's bounds where they are absent."""

    how: Literal["uniform"]
    lower: Point | None = None
    upper: Point | None = None


@final
class Normal(AbstractMaker):
    """Normal, clipped to the column's bounds."""

    how: Literal["normal"]
    mean: Number
    sd: Weight


@final
class Lognormal(AbstractMaker):
    """`median` times e to the power of a normal of standard deviation `sigma`, clipped to the column's bounds."""

    how: Literal["lognormal"]
    median: Annotated[Weight, Field(gt=0)]
    sigma: Annotated[Weight, Field(le=20)]


@final
class Poisson(AbstractMaker):
    """Counts of this mean, clipped to the column's bounds."""

    how: Literal["poisson"]
    mean: Annotated[Weight, Field(le=10**9)]


@final
class Zipf(AbstractMaker):
    """The k-th admissible value, from the lowest (of labels: the first), in proportion to 1 / k^exponent."""

    how: Literal["zipf"]
    exponent: Annotated[Weight, Field(gt=0, le=20)]


class AbstractEffects(AbstractMaker):
    """`base`, plus `per` times each column's number, plus what `effects` gives for each column's label.

    A truth value counts as 0 or 1, an ordered label by its position from 0, a date after another in days. What is missing
    adds nothing.
    """

    base: Number = Decimal(0)
    per: dict[str, Number] = Field(default_factory=dict)
    effects: dict[str, dict[str, Number]] = Field(default_factory=dict)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns of the formula."""
        return (*self.per, *self.effects)


@final
class Linear(AbstractEffects):
    """The sum, with normal noise of standard deviation `sd`, clipped to the column's bounds."""

    how: Literal["linear"]
    sd: Weight = Decimal(0)


@final
class Logistic(AbstractEffects):
    """`label` with probability 1 / (1 + e to the power of minus the sum), else the column's other label."""

    how: Literal["logistic"]
    label: str


@final
class Sum(AbstractMaker):
    """The sum of other columns, clipped to the column's bounds; what is missing adds nothing."""

    how: Literal["sum"]
    parts: Annotated[tuple[str, ...], Field(min_length=1)]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The parts."""
        return self.parts


@final
class Faker(AbstractMaker):
    """Words of a provider of Faker, for identifiers and text; drawn from a pool of so many."""

    how: Literal["faker"]
    provider: str
    pool: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000


Simple: TypeAlias = Annotated[
    Value | Labels | Uniform | Normal | Lognormal | Poisson | Zipf | Linear | Logistic | Sum | Faker,
    Field(discriminator="how"),
]


@final
class Given(AbstractMaker):
    """Made in another way for each value of `column`, as `when` says, and as `otherwise` says for the rest."""

    how: Literal["given"]
    column: str
    when: Annotated[dict[str, Simple], Field(min_length=1)]
    otherwise: Simple | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """The column, and what each way needs."""
        ways = [*self.when.values(), *([self.otherwise] if self.otherwise is not None else [])]
        return (self.column, *(name for way in ways for name in way.needs))


Maker: TypeAlias = Annotated[
    Value | Labels | Uniform | Normal | Lognormal | Poisson | Zipf | Linear | Logistic | Sum | Faker | Given,
    Field(discriminator="how"),
]
"""Any way to make a column, told apart by `how`."""
