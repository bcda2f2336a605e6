"""The views of a database: for each table, the attributes that are measured together, and which are given on drawing.

Must never depend on records: a view is a function of the schema, so that measuring and drawing see the same one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, final

from privsynth.database.document import DatabaseSchema, TableTerms
from privsynth.domain import Domain, Impossible, LevelFacts
from privsynth.errors import SchemaError
from privsynth.histories.spans import first_levels, gap_levels, size_levels
from privsynth.schema.levels import Levels, level_facts, levels

Kind = Literal["column", "count", "first", "gap", "weekday", "month", "shared"]
"""A column; the number of child rows, and when the first of them happens; the time since the row before, and what is asked of
the day; whether it is a day of the table that days are shared with."""

_SMALL = {"weekday": 7, "month": 12, "shared": 2}


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Attribute:
    """One attribute of a view.

    Args: `of` is the column, or for "count" and "first" the child table. `layout` says which values have which code; None for
        "weekday" (Monday is 0), "month" (January is 0) and "shared" (0 or 1). `table` is where the value comes from: the
        view's own table, or an ancestor. `previous` marks the row before. `absent` marks a level more, the last, for where
        there is no such row.
    """

    name: str
    kind: Kind
    table: str
    of: str
    layout: Levels | None
    facts: LevelFacts
    previous: bool = False
    absent: bool = False

    @property
    def size(self) -> int:
        """Number of levels."""
        return (_SMALL[self.kind] if self.layout is None else self.layout.size) + int(self.absent)


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """What is measured of one table: `context` is given when a row is drawn, `own` is drawn.

    Each row of the table is one record: its own attributes, those of the rows above it, and those of the row before it among
    the rows of its parent. `impossible` holds the cells that the table's own rules leave empty.
    Raises: SchemaError where a column has the name of something that is measured beside it, such as "gap".
    """

    table: str
    context: tuple[Attribute, ...]
    own: tuple[Attribute, ...]
    impossible: tuple[Impossible, ...] = ()

    def __post_init__(self) -> None:
        names = [one.name for one in self.attributes]
        taken = next((name for name in names if names.count(name) > 1), None)
        if taken is not None:
            raise SchemaError(
                f'[tables.{self.table}]: "{taken}" is what something else is called that is measured of this table; rename the '
                "column"
            )

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        """All of them, in the order of the domain."""
        return self.context + self.own

    def attribute(self, name: str) -> Attribute:
        """The attribute of this name."""
        return next(one for one in self.attributes if one.name == name)

    def domain(self) -> Domain:
        """The attributes, their sizes, and what is known of them."""
        return Domain(
            tuple(one.name for one in self.attributes),
            tuple(one.size for one in self.attributes),
            tuple(one.facts for one in self.attributes),
            self.impossible,
        )


def views(schema: DatabaseSchema) -> dict[str, View]:
    """The view of every table that has something to measure, by table, parents before children."""
    found = {
        table.name: View(
            table=table.name,
            context=_context(schema, table),
            own=_own(schema, table),
            impossible=() if table.content is None else table.content.domain().impossible,
        )
        for table in schema.tables
    }
    return {name: view for name, view in found.items() if view.own}


def _own(schema: DatabaseSchema, table: TableTerms) -> tuple[Attribute, ...]:
    """Time first, because what happens depends on when; then columns, then numbers of children."""
    found: list[Attribute] = []
    if table.time is not None:
        layout = gap_levels(table)
        found.append(_attribute("gap", "gap", table.name, table.time.column, layout, LevelFacts(ordered=layout.bins)))
        found += [_attribute(kind, kind, table.name, table.time.column, None, LevelFacts()) for kind in table.time.keep]
        if table.time.shared_with is not None:
            found.append(_attribute("shared", "shared", table.name, table.time.shared_with, None, LevelFacts()))
    return (*found, *_columns(table), *_counts(schema, table))


def _columns(table: TableTerms) -> tuple[Attribute, ...]:
    if table.content is None:
        return ()
    found: list[Attribute] = []
    for column in table.content.modelled:
        facts = level_facts(column)
        if column.name in table.carry:
            facts = replace(facts, chain=column.name)
        found.append(_attribute(column.name, "column", table.name, column.name, levels(column), facts))
    return tuple(found)


def _counts(schema: DatabaseSchema, table: TableTerms) -> list[Attribute]:
    """Numbers of rows of each child table, and when they begin; for units also of rows that have no other parent."""
    children = [*schema.children(table.name), *(schema.loose() if table is schema.root else ())]
    found: list[Attribute] = []
    for child in children:
        assert child.bound is not None
        layout = size_levels(child.bound.largest)
        facts = LevelFacts(ordered=layout.bins)
        found.append(_attribute(f"count.{child.name}", "count", table.name, child.name, layout, facts))
        if child.time is not None:
            starts = first_levels(schema, child)
            facts = LevelFacts(ordered=starts.bins)
            found.append(_attribute(f"first.{child.name}", "first", table.name, child.name, starts, facts))
    return found


def _context(schema: DatabaseSchema, table: TableTerms) -> tuple[Attribute, ...]:
    """The parent with its numbers of children, the columns of those above it, and what is carried of the row before."""
    found: list[Attribute] = []
    loose = table.parent is not None and table.parent.optional
    for place, above in enumerate(schema.ancestors(table.name)):
        is_parent = place == 0
        known = [
            one
            for one in (*_columns(above), *_counts(schema, above))
            if one.kind == "column" or (one.kind == "count" and (is_parent or (loose and one.of == table.name)))
        ]
        found += [_moved(one, f"{above.name}.{one.name}", absent=is_parent and loose) for one in known]
    own = {one.name: one for one in _columns(table)}
    found += [_moved(own[name], f"previous.{name}", absent=True, previous=True) for name in table.carry]
    return tuple(found)


def _attribute(name: str, kind: Kind, table: str, of: str, layout: Levels | None, facts: LevelFacts) -> Attribute:
    return Attribute(name=name, kind=kind, table=table, of=of, layout=layout, facts=facts)


def _moved(one: Attribute, name: str, *, absent: bool, previous: bool = False) -> Attribute:
    """The same attribute under the name that it has in another row's view."""
    parents = one.facts.parents
    facts = LevelFacts(
        ordered=one.facts.ordered,
        parents=(*parents, max(parents) + 1) if parents and absent else parents,
        given=True,
        chain=one.facts.chain if previous else "",
    )
    return Attribute(
        name=name,
        kind=one.kind,
        table=one.table,
        of=one.of,
        layout=one.layout,
        facts=facts,
        previous=previous,
        absent=absent,
    )
