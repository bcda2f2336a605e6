"""Checks of a database schema: keys, parents, bounds, times and references, before any table is looked at.

Must never look into a table: a schema is right or wrong by itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn, final

from privsynth.database.terms import Balanced, Copied, Count, Elapsed, InOrder, Running, Sequence, Sign, Total
from privsynth.errors import SchemaError
from privsynth.schema import Schema, labels
from privsynth.schema.columns import (
    BooleanColumn,
    CategoryColumn,
    DateColumn,
    DatetimeColumn,
    IntegerColumn,
    ModelledColumn,
    NumberColumn,
    OrderedColumn,
)

if TYPE_CHECKING:
    from privsynth.database.document import DatabaseSchema, TableTerms

DEPTH = 3
"""Tables one above the other: a patient, a stay, a diagnosis."""

_CARRIED = 8
"""Up to so many columns, a row depends on all of the one before; with more, the schema says on which."""

_PLAIN = re.compile(r"\w[\w -]{0,99}(?<! )")

_LABELLED = (CategoryColumn, OrderedColumn, BooleanColumn)
_POINTS = (IntegerColumn, DateColumn, DatetimeColumn)


def default_carry(name: str, schema: Schema | None, source: str) -> tuple[str, ...]:
    """All columns where there are few. Raises: SchemaError where there are many and the schema does not say."""
    columns = () if schema is None else tuple(column.name for column in schema.modelled)
    if len(columns) > _CARRIED:
        raise SchemaError(
            f"[tables.{name}] in {source}: it has {len(columns)} modelled columns; name the few of a row that the next one "
            "depends on: carry = [...], or carry = [] for none"
        )
    return columns


def parents_first(tables: Mapping[str, TableTerms], unit: str, source: str) -> list[str]:
    """Names of the tables, parents before children. Raises: SchemaError for no or two roots, unknown parents and cycles."""
    roots = [name for name, table in tables.items() if table.parent is None]
    if roots != [unit]:
        others = ", ".join(f'"{name}"' for name in roots if name != unit)
        raise SchemaError(
            f'{source}: the privacy unit is declared once, as "{unit}", and every other table belongs to it by its parent; '
            + (f"{others} has no parent: give it one, or release it under a schema of its own" if others else "")
            + ("" if unit in roots else f'"{unit}" itself has a parent; remove it, or name the unit above it')
        )
    for name, table in tables.items():
        if table.parent_name is not None and table.parent_name not in tables:
            raise SchemaError(
                f'[tables.{name}] in {source}: its parent "{table.parent_name}" is a table that is not declared; correct the '
                f"name (the tables are {', '.join(tables)}), or add [tables.{table.parent_name}]"
            )
    found = [unit]
    while len(found) < len(tables):
        ready = [name for name, table in tables.items() if name not in found and table.parent_name in found]
        if not ready:
            left = ", ".join(f'"{name}"' for name in tables if name not in found)
            raise SchemaError(
                f'{source}: {left}: their parents lead in a circle; every chain of parents must end at "{unit}"'
            )
        found += ready
    return found


def check(schema: DatabaseSchema, source: str) -> None:
    """Check all tables and rules against each other. Raises: SchemaError, which names the part and what to do."""
    problem = labels.problem(schema.name)
    if problem is not None:
        raise SchemaError(f"[database] in {source}: name {problem}")
    _names(schema, source)
    checker = _Checker(schema, source)
    for table in schema.tables:
        checker.table(table)
    for rule in schema.rules:
        checker.rule(rule)


def plain_name(name: str) -> bool:
    """Whether a table may have this name: it becomes the name of a file, and of a table in a database."""
    return bool(_PLAIN.fullmatch(name)) and not name.lower().startswith("sqlite_")


def _names(schema: DatabaseSchema, source: str) -> None:
    """Tables are files and tables of a database, so their names are plain and differ; each stands after its parent."""
    seen: list[str] = []
    for table in schema.tables:
        place = f"[tables.{table.name}] in {source}"
        if not plain_name(table.name):
            raise SchemaError(
                f"{place}: a table's name is the name of its file; use up to 100 letters, digits, spaces, _ and -, a letter or "
                "digit first"
            )
        if table.name.lower() in [name.lower() for name in seen]:
            raise SchemaError(f"{place}: another table's name differs by capital letters alone; rename one of them")
        if (table.parent_name not in seen) if seen else table.parent_name is not None:
            raise SchemaError(f"{place}: it stands before its parent; expected parents first")
        seen.append(table.name)


@final
class _Checker:
    """One schema's checks; messages name the part of the file."""

    def __init__(self, schema: DatabaseSchema, source: str) -> None:
        self._schema, self._source = schema, source

    def _refuse(self, place: str, said: str) -> NoReturn:
        raise SchemaError(f"{place} in {self._source}: {said}")

    def table(self, table: TableTerms) -> None:
        """Keys, parent, bound, time, order and derived columns of one table."""
        place = f"[tables.{table.name}]"
        if len(self._schema.ancestors(table.name)) >= DEPTH:
            self._refuse(place, f"tables may lie {DEPTH} deep; join it to its parent, or release it separately")
        if table.content is not None and table.content.unresolved:
            name = table.content.unresolved[0].name
            self._refuse(place, f'column "{name}" is to be bought; of several tables, declare every category and bound')
        self._columns(table, place)
        self._key(table, place)
        self._parent(table, place)
        self._time(table, place)
        for one in table.carry:
            if one not in table.columns:
                self._refuse(place, f'carry names "{one}", which is no modelled column of it')
        for column in table.derived:
            self._derived(table, column, f'{place} derived "{column.name}"')

    def _columns(self, table: TableTerms, place: str) -> None:
        """Each column of the output is one thing, under a lawful name."""
        derived = [one.name for one in table.derived]
        links = () if table.parent is None else (*table.parent.columns, *table.parent.unit)
        others = {*table.columns, *(one.name for one in table.identifiers), *links}
        for name in derived:
            if derived.count(name) > 1 or name in others:
                self._refuse(place, f'column "{name}" is declared twice, derived and otherwise; keep one of the two')
        for name in (*links, *derived):
            problem = labels.problem(name)
            if problem is not None:
                self._refuse(place, f'the name of column "{name}" {problem}')
        if len({name.lower() for name in table.released}) != len(table.released):
            self._refuse(place, "the names of two columns differ by capital letters alone; rename one of them")
        if table.order is not None and table.order in table.columns:
            self._refuse(place, f'order "{table.order}" is a modelled column; say time = {{column = "{table.order}"}}')
        for what, names in (("key", table.key), ("parent", table.parent.columns if table.parent is not None else ())):
            if len(set(names)) != len(names):
                self._refuse(place, f"{what}: a column is named twice; remove one")

    def _key(self, table: TableTerms, place: str) -> None:
        """A key is made of what is made anew, and differs from row to row."""
        own = {column.name: column for column in table.identifiers}
        sequences = {one.name for one in table.derived if isinstance(one, Sequence)}
        foreign = () if table.parent is None else table.parent.columns
        links = {*foreign, *(() if table.parent is None else table.parent.unit)}
        for name in table.key:
            if name not in links and name not in sequences and name not in own:
                self._refuse(
                    place, f'key names "{name}": declare it with kind = "identifier", or as a derived sequence'
                )
            if name in own and name not in links and own[name].faker is not None:
                self._refuse(place, f'key "{name}": invented names repeat; say make = "P-########" instead of faker')
        link = table.parent
        if link is not None and link.optional and {*table.key} & {*foreign} - {*link.unit}:
            self._refuse(
                place, "key: it holds a foreign key that may be empty; give the rows an identifier of their own"
            )
        if not table.key or {*table.key} & {*own} - links:
            return
        single = bool({*table.key} & sequences) or (table.bound is not None and table.bound.largest == 1)
        if not {*foreign} <= {*table.key} or not single:
            self._refuse(
                place,
                "key: rows would share it; add a column of kind identifier, or the parent's columns and a derived sequence",
            )

    def _parent(self, table: TableTerms, place: str) -> None:
        link = table.parent
        if link is None:
            if table.bound is not None or table.time is not None or table.order is not None:
                self._refuse(place, "the table of the units has one row a unit: remove bound, time and order")
            if not table.key:
                self._refuse(place, 'the units need a key = ["COLUMN"] that other tables point to')
            return
        if table.bound is None:
            self._refuse(
                place,
                "one unit may have any number of rows here, and no noise covers that. Declare bound = {rows = NUMBER} (at most "
                'so many rows of a unit are used), or bound = {rows = "buy", most = NUMBER} (learn it with budget), or leave '
                "the table out",
            )
        if table.bound.keep != "random" and table.time is None and table.order is None:
            self._refuse(
                place, f'bound: keep = "{table.bound.keep}" needs an order; declare time or order, or keep = "random"'
            )
        parent = self._schema.table(table.parent_table)
        if not parent.key:
            self._refuse(
                f"[tables.{parent.name}]", f'it is the parent of "{table.name}" and needs a key = ["COLUMN", ...]'
            )
        if len(link.columns) != len(parent.key):
            self._refuse(
                place, f'parent: "{parent.name}" has a key of {len(parent.key)} columns, found {len(link.columns)}'
            )
        if (link.unit or link.optional) and (
            len(link.unit) != len(self._schema.root.key) or parent is self._schema.root
        ):
            self._refuse(
                place,
                "parent: unit = [...] is for rows whose parent is no unit itself, and names as many columns as the units' key",
            )
        own = table.dropped if table.content is None else [column.name for column in table.content.columns]
        for name in (*link.columns, *link.unit):
            if name in own and name not in {column.name for column in table.identifiers}:
                self._refuse(
                    place, f'column "{name}" is a foreign key: make it kind = "identifier", or leave it undeclared'
                )

    def _time(self, table: TableTerms, place: str) -> None:
        time = table.time
        if time is None:
            return
        if table.order is not None:
            self._refuse(place, "time orders the rows already; remove order")
        column = self._column(table, time.column, f"{place} time")
        if not isinstance(column, _POINTS) or (
            isinstance(column, DateColumn | DatetimeColumn) and column.after is not None
        ):
            self._refuse(f"{place} time", f'column "{time.column}" must be a date, a datetime or an integer of its own')
        if time.keep and not isinstance(column, DateColumn):
            self._refuse(f"{place} time", "weekdays and months are kept of dates; remove keep, or declare a date")
        if isinstance(column, DateColumn) and column.granularity != "day":
            self._refuse(
                f"{place} time", "rows are ordered by whole days or by datetimes; give the date granularity day"
            )
        for key, name in (("anchor", time.anchor), ("until", time.until)):
            if name is not None:
                other = self._column_above(table, name, f"{place} time {key}")
                alike = (DateColumn, DatetimeColumn) if not isinstance(column, IntegerColumn) else (IntegerColumn,)
                if not isinstance(other, alike):
                    self._refuse(
                        f"{place} time", f'{key} "{name}" is not counted as "{time.column}" is; name another column'
                    )
        if time.shared_with is not None:
            siblings = [one.name for one in self._schema.children(table.parent_table)]
            if time.shared_with not in siblings or time.shared_with == table.name:
                self._refuse(
                    f"{place} time", f'shared_with names "{time.shared_with}", which is no other table of its parent'
                )
            sibling = self._schema.table(time.shared_with)
            if sibling.time is None or siblings.index(time.shared_with) > siblings.index(table.name):
                self._refuse(
                    f"{place} time", f'"{time.shared_with}" needs a time of its own and stands before this table'
                )
            if isinstance(self._column(sibling, sibling.time.column, place), IntegerColumn) != isinstance(
                column, IntegerColumn
            ):
                self._refuse(f"{place} time", f'"{time.shared_with}" has no days in common; both times must be dates')

    def _column(self, table: TableTerms, name: str, place: str) -> ModelledColumn:
        if name not in table.columns or table.content is None:
            self._refuse(
                place, f'"{name}" is no modelled column of "{table.name}"; declare it there, or correct the name'
            )
        return table.content.modelled_column(name)

    def _column_above(self, table: TableTerms, name: str, place: str) -> ModelledColumn:
        """A column of the parent, or "table.column" of an ancestor."""
        above, _, column = name.rpartition(".")
        ancestors = {one.name: one for one in self._schema.ancestors(table.name)}
        wanted = above or (table.parent_name or "")
        if wanted not in ancestors:
            self._refuse(place, f'"{name}" is no column of its parent, and no "table.column" of a table above it')
        return self._column(ancestors[wanted], column, place)

    def _derived(self, table: TableTerms, one: object, place: str) -> None:
        match one:
            case Elapsed():
                for name in (one.since, one.at):
                    own = name in table.columns
                    found = self._column(table, name, place) if own else self._column_above(table, name, place)
                    if not isinstance(found, DateColumn | DatetimeColumn):
                        self._refuse(place, f'"{name}" is no date')
            case Running():
                self._amount(table, one.of, one.negative, place)
                if one.opening is not None:
                    self._numeric(self._column_above(table, one.opening, place), one.opening, place)
            case Total():
                name, _, column = one.of.partition(".")
                child = self._child(table, name, place)
                self._amount(child, column, one.negative, place)
                if one.opening is not None:
                    self._numeric(self._column(table, one.opening, place), one.opening, place)
            case Count():
                self._child(table, one.of, place)
            case Copied():
                self._column_above(table, one.of, place)
            case Sequence():
                if table.parent is None:
                    self._refuse(place, "the units are in no order; remove it")

    def _child(self, table: TableTerms, name: str, place: str) -> TableTerms:
        found = [child for child in self._schema.children(table.name) if child.name == name]
        if not found:
            self._refuse(place, f'"{name}" is no child table of "{table.name}"')
        return found[0]

    def _numeric(self, column: ModelledColumn, name: str, place: str) -> None:
        if not isinstance(column, IntegerColumn | NumberColumn):
            self._refuse(place, f'"{name}" is no number')

    def _amount(self, table: TableTerms, name: str, sign: Sign | None, place: str) -> None:
        self._numeric(self._column(table, name, place), name, place)
        if sign is not None:
            column = self._column(table, sign.column, place)
            if not isinstance(column, _LABELLED) or not set(sign.values) <= set(column.labels):
                self._refuse(place, f'negative: "{sign.column}" has not all the labels that are listed')

    def rule(self, rule: object) -> None:
        """References of one rule across tables."""
        place = "[[rules]]"
        match rule:
            case InOrder():
                (left, _, left_column), (right, _, right_column) = rule.left.rpartition("."), rule.right.rpartition(".")
                tables = [self._schema.table(name) for name in (left, right)]
                related = {one.name for one in self._schema.ancestors(left)} | {left}
                if right not in related and left not in {one.name for one in self._schema.ancestors(right)}:
                    self._refuse(place, f'"{left}" and "{right}" are not one above the other')
                found = [
                    self._column(table, column, place)
                    for table, column in zip(tables, (left_column, right_column), strict=True)
                ]
                if not all(isinstance(one, _POINTS) for one in found):
                    self._refuse(place, f'"{rule.left}" or "{rule.right}" is no date, datetime or integer')
                if len({isinstance(one, IntegerColumn) for one in found}) > 1:
                    self._refuse(
                        place,
                        f'"{rule.left}" and "{rule.right}" are not counted alike; compare two dates or two numbers',
                    )
            case Balanced():
                table = self._schema.table(rule.table)
                if table.parent is None:
                    self._refuse(place, f'"{rule.table}" has no parent within which its amounts could balance')
                self._amount(table, rule.amount, rule.negative, place)
