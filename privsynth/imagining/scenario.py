"""Scenarios: a file that says what a what-if table should be like, and drawing it from a model.

Must never need more than a model: shares, conditions and rules are declared, and nothing is spent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, final

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from privsynth import rules, validation
from privsynth.errors import FitError, SchemaError
from privsynth.imagining.effects import Effects, scenario_effects
from privsynth.making.makers import Rate
from privsynth.making.spoken import spoken
from privsynth.model import Model
from privsynth.provenance import mark, of
from privsynth.records import Records
from privsynth.schema import Schema
from privsynth.schema.binning import FROZEN
from privsynth.schema.columns import LabelledColumn, TemporalColumn
from privsynth.schema.declared import parsed, text_of
from privsynth.schema.rule import Constant, Rule
from privsynth.transcript_files import DOCUMENT

_PAIR = 2
_ROUNDS = 50
"""Rows drawn for each that is wanted, before rules that so few obey are called out of reach."""


@final
class _Cell(BaseModel):
    """The share of one combination of values."""

    model_config = FROZEN
    values: tuple[Constant, ...]
    share: Rate


@final
class _Together(BaseModel):
    """Shares of several columns together."""

    model_config = FROZEN
    columns: Annotated[tuple[str, ...], Field(min_length=2)]
    cells: Annotated[tuple[_Cell, ...], Field(min_length=1)]


def _listed(value: object) -> object:
    return value if isinstance(value, tuple) else (value,)


@final
class _Declared(BaseModel):
    """A scenario file as it is written."""

    model_config = FROZEN
    shift: dict[str, dict[str, Rate]] = Field(default_factory=dict)
    shift_together: tuple[_Together, ...] = ()
    given: dict[str, Annotated[tuple[Constant, ...], BeforeValidator(_listed)]] = Field(default_factory=dict)
    rules: tuple[Rule, ...] = ()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """What a scenario drew: the table, how far columns moved (None where nothing was shifted), and rows the rules took out.

    `refused` is the share of the drawn rows that broke a rule of the scenario.
    """

    table: pa.Table
    effects: Effects | None
    refused: float
    model: Model

    def to_json(self) -> dict[str, object]:
        """A JSON object: what it is, and what moved."""
        moved = {} if self.effects is None else self.effects.to_json()
        return {"imagined": "what-if", "model": repr(self.model), "refusedByRules": round(self.refused, 6), **moved}

    def lines(self) -> list[str]:
        """The same for a reader."""
        refused = [f"{self.refused:.1%} of the rows drawn broke a rule of the scenario and were left out"]
        return [
            f"a what-if: {self.table.num_rows:,} rows from {self.model!r}; it describes no records, and has no error bars",
            *(refused if self.refused else []),
            *(self.effects.lines() if self.effects is not None else []),
        ]


@final
class Scenario:
    """Declared shifts, conditions and further business rules, not yet read against a schema."""

    __slots__ = ("_declared", "source")

    def __init__(self, declared: _Declared, source: str) -> None:
        self._declared, self.source = declared, source

    @classmethod
    def load(cls, path: str | Path) -> Scenario:
        """Read a scenario file. Raises: SchemaError naming part, expectation and remedy."""
        file = Path(path)
        return cls.loads(text_of(file, "scenario"), source=file.name)

    @classmethod
    def loads(cls, text: str, *, source: str = "scenario.toml") -> Scenario:
        """Read a scenario from TOML text; `source` is what messages call it."""
        document = parsed(text, source)
        try:
            declared = _Declared.model_validate(validation.frozen(document))
        except ValidationError as error:
            raise SchemaError(validation.describe(error, lambda location: _place(location, source))) from None
        if not (declared.shift or declared.shift_together or declared.given or declared.rules):
            raise SchemaError(
                f"{source}: it asks for nothing; expected [shift.NAME], [[shift_together]], [given] or [[rules]]"
            )
        return cls(declared, source)

    def targets(self, schema: Schema) -> dict[str | tuple[str, ...], dict[object, float]]:
        """The declared shares, as `Model.shifted` takes them."""
        found: dict[str | tuple[str, ...], dict[object, float]] = {}
        for name, shares in self._declared.shift.items():
            column = schema.modelled_column(name)
            found[name] = {spoken(column, text): float(share) for text, share in shares.items()}
        for one in self._declared.shift_together:
            columns = [schema.modelled_column(name) for name in one.columns]
            if one.columns in found:
                raise SchemaError(
                    f'{self.source}: shift_together: "{", ".join(one.columns)}" stands twice; join the two'
                )
            for cell in one.cells:
                if len(cell.values) != len(columns):
                    raise SchemaError(
                        f"{self.source}: shift_together: expected {len(columns)} values, one a column, found "
                        f"{', '.join(cell.values)}"
                    )
            found[one.columns] = {tuple(map(spoken, columns, cell.values)): float(cell.share) for cell in one.cells}
        return found

    def given(self, schema: Schema) -> dict[str, object]:
        """The conditions, as `Model.sample` takes them: two values of an ordered column are a range."""
        found: dict[str, object] = {}
        for name, texts in self._declared.given.items():
            column = schema.modelled_column(name)
            if isinstance(column, LabelledColumn) or len(texts) != _PAIR:
                values = [spoken(column, text) for text in texts]
                found[name] = values[0] if len(values) == 1 else values
            else:
                days = isinstance(column, TemporalColumn) and column.after is not None
                found[name] = tuple(int(text) if days else text for text in texts)
        return found

    def _schema(self, schema: Schema) -> Schema:
        """The schema with the scenario's rules before its own, so that messages number them as their file does.

        Raises: SchemaError where one does not fit it.
        """
        if not self._declared.rules:
            return schema
        extra = [rule.model_dump(mode="json", by_alias=True, exclude_defaults=True) for rule in self._declared.rules]
        value = schema.to_json()
        own = value.get("rules", [])
        assert isinstance(own, list)
        try:
            return Schema.from_json({**value, "rules": [*extra, *own]})
        except SchemaError as error:
            raise SchemaError(str(error).replace("in JSON", f"in {self.source}")) from None

    def draw(self, model: Model, n: int, *, rng: np.random.Generator) -> WhatIf:
        """Draw n rows: from the shifted model, under the conditions, and of those the rows that obey the scenario's rules.

        Shares are those of the model before rows are taken out for breaking a rule.
        Privacy: post-processing of a model; spends nothing.
        Raises: SchemaError for what the schema does not admit; FitError for what cannot be met.
        """
        agreed, given = self._schema(model.schema), self.given(model.schema)
        targets = self.targets(model.schema)
        shifted = model.shifted(targets) if targets else model
        parts: list[pa.Table] = []
        kept = drawn = 0
        while kept < n:
            if drawn >= _ROUNDS * n:
                raise FitError(
                    f"{self.source}: fewer than one row in {_ROUNDS} obeys its rules; drop some, or let conditions and shares "
                    "say what they ask for"
                )
            rows = n if not drawn else min(_ROUNDS * n - drawn, max(64, int(1.2 * (n - kept) * drawn / max(kept, 1))))
            found = shifted.draw(rows, rng=rng, given=given or None)
            obeyed = _obey(agreed, model.schema, found.records)
            drawn += rows
            kept += int(obeyed.sum())
            parts.append(found.table.filter(pa.array(obeyed)))
        return WhatIf(
            table=_marked(pa.concat_tables(parts).slice(0, n), ruled=bool(self._declared.rules)),
            effects=scenario_effects(model, shifted) if targets else None,
            refused=1 - kept / drawn,
            model=shifted,
        )


def _marked(table: pa.Table, *, ruled: bool) -> pa.Table:
    """The table with a mark that says that rules of the scenario took rows out, beside what its model says of it."""
    found = of(table)
    assert found is not None
    says = found.provenance
    return mark(table, replace(says, drawn=(*says.drawn, "further rules"))) if ruled else table


def _obey(agreed: Schema, own: Schema, found: Records) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which rows obey the rules that a scenario adds."""
    obeyed = np.ones(found.rows, dtype=bool)
    for broken in rules.check(agreed.rules[: len(agreed.rules) - len(own.rules)], found).values():
        obeyed &= ~broken
    return obeyed


def _place(location: validation.Location, source: str) -> tuple[str, validation.Location]:
    """The part of a scenario file that a location of pydantic is in."""
    if location[:1] in {("shift",), ("given",)} and len(location) > 1:
        return f"[{location[0]}.{location[1]}] in {source}", location[2:]
    if location[:1] in {("shift_together",), ("rules",)} and len(location) > 1:
        keys = location[3:] if location[0] == "rules" else location[2:]
        return f"[[{location[0]}]] number {int(location[1]) + 1} in {source}", keys
    return source, location


def opened(folder: str | Path) -> Model:
    """A saved model, or the model of a release. Raises: InputError or CertificateError where it is neither."""
    source = Path(folder)
    return Model.load(source) if (source / DOCUMENT).is_file() else Model.from_release(source)
