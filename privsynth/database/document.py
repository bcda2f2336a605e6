"""DatabaseSchema: the public data dictionary of several tables under one privacy unit.

Must never look into a table: tables, keys, parents, bounds and rules are declared.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from pydantic import BaseModel, TypeAdapter, ValidationError

from privsynth import validation
from privsynth.database import checks
from privsynth.database.terms import AcrossRule, Bound, Copied, Derived, ParentLink, Time
from privsynth.errors import SchemaError
from privsynth.schema import Schema, declared
from privsynth.schema.binning import FROZEN
from privsynth.schema.columns import IdentifierColumn, TextColumn

_KEYS = ("database", "tables", "rules")
_TABLE_KEYS = (
    "key",
    "file",
    "parent",
    "bound",
    "time",
    "order",
    "carry",
    "constant",
    "columns",
    "derived",
    "rules",
)


@final
class TableTerms(BaseModel):
    """One table: its columns as a schema of their own, and its place among the others.

    Args: `schema` describes the columns that are modelled or regenerated; None where there is no modelled column, and then
        `identifiers` alone are written. `released` names all columns of the output in order. `order` names an integer column
        that orders siblings where there is no time; it is not modelled. `carry` names the columns of a row that the next one
        depends on. `listed` is False for units that no source lists. `constant` names the columns that hold something of
        such a unit, `dropped` those that are left out of a table with nothing modelled.
    """

    model_config = FROZEN
    name: str
    content: Schema | None
    identifiers: tuple[IdentifierColumn, ...] = ()
    released: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    parent: ParentLink | None = None
    bound: Bound | None = None
    time: Time | None = None
    order: str | None = None
    carry: tuple[str, ...] = ()
    derived: tuple[Derived, ...] = ()
    file: str | None = None
    listed: bool = True
    constant: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    parent_name: str | None = None

    @property
    def parent_table(self) -> str:
        """The table that the foreign key points to, or the units themselves."""
        assert self.parent_name is not None
        return self.parent_name

    @property
    def columns(self) -> tuple[str, ...]:
        """The modelled columns, in order."""
        return () if self.content is None else tuple(column.name for column in self.content.modelled)


@final
class DatabaseSchema(BaseModel):
    """Tables, parents before children, the first of them the privacy units; and rules across tables.

    Privacy: public; made by `load`, `loads` or `from_json`, which raise SchemaError.
    """

    model_config = FROZEN
    name: str
    tables: tuple[TableTerms, ...]
    rules: tuple[AcrossRule, ...] = ()
    description: str | None = None

    @classmethod
    def load(cls, path: str | Path) -> DatabaseSchema:
        """Read a schema file. Raises: SchemaError, which names the part of the file, what was expected and found."""
        file = Path(path)
        return cls.loads(declared.text_of(file, "schema"), source=file.name)

    @classmethod
    def loads(cls, text: str, *, source: str = "database.toml") -> DatabaseSchema:
        """Read a schema from TOML text; `source` is what messages call it."""
        return _Reader(source).read(declared.parsed(text, source))

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> DatabaseSchema:
        """Read what `to_json` wrote."""
        found = declared.from_json(cls, value)
        checks.check(found, "schema in JSON")
        return found

    def to_json(self) -> dict[str, object]:
        """A JSON object that `from_json` reads; what is left at its default is left out."""
        return declared.to_json(self)

    def digest(self) -> str:
        """SHA-256, in hexadecimal, of the canonical JSON."""
        return declared.digest(self)

    @property
    def root(self) -> TableTerms:
        """The table of the privacy units."""
        return self.tables[0]

    def table(self, name: str) -> TableTerms:
        """The table of this name; SchemaError when there is none."""
        for table in self.tables:
            if table.name == name:
                return table
        raise SchemaError(f'there is no table "{name}" in the schema; add [tables.{name}] or correct the name')

    def children(self, name: str) -> tuple[TableTerms, ...]:
        """The tables whose foreign key points to this one, in order."""
        return tuple(table for table in self.tables if table.parent_name == name)

    def loose(self) -> tuple[TableTerms, ...]:
        """The tables of which some rows may have no parent but the unit."""
        return tuple(table for table in self.tables if table.parent is not None and table.parent.optional)

    def ancestors(self, name: str) -> tuple[TableTerms, ...]:
        """The parent, the parent's parent, and so on up to the units."""
        found: list[TableTerms] = []
        table = self.table(name)
        while table.parent_name is not None:
            table = self.table(table.parent_name)
            found.append(table)
        return tuple(found)


@final
class _Reader:
    """Turns a TOML document into a schema: [database], [tables.NAME] with their columns, [[rules]]."""

    def __init__(self, source: str) -> None:
        self._source = source

    def read(self, document: Mapping[str, Any]) -> DatabaseSchema:
        """Check the shape, then the content."""
        for key in document:
            if key not in _KEYS:
                raise SchemaError(
                    f'{self._source}: unknown key "{key}"; expected [database], [tables.NAME] and [[rules]]'
                )
        head, tables = document.get("database", {}), document.get("tables", {})
        if not isinstance(head, dict) or not isinstance(tables, dict) or not tables:
            raise SchemaError(f"{self._source}: expected tables [database] and [tables.NAME], at least one")
        unknown = [key for key in head if key not in ("name", "unit", "description")]
        if unknown or not all(isinstance(head.get(key), str) for key in ("name", "unit")):
            raise SchemaError(
                f'[database] in {self._source}: expected name = "..." and unit = "..." (the table whose rows are the privacy '
                "units, or what a unit is called where no table lists them), and nothing else but description"
            )
        unit = head["unit"]
        self._text(head.get("description"), "[database] description")
        read: dict[str, TableTerms] = {}
        constants: dict[str, Any] = {}
        for name, content in tables.items():
            read[name] = self._table(name, content, unit, unit in tables, constants)
        if unit not in tables:
            read[unit] = self._unlisted(unit, constants, read)
        ordered = tuple(read[name] for name in checks.parents_first(read, unit, self._source))
        rules = self._checked(tuple[AcrossRule, ...], document.get("rules", []), "[[rules]]")
        found = DatabaseSchema(name=head["name"], tables=ordered, rules=rules, description=head.get("description"))
        checks.check(found, self._source)
        return found

    def _table(self, name: str, content: object, unit: str, listed: bool, constants: dict[str, Any]) -> TableTerms:  # noqa: FBT001
        place = f"[tables.{name}]"
        if not isinstance(content, dict) or not isinstance(content.get("columns", {}), dict):
            raise SchemaError(
                f"{place} in {self._source}: expected a table of keys, with [tables.{name}.columns.COLUMN]"
            )
        for key in content:
            if key not in _TABLE_KEYS:
                raise SchemaError(f'{place} in {self._source}: unknown key "{key}"; expected {", ".join(_TABLE_KEYS)}')
        columns = dict(content.get("columns", {}))
        link = self._optional(ParentLink, content.get("parent"), f"{place} parent")
        parent_name = None if link is None else link.table if link.table is not None else unit
        constant = self._names(content.get("constant", []), f"{place} constant")
        if constant and (listed or parent_name != unit):
            raise SchemaError(
                f"{place} in {self._source}: constant columns belong to units that no table lists; where a table lists them, "
                "declare the columns there"
            )
        for column in constant:
            if column not in columns or column in constants:
                raise SchemaError(
                    f'{place} in {self._source}: constant names "{column}", which is no column of it, or taken'
                )
            constants[column] = columns.pop(column)
        derived = self._checked(tuple[Derived, ...], content.get("derived", []), f"{place} derived")
        derived = derived + tuple(Copied(kind="copied", name=one, of=f"{unit}.{one}") for one in constant)
        schema, identifiers = self._columns(name, columns, content.get("rules", []))
        bound = self._optional(Bound, content.get("bound"), f"{place} bound")
        carry = content.get("carry")
        return TableTerms(
            name=name,
            content=schema,
            identifiers=identifiers,
            released=_released(content.get("columns", {}), link, derived),
            key=self._names(content.get("key", []), f"{place} key"),
            parent=link,
            bound=bound,
            time=self._optional(Time, content.get("time"), f"{place} time"),
            order=self._text(content.get("order"), f"{place} order"),
            carry=self._carry(name, schema, carry, place) if link is not None else (),
            derived=derived,
            file=self._text(content.get("file"), f"{place} file"),
            constant=constant,
            dropped=self._dropped(name, columns) if schema is None else (),
            parent_name=parent_name,
        )

    def _unlisted(self, unit: str, constants: dict[str, Any], read: Mapping[str, TableTerms]) -> TableTerms:
        """The units that no table lists: their key is the first foreign key to them, their columns what is constant."""
        schema, _ = self._columns(unit, constants, [])
        first = next((table for table in read.values() if table.parent_name == unit), None)
        if first is None or first.parent is None:
            raise SchemaError(
                f'[database] in {self._source}: unit = "{unit}" is no table, and no table holds events of it; name a table, or '
                "give the events' table a parent = {columns = [...]}"
            )
        named = {column.name: column for column in first.identifiers}
        absent = [column for column in first.parent.columns if column not in named]
        if absent:
            raise SchemaError(
                f'[tables.{first.name}] in {self._source}: column "{absent[0]}" names the unit; declare it with kind = '
                '"identifier" and how new ones are made'
            )
        identifiers = tuple(named[column] for column in first.parent.columns)
        return TableTerms(
            name=unit,
            content=schema,
            identifiers=identifiers,
            key=first.parent.columns,
            listed=False,
            released=tuple(constants),
        )

    def _columns(
        self, name: str, columns: Mapping[str, Any], rules: object
    ) -> tuple[Schema | None, tuple[IdentifierColumn, ...]]:
        """The table's columns as a schema; where none is modelled, its identifiers alone."""
        kinds = {str(spec.get("kind")) if isinstance(spec, dict) else "" for spec in columns.values()}
        if kinds - {"identifier", "text"} or rules:
            schema = Schema.from_document(
                {"table": {"name": name}, "columns": columns, "rules": rules}, f"{self._source}, [tables.{name}]"
            )
            return schema, schema.identifiers
        found = [{"name": one, **spec} for one, spec in columns.items() if spec.get("kind") == "identifier"]
        return None, self._checked(tuple[IdentifierColumn, ...], found, f"[tables.{name}] columns")

    def _dropped(self, name: str, columns: Mapping[str, Any]) -> tuple[str, ...]:
        """Text that is left out of a table with nothing modelled."""
        texts = [{"name": one, **spec} for one, spec in columns.items() if spec.get("kind") == "text"]
        return tuple(one.name for one in self._checked(tuple[TextColumn, ...], texts, f"[tables.{name}] columns"))

    def _carry(self, name: str, schema: Schema | None, value: object, place: str) -> tuple[str, ...]:
        if value is None:
            return checks.default_carry(name, schema, self._source)
        return self._names(value, f"{place} carry")

    def _names(self, value: object, place: str) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise SchemaError(f"{place} in {self._source}: expected a list of column names")
        return tuple(value)

    def _text(self, value: object, place: str) -> str | None:
        if value is not None and not isinstance(value, str):
            raise SchemaError(f"{place} in {self._source}: expected text in quotes")
        return value

    def _optional(self, kind: Any, value: object, place: str) -> Any:
        return None if value is None else self._checked(kind, value, place)

    def _checked(self, kind: Any, value: object, place: str) -> Any:
        try:
            return TypeAdapter(kind).validate_python(validation.frozen(value))
        except ValidationError as error:
            raise SchemaError(
                validation.describe(error, lambda location: (f"{place} in {self._source}", location))
            ) from None


def _released(columns: Mapping[str, Any], link: ParentLink | None, derived: tuple[Derived, ...]) -> tuple[str, ...]:
    """The columns of the output: foreign keys that are not declared elsewhere, declared columns in order, derived ones."""
    declared = [name for name, spec in columns.items() if not (isinstance(spec, dict) and spec.get("kind") == "text")]
    foreign = () if link is None else (*link.columns, *link.unit)
    return tuple(
        dict.fromkeys([*(name for name in foreign if name not in columns), *declared, *(one.name for one in derived)])
    )
