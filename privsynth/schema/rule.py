"""Rules: what a business rule says, as the schema declares it; `rules` checks and repairs tables by them.

Must never be learned from a table: a rule is common knowledge or comes from the owner of the data.
"""

from __future__ import annotations

import datetime as dt
from abc import ABC
from decimal import Decimal
from typing import Annotated, Literal, TypeAlias, final

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from privsynth.schema.binning import FROZEN


def _as_text(value: object) -> object:
    """Write a number, a date or a truth value of TOML as text; leave anything else to the strict type check."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    if isinstance(value, int | Decimal):
        return str(value)
    return value


Constant: TypeAlias = Annotated[str, BeforeValidator(_as_text)]
"""A value of some column, written as text; what it means is read against that column."""

Comparison: TypeAlias = Literal["<", "<=", ">", ">=", "=="]


class AbstractRule(BaseModel, ABC):
    """What every rule has: the columns it names, and a text that stands for it in reports."""

    model_config = FROZEN


@final
class Condition(BaseModel):
    """Something that holds of one column in one row.

    A value that is present satisfies it when it is one of `values` (written `in` in TOML) and lies from `lower` to `upper`. A
    missing value satisfies it only under `missing = true`; with nothing else given, `missing = true` asks for a missing
    value and `missing = false` for any value that is present.
    """

    model_config = FROZEN
    column: str
    values: Annotated[tuple[Constant, ...], Field(alias="in")] = ()
    lower: Constant | None = None
    upper: Constant | None = None
    missing: bool | None = None

    @model_validator(mode="after")
    def _check(self) -> Condition:
        if not self.values and self.lower is None and self.upper is None and self.missing is None:
            raise ValueError("a condition needs one of: in = [...], lower, upper, missing")
        return self

    @property
    def accepts_present(self) -> bool:
        """Whether some value that is present can satisfy the condition."""
        return bool(self.values) or self.lower is not None or self.upper is not None or self.missing is False

    @property
    def text(self) -> str:
        """The condition in words."""
        parts: list[str] = []
        if self.values:
            parts.append(f"{self.column} in {{{', '.join(self.values)}}}")
        if self.lower is not None:
            parts.append(f"{self.column} >= {self.lower}")
        if self.upper is not None:
            parts.append(f"{self.column} <= {self.upper}")
        present = " and ".join(parts)
        if self.missing:
            return f"{present} or {self.column} is missing" if present else f"{self.column} is missing"
        return present or f"{self.column} is not missing"


@final
class OrderRule(AbstractRule):
    """`left op right` for two columns, or for a column and a constant; says nothing of rows where one is missing."""

    kind: Literal["order"]
    left: str
    op: Comparison
    right: str | None = None
    value: Constant | None = None

    @model_validator(mode="after")
    def _check(self) -> OrderRule:
        if (self.right is None) == (self.value is None):
            raise ValueError("give exactly one of right = a column and value = a constant")
        if self.left == self.right:
            raise ValueError("left and right are the same column; compare two different ones")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the rule names."""
        return (self.left,) if self.right is None else (self.left, self.right)

    @property
    def text(self) -> str:
        """The rule in words."""
        return f"{self.left} {self.op} {self.right if self.right is not None else self.value}"


@final
class ImplicationRule(AbstractRule):
    """Where `if` holds, `then` holds."""

    kind: Literal["implication"]
    condition: Annotated[Condition, Field(alias="if")]
    then: Condition

    @model_validator(mode="after")
    def _check(self) -> ImplicationRule:
        if self.condition.column == self.then.column:
            raise ValueError("if and then name the same column; narrow that column's domain instead")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the rule names."""
        return (self.condition.column, self.then.column)

    @property
    def text(self) -> str:
        """The rule in words."""
        return f"if {self.condition.text} then {self.then.text}"


@final
class CombinationRule(AbstractRule):
    """The columns take one of the listed combinations; says nothing of rows where one is missing."""

    kind: Literal["combination"]
    names: Annotated[tuple[str, ...], Field(alias="columns", min_length=2)]
    allowed: Annotated[tuple[tuple[Constant, ...], ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _check(self) -> CombinationRule:
        if len(set(self.names)) != len(self.names):
            raise ValueError("a column is named twice; name each once")
        if any(len(row) != len(self.names) for row in self.allowed):
            raise ValueError(f"each allowed combination needs {len(self.names)} values, one a column")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the rule names."""
        return self.names

    @property
    def text(self) -> str:
        """The rule in words."""
        return f"({', '.join(self.names)}) is one of {len(self.allowed)} listed combinations"


@final
class SumRule(AbstractRule):
    """`total` is the sum of `parts`; says nothing of rows where one is missing."""

    kind: Literal["sum"]
    total: str
    parts: Annotated[tuple[str, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _check(self) -> SumRule:
        if len({self.total, *self.parts}) != len(self.parts) + 1:
            raise ValueError("a column is named twice; name each once")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the rule names."""
        return (self.total, *self.parts)

    @property
    def text(self) -> str:
        """The rule in words."""
        return f"{self.total} = {' + '.join(self.parts)}"


Rule: TypeAlias = Annotated[OrderRule | ImplicationRule | CombinationRule | SumRule, Field(discriminator="kind")]
"""Any rule, told apart by its `kind`."""
