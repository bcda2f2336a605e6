"""Keys of drawn tables: made anew, so that every foreign key resolves and no key belongs to anybody.

Must never see a key of a source: what is made depends on the schema, on the links of drawn rows and on `rng` alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from privsynth import identifiers
from privsynth.database.document import DatabaseSchema, TableTerms
from privsynth.database.held import Database, Rows
from privsynth.database.terms import Sequence as SequenceColumn
from privsynth.errors import SchemaError
from privsynth.schema.columns import IdentifierColumn

_Ints = npt.NDArray[np.int64]
_Texts = npt.NDArray[np.object_]

NewKeys: TypeAlias = Mapping[str, Mapping[str, Sequence[str | None]]]
"""{table: {column: one text a row}}; None where an optional foreign key is empty."""

_SPARE = 8
"""A column of a key is given no value twice where it has so many times as many values as there are rows."""


def regenerate(schema: DatabaseSchema, database: Database, rng: np.random.Generator) -> dict[str, dict[str, list[str]]]:
    """Make all identifiers, keys and foreign keys of drawn tables, in each table's order of rows.

    Keys differ from row to row, alone or together with the foreign keys in them; a child's foreign key is its parent's key; an
    optional one is None where there is no parent, but for columns that also name the unit. The unlisted units have keys, too.
    Raises: SchemaError when a column's pattern or range is too small for the rows.
    """
    made: dict[str, dict[str, _Texts]] = {}
    numbered: dict[str, dict[str, _Texts]] = {}
    for terms in schema.tables:
        rows = database.tables[terms.name]
        columns = _links(schema, terms, rows, made)
        siblings = _places_among_siblings(rows)
        for column in terms.identifiers:
            if column.name not in columns:
                try:
                    own = _own(column, terms, rows.count, siblings, rng)
                except SchemaError as error:
                    raise SchemaError(f"[tables.{terms.name}]: {error}") from None
                columns[column.name] = np.array(own, dtype=object)
        numbered[terms.name] = columns
        sequences = {
            one.name: (siblings + 1).astype(str).astype(object)
            for one in terms.derived
            if isinstance(one, SequenceColumn) and one.name in terms.key
        }
        made[terms.name] = columns | sequences
    return {name: {column: texts.tolist() for column, texts in columns.items()} for name, columns in numbered.items()}


def _links(
    schema: DatabaseSchema, terms: TableTerms, rows: Rows, made: Mapping[str, Mapping[str, _Texts]]
) -> dict[str, _Texts]:
    """Foreign keys as the keys of parents, and columns that name the unit as its key."""
    link = terms.parent
    if link is None:
        return {}
    found: dict[str, _Texts] = {}
    above = schema.table(terms.parent_table)
    for column, part in zip(link.columns, above.key, strict=True):
        found[column] = np.concatenate([made[above.name][part], np.array([None])])[rows.parent]
    for column, part in zip(link.unit, schema.root.key, strict=False):
        found[column] = made[schema.root.name][part][rows.unit]
    return found


def _places_among_siblings(rows: Rows) -> _Ints:
    """0, 1, 2, ... within the rows of one parent, or of one unit without a parent. Shapes: (rows,)."""
    at = np.arange(rows.count)
    starts = np.ones(rows.count, dtype=bool)
    starts[1:] = (rows.unit[1:] != rows.unit[:-1]) | (rows.parent[1:] != rows.parent[:-1])
    found: _Ints = at - np.maximum.accumulate(np.where(starts, at, 0)) if rows.count else at
    return found


def _own(
    column: IdentifierColumn, terms: TableTerms, rows: int, siblings: _Ints, rng: np.random.Generator
) -> list[str]:
    """One identifier a row; the one that tells a key's rows apart differs in all rows, or where it is too short for that,
    within each parent."""
    if column.name != _telling(terms):
        return identifiers.regenerate(column, rows, rng=rng, unique=False)
    most = identifiers.capacity(column)
    foreign = () if terms.parent is None else terms.parent.columns
    if most is not None and most < _SPARE * rows and foreign and set(foreign) <= set(terms.key):
        few = identifiers.regenerate(column, int(siblings.max(initial=-1)) + 1, rng=rng)
        return [few[place] for place in siblings.tolist()]
    return identifiers.regenerate(column, rows, rng=rng)


def _telling(terms: TableTerms) -> str | None:
    """The identifier of a key, of several the longest, that is given no value twice."""
    links = () if terms.parent is None else (*terms.parent.columns, *terms.parent.unit)
    own = [column for column in terms.identifiers if column.name in terms.key and column.name not in links]
    return max(own, key=lambda column: identifiers.capacity(column) or 0).name if own else None
