"""Schema: the public data dictionary of one table; everything that encoding, privacy accounting and reports know of it.

Must never look into a table: what is not declared here is unknown, and is refused or bought.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal, final

from pydantic import BaseModel, ValidationError

from privsynth import validation
from privsynth.domain import Domain
from privsynth.errors import SchemaError
from privsynth.schema import checks as schema_checks
from privsynth.schema import declared
from privsynth.schema.binning import FROZEN
from privsynth.schema.columns import (
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
    TemporalColumn,
    TextColumn,
)
from privsynth.schema.impossible import impossible_cells
from privsynth.schema.levels import Levels, column_is_open, level_facts, levels
from privsynth.schema.rule import Rule
from privsynth.schema.use import Use

Fact = Literal["categories", "bounds", "edges"]
_MODELLED = (
    CategoryColumn,
    OrderedColumn,
    BooleanColumn,
    IntegerColumn,
    NumberColumn,
    DateColumn,
    DatetimeColumn,
)


@final
class Table(BaseModel):
    """What a table is called, the column that names its privacy unit (None: each row is its own), and its key."""

    model_config = FROZEN
    name: str
    title: str | None = None
    description: str | None = None
    unit: str | None = None
    key: tuple[str, ...] = ()


@final
class Schema(BaseModel):
    """A table's columns in order, its privacy unit, its key, its business rules, and what it is used for.

    Privacy: public; made by `load`, `loads`, `from_json` or `from_domain`, which raise SchemaError.
    """

    model_config = FROZEN
    table: Table
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...] = ()
    use: Use = Use()

    @classmethod
    def load(cls, path: str | Path) -> Schema:
        """Read a schema file. Raises: SchemaError, which names the part of the file, what was expected and found."""
        file = Path(path)
        return cls.loads(declared.text_of(file, "schema"), source=file.name)

    @classmethod
    def loads(cls, text: str, *, source: str = "schema.toml") -> Schema:
        """Read a schema from TOML text; `source` is what messages call it."""
        return cls.from_document(declared.parsed(text, source), source)

    @classmethod
    def from_document(cls, document: Mapping[str, object], source: str) -> Schema:
        """Read a parsed TOML document; `source` is what messages call it."""
        for key in document:
            if key not in ("table", "columns", "rules", "use"):
                raise SchemaError(
                    f'{source}: unknown key "{key}"; expected [table], [columns.NAME], [[rules]] and [use]'
                )
        table, columns, rules = (document.get(key, {}) for key in ("table", "columns", "rules"))
        if not isinstance(columns, dict) or not isinstance(rules or [], list):
            raise SchemaError(f"{source}: expected tables [table] and [columns.NAME] and a list [[rules]]")
        for name, column in columns.items():
            if not isinstance(column, dict) or "name" in column:
                raise SchemaError(
                    f"[columns.{name}] in {source}: expected a table of keys without name (its title names it)"
                )
        value = {
            "table": table,
            "columns": [{"name": name, **column} for name, column in columns.items()],
            "rules": rules or [],
            "use": document.get("use", {}),
        }
        return cls._checked(value, source, tuple(columns))

    @classmethod
    def _checked(cls, value: object, source: str, names: Sequence[str]) -> Schema:
        def place(location: tuple[int | str, ...]) -> tuple[str, tuple[int | str, ...]]:
            if location[:1] == ("columns",) and len(location) > 1:
                name = names[int(location[1])]
                return f"[columns.{name if name.isprintable() else ascii(name)}] in {source}", location[3:]
            if location[:1] == ("rules",) and len(location) > 1:
                return f"[[rules]] number {int(location[1]) + 1} in {source}", location[3:]
            return f"[{'use' if location[:1] == ('use',) else 'table'}] in {source}", location[1:]

        try:
            schema = cls.model_validate(validation.frozen(value))
        except ValidationError as error:
            raise SchemaError(validation.describe(error, place)) from None
        schema._check(source)
        return schema

    def _check(self, source: str) -> None:
        schema_checks.check(
            name=self.table.name, unit=self.unit, key=self.key, columns=self.columns, rules=self.rules, source=source
        )
        problem = self.use.problem({column.name: column for column in self.modelled})
        if problem is not None:
            raise SchemaError(f"[use] in {source}: {problem}")

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> Schema:
        """Read what `to_json` wrote."""
        schema = declared.from_json(cls, value)
        schema._check("JSON")
        return schema

    @classmethod
    def from_domain(cls, sizes: Mapping[str, int], *, name: str = "table", unit: str | None = None) -> Schema:
        """Describe a table of integer codes: column -> number of codes 0, 1, ..., one level each."""
        columns: dict[str, object] = {}
        for column, size in sizes.items():
            if isinstance(size, bool) or int(size) < 1:
                raise SchemaError(f'from_domain: column "{column}" has {size} codes; it needs at least one')
            bins = {"method": "quantiles", "count": int(size)}
            columns[column] = {"kind": "integer", "lower": 0, "upper": int(size) - 1, "bins": bins}
        table: dict[str, object] = {"name": name}
        if unit is not None:
            table["unit"] = unit
            columns.setdefault(unit, {"kind": "identifier", "make": "########"})
        return cls.from_document({"table": table, "columns": columns}, "the given domain")

    def to_json(self) -> dict[str, object]:
        """A JSON object that `from_json` reads; what is left at its default is left out."""
        return declared.to_json(self)

    def digest(self) -> str:
        """SHA-256, in hexadecimal, of the canonical JSON."""
        return declared.digest(self)

    @property
    def unit(self) -> str | None:
        """The column that names the privacy unit; None where each row is its own."""
        return self.table.unit

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that together name a row."""
        return self.table.key

    def column(self, name: str) -> Column:
        """The column of this name; SchemaError when there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise SchemaError(f'there is no column "{name}" in the schema; add [columns.{name}] or correct the name')

    def modelled_column(self, name: str) -> ModelledColumn:
        """The modelled column of this name; SchemaError when there is none or it is an identifier or text."""
        column = self.column(name)
        if isinstance(column, IdentifierColumn | TextColumn):
            raise SchemaError(f'column "{name}" is {column.kind}: it is never modelled; name another column')
        return column

    @property
    def modelled(self) -> tuple[ModelledColumn, ...]:
        """The columns that are encoded, in order."""
        return tuple(column for column in self.columns if isinstance(column, _MODELLED))

    @property
    def identifiers(self) -> tuple[IdentifierColumn, ...]:
        """The columns that are regenerated, in order."""
        return tuple(column for column in self.columns if isinstance(column, IdentifierColumn))

    @property
    def released(self) -> tuple[ModelledColumn | IdentifierColumn, ...]:
        """The columns of the output, in order: the modelled ones and the identifiers."""
        return tuple(column for column in self.columns if not isinstance(column, TextColumn))

    @property
    def unresolved(self) -> tuple[CategoryColumn | IntegerColumn | NumberColumn, ...]:
        """The columns of which something is still to be bought."""
        return tuple(
            column
            for column in self.columns
            if isinstance(column, CategoryColumn | IntegerColumn | NumberColumn) and column_is_open(column)
        )

    @property
    def following(self) -> tuple[tuple[TemporalColumn, TemporalColumn], ...]:
        """The columns counted in days after another, each with that other, in an order in which bases come first."""
        found: list[tuple[TemporalColumn, TemporalColumn]] = []
        waiting = [
            column for column in self.modelled if isinstance(column, TemporalColumn) and column.after is not None
        ]
        done = {column.name: column for column in self.modelled if isinstance(column, TemporalColumn)}
        for column in waiting:
            done.pop(column.name)
        while waiting:
            ready = [column for column in waiting if column.after in done]
            found += [(column, done[column.after]) for column in ready if column.after is not None]
            done.update((column.name, column) for column in ready)
            waiting = [column for column in waiting if column.name not in done]
        return tuple(found)

    def levels(self, name: str) -> Levels:
        """The layout of one modelled column's levels."""
        return levels(self.modelled_column(name))

    def domain(self) -> Domain:
        """The modelled columns, their levels, and the cells that no row can have.

        Raises: SchemaError while something is still to be bought, or for a rule that no row can obey.
        """
        if self.unresolved:
            names = ", ".join(column.name for column in self.unresolved)
            raise SchemaError(f"these columns still have something to buy: {names}; buy it, then resolve the schema")
        return _domain_of(self.modelled, self.rules)

    def resolve(self, column: str, fact: Fact, found: Sequence[str]) -> Schema:
        """Complete the schema with a bought fact: labels, (lower, upper), or edges as decimal strings.

        Bounds are widened outwards to whole steps; edges are cut to whole steps inside the bounds. Raises: SchemaError when
        this fact was not to be bought.
        """
        old = self.column(column)
        if not isinstance(old, CategoryColumn | IntegerColumn | NumberColumn) or old not in self.unresolved:
            raise SchemaError(f'column "{column}" has nothing to buy; it is declared in full')
        fields = {**old.model_dump(exclude_defaults=True), **schema_checks.bought(old, fact, tuple(found))}
        fields.pop("buy")
        columns = [fields if one is old else one.model_dump(exclude_defaults=True) for one in self.columns]
        value = {**self.model_dump(exclude_defaults=True, by_alias=True), "columns": columns}
        return self._checked(value, "schema.toml with what was bought", tuple(one.name for one in self.columns))


@lru_cache(maxsize=64)
def _domain_of(columns: tuple[ModelledColumn, ...], rules: tuple[Rule, ...]) -> Domain:
    return Domain(
        tuple(column.name for column in columns),
        tuple(levels(column).size for column in columns),
        tuple(level_facts(column) for column in columns),
        impossible_cells(columns, rules),
    )
