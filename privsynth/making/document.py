"""The rules file: a schema, and how each of its columns is made; read and checked before a row is made.

Must never need a private table: whatever it declares is public, or made up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeAlias, final

from pydantic import BaseModel, Field, ValidationError, model_validator

from privsynth import validation
from privsynth.errors import SchemaError
from privsynth.making.checking import check
from privsynth.making.makers import Maker, Poisson, Uniform, Value, Zipf
from privsynth.schema import Schema
from privsynth.schema.binning import FROZEN
from privsynth.schema.declared import parsed, text_of

_LOCALE = re.compile(r"[a-z]{2,3}_[A-Z]{2}")
_SCHEMA_KEYS = ("table", "columns", "rules", "use")
_KEYS = ("schema", "locale", "make", "unit", *_SCHEMA_KEYS)


@final
class UnitRows(BaseModel):
    """How many rows a unit has, at least one and at most `most`, and which columns are the same in all of them."""

    model_config = FROZEN
    rows: Annotated[Value | Uniform | Poisson | Zipf, Field(discriminator="how")]
    most: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    same: tuple[str, ...] = ()


@final
class _Declared(BaseModel):
    """What a rules file holds beside its schema."""

    model_config = FROZEN
    locale: str = "en_US"
    make: dict[str, Maker] = Field(default_factory=dict)
    unit: UnitRows | None = None

    @model_validator(mode="after")
    def _check(self) -> _Declared:
        if not _LOCALE.fullmatch(self.locale):
            raise ValueError(f'locale: expected a language and a country such as "en_US", found {self.locale!r}')
        return self


Makers: TypeAlias = Mapping[str, Maker]


@final
class RulesFile:
    """A schema with a way to make each column; columns without one are made evenly over what the schema allows.

    `order` has every modelled column after those that it needs.
    """

    __slots__ = ("locale", "make", "order", "schema", "source", "unit")

    def __init__(self, schema: Schema, declared: _Declared, source: str) -> None:
        self.schema, self.source = schema, source
        self.make: Makers = declared.make
        self.locale, self.unit = declared.locale, declared.unit
        same = declared.unit.same if declared.unit is not None else None
        self.order = check(schema, self.make, same, source)

    @classmethod
    def load(cls, path: str | Path) -> RulesFile:
        """Read a rules file; `schema` in it is a path beside it. Raises: SchemaError naming part, expectation and remedy."""
        file = Path(path)
        return cls.loads(text_of(file, "rules"), source=file.name, folder=file.parent)

    @classmethod
    def loads(cls, text: str, *, source: str = "rules.toml", folder: str | Path | None = None) -> RulesFile:
        """Read rules from TOML text; `source` is what messages call it, `folder` where its schema lies."""
        document = parsed(text, source)
        for key in document:
            if key not in _KEYS:
                raise SchemaError(
                    f'{source}: unknown key "{key}"; expected schema = "schema.toml" (or [table], [columns.NAME] and '
                    "[[rules]]), locale, [unit] and [make.NAME]"
                )
        schema = _schema(document, source, folder)
        rest = {key: value for key, value in document.items() if key in ("locale", "make", "unit")}
        try:
            declared = _Declared.model_validate(validation.frozen(rest))
        except ValidationError as error:
            raise SchemaError(validation.describe(error, lambda location: _place(location, source))) from None
        return cls(schema, declared, source)


def _schema(document: Mapping[str, object], source: str, folder: str | Path | None) -> Schema:
    """The schema that a rules file names or holds."""
    inline = {key: document[key] for key in _SCHEMA_KEYS if key in document}
    named = document.get("schema")
    if (named is None) == (not inline):
        raise SchemaError(
            f'{source}: expected either schema = "schema.toml" or its [table] and [columns.NAME], one of the two'
        )
    if named is None:
        schema = Schema.from_document(inline, source)
    elif not isinstance(named, str):
        raise SchemaError(f'{source}: schema: expected a path such as "schema.toml", found {named!r}')
    elif folder is None:
        raise SchemaError(
            f"{source}: schema: rules that are a text have no folder to look in; declare the columns in them"
        )
    else:
        schema = Schema.load(Path(folder) / named)
    if schema.unresolved:
        names = ", ".join(column.name for column in schema.unresolved)
        raise SchemaError(
            f"{source}: the schema leaves something to buy ({names}), and there is no table to buy it from; declare it"
        )
    schema.domain()
    return schema


def _place(location: validation.Location, source: str) -> tuple[str, validation.Location]:
    """The part of the file that a location of pydantic is in, and the keys inside it, without the tags of ways."""
    if location[:1] == ("make",) and len(location) > 1:
        keys = location[3:]
        if keys[:1] == ("when",):
            keys = (*keys[:2], *keys[3:])
        elif keys[:1] == ("otherwise",):
            keys = (*keys[:1], *keys[2:])
        return f"[make.{location[1]}] in {source}", tuple(key for key in keys if key != "[key]")
    if location[:1] == ("unit",):
        keys = location[1:]
        return f"[unit] in {source}", (*keys[:1], *keys[2:]) if keys[:1] == ("rows",) else keys
    return source, location
