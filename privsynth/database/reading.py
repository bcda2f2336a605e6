"""Reading: several tables against their schema, linked by their keys and put in order; the only way in for private databases.

Must never infer anything from a table, and never show a cell, a key, a row or a count of it in a message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from privsynth import frames, records
from privsynth.database import sources
from privsynth.database.document import DatabaseSchema, TableTerms
from privsynth.database.held import Database, Rows
from privsynth.database.moments import column_named, earlier, table_of
from privsynth.database.referring import Keys, together
from privsynth.errors import RecordsError
from privsynth.parsing import OutOfDomain, distinct_texts, parse_column
from privsynth.private import Private
from privsynth.records import Records
from privsynth.schema.columns import TextColumn
from privsynth.schema.ticks import MISSING

_Ints = npt.NDArray[np.int64]

_WHOLE = r"^[+-]?\d{1,15}(\.0*)?$"


def read(source: frames.Source, schema: DatabaseSchema, *, out_of_domain: OutOfDomain = "refuse") -> Private[Database]:
    """Read private tables: a folder of NAME.csv (.csv.gz, .tsv, .parquet), an .sqlite, .db or .duckdb file, or {table: frame}.

    Every column must be declared, but for keys, foreign keys and the order; what is derived is not read. Keys are compared as
    text, but for blanks around them, the ".0" of whole numbers and how accents are encoded, and dropped once rows are linked.
    Under "clamp" and "other", events outside of their anchor and end are kept as they are, and a constant that changes is what
    the unit's first row says.
    Privacy: what is read of a unit depends on its own rows and on the schema; nothing is spent.
    Raises: RecordsError naming table, column and rule, never a cell, a key, a row or a count; InputError when the extra that
        reads the file is not installed.
    """
    return Private(_read(source, schema, out_of_domain, public=False))


def read_public(source: frames.Source, schema: DatabaseSchema, *, out_of_domain: OutOfDomain = "refuse") -> Database:
    """Read synthetic tables, which nobody needs protection from; identifiers that link nothing and the order may be absent.

    Raises: RecordsError and InputError as `read`.
    """
    return _read(source, schema, out_of_domain, public=True)


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class _Loaded:
    """One table before its rows are in order. `beside` holds keys, foreign keys, the order and constants, as they stand."""

    records: Records | None
    beside: Mapping[str, pa.Array]
    rows: int


def _read(source: frames.Source, schema: DatabaseSchema, out_of_domain: OutOfDomain, *, public: bool) -> Database:
    loaded: dict[str, _Loaded] = {}
    listed = [table for table in schema.tables if table.listed]
    with sources.opened(source, [table.name for table in listed], pairs=public) as tables:
        for terms in listed:
            with _within(terms.name):
                loaded[terms.name] = _load(tables, schema, terms, out_of_domain, public=public)
    linker = _Linker(schema, loaded, out_of_domain)
    linker.units()
    for terms in schema.tables[1:]:
        linker.table(terms)
    database = Database(
        schema=schema, tables=linker.tables, unit_names=None if public else linker.keys[schema.root.name].names()
    )
    if out_of_domain == "refuse":
        _refuse_outside_of_life(database)
    return database


@contextmanager
def _within(table: str) -> Iterator[None]:
    """Messages of one table's columns say which table, and where in the schema of several it is."""
    try:
        yield
    except RecordsError as error:
        said = str(error).replace("[columns.", f"[tables.{table}.columns.")
    else:
        return
    raise RecordsError(f'table "{table}": {said}')


def _load(
    tables: sources.AbstractTables,
    schema: DatabaseSchema,
    terms: TableTerms,
    out_of_domain: OutOfDomain,
    *,
    public: bool,
) -> _Loaded:
    """Read one table: its modelled columns as records, and beside them what links and orders it."""
    name = tables.find(terms.name, terms.file)
    found = tables.columns(name)
    derived = {one.name for one in terms.derived} - set(terms.constant)
    links = () if terms.parent is None else (*terms.parent.columns, *terms.parent.unit)
    order = () if terms.order is None or (public and terms.order not in found) else (terms.order,)
    needed = dict.fromkeys((*links, *order, *terms.constant))
    is_parent = bool(schema.children(terms.name))
    if is_parent or set(terms.key) <= {*found}:
        needed |= dict.fromkeys(terms.key)
    texts = [] if terms.content is None else [one.name for one in terms.content.columns if isinstance(one, TextColumn)]
    identifiers = [one.name for one in terms.identifiers]
    declared = dict.fromkeys((*terms.columns, *identifiers, *texts, *terms.dropped, *needed, *derived))
    absent = derived | ({*identifiers, *texts, *terms.dropped} if public else set())
    records.check_names(found, list(declared), absent_allowed=frozenset(absent - set(needed)))
    beside = list(needed)
    content = tables.content(name, [*terms.columns, *beside])
    if terms.content is None:
        arrays = frames.read(content, beside)
        return _Loaded(records=None, beside=arrays, rows=len(next(iter(arrays.values()))))
    kept, arrays = records.read_beside(content, terms.content, beside, out_of_domain)
    return _Loaded(records=kept, beside=arrays, rows=kept.rows)


@final
class _Linker:
    """Turns loaded tables, parents first, into rows that know their parent and their unit, in order.

    `keys` are those of parents and units, in the order of the rows that they name.
    """

    def __init__(self, schema: DatabaseSchema, loaded: Mapping[str, _Loaded], out_of_domain: OutOfDomain) -> None:
        self._schema, self._loaded, self._out_of_domain = schema, loaded, out_of_domain
        self.tables: dict[str, Rows] = {}
        self.keys: dict[str, Keys] = {}

    def units(self) -> None:
        """The table of the units, in the source's order; where none is listed, whoever the other tables name."""
        root = self._schema.root
        if not root.listed:
            named = [keys for terms in self._schema.tables[1:] for keys in self._unit_columns(terms)]
            for keys in named:
                if keys.has_empty:
                    raise RecordsError(_no_unit(self._schema, root.name))
            keys = together(named)
        else:
            keys = self._keys(root, root.key)
        self.keys[root.name] = keys
        count = len(keys.places)
        if not count:
            raise RecordsError(f'table "{root.name}": there are no units; expected at least one row')
        kept = self._loaded[root.name].records if root.listed else self._constants(root, keys)
        unit = np.arange(count, dtype=np.int64)
        self.tables[root.name] = Rows(records=kept, parent=np.full(count, -1, dtype=np.int64), unit=unit)
        if root.listed:
            self._check_key(root, keys)

    def _unit_columns(self, terms: TableTerms) -> list[Keys]:
        """What a table says of units: its foreign key to them, and the columns that name the unit beside another parent."""
        link = terms.parent
        assert link is not None
        named = [link.columns] if terms.parent_name == self._schema.root.name else []
        return [self._keys(terms, columns) for columns in (*named, link.unit) if columns]

    def _keys(self, terms: TableTerms, columns: tuple[str, ...]) -> Keys:
        return Keys.of(self._loaded[terms.name].beside, columns, self._empty(terms))

    def _empty(self, terms: TableTerms) -> dict[str, tuple[str, ...]]:
        """The texts that mean an empty cell, by column: those of a key and of the foreign keys to it are the same.

        Else rows that say of nobody whose they are would make up one unit together in another table.
        """
        found = _markers(terms)
        if not terms.listed:
            for other in self._schema.tables[1:]:
                for column, part in self._pairs(other, terms):
                    found[part] = (*found.get(part, ()), *_markers(other).get(column, ()))
        if terms.parent is None:
            return found
        for table in dict.fromkeys((terms.parent_table, self._schema.root.name)):
            above = self._schema.table(table)
            markers = self._empty(above)
            for column, part in self._pairs(terms, above):
                found[column] = (*found.get(column, ()), *markers.get(part, ()))
        return found

    def _pairs(self, terms: TableTerms, above: TableTerms) -> list[tuple[str, str]]:
        """The columns of a table that hold the key of one above it, each with the part of the key."""
        link, root = terms.parent, self._schema.root
        assert link is not None
        named = [*zip(link.columns, above.key, strict=True)] if terms.parent_name == above.name else []
        return [*named, *(zip(link.unit, root.key, strict=False) if above.name == root.name else ())]

    def _check_key(self, terms: TableTerms, keys: Keys) -> None:
        named = ", ".join(terms.key)
        if keys.has_empty:
            raise RecordsError(f'table "{terms.name}": the key ({named}) has empty cells; every row needs one')
        if keys.repeats:
            raise RecordsError(
                f'table "{terms.name}": the key ({named}) stands in more than one row; expected one row for each. Remove the '
                "doubles, or correct the key in the schema"
            )

    def table(self, terms: TableTerms) -> None:
        """Link one table to its parents and put its rows in order."""
        parent, unit = self._links(terms)
        loaded = self._loaded[terms.name]
        order = np.lexsort((self._moment(terms, loaded), parent, unit))
        kept = None if loaded.records is None else loaded.records.take(order)
        self.tables[terms.name] = Rows(records=kept, parent=parent[order], unit=unit[order])
        if set(terms.key) <= set(loaded.beside) and terms.key:
            keys = self._keys(terms, terms.key)
            self._check_key(terms, keys)
            if self._schema.children(terms.name):
                self.keys[terms.name] = Keys(texts=keys.texts, places=keys.places[order])

    def _links(self, terms: TableTerms) -> tuple[_Ints, _Ints]:
        """Each row's parent and unit, checked against each other."""
        link, root = terms.parent, self._schema.root.name
        assert link is not None
        named = ", ".join(link.columns)
        foreign = self._keys(terms, link.columns)
        if foreign.has_empty and not link.optional:
            hint = (
                _no_unit(self._schema, root)
                if terms.parent_name == root
                else ("fill them, leave the rows out, or declare parent = {optional = true, unit = [...]}")
            )
            raise RecordsError(f'table "{terms.name}": the foreign key ({named}) has empty cells; {hint}')
        parent = self.keys[terms.parent_table].rows_of(foreign)
        if ((parent < 0) & (foreign.places >= 0)).any():
            raise RecordsError(_orphans(terms.name, named, terms.parent_table))
        above = self.tables[terms.parent_table].unit
        unit = np.where(parent < 0, -1, np.append(above, -1)[parent])
        if link.unit:
            unit = self._own_unit(terms, link.unit, unit)
        return parent, unit

    def _own_unit(self, terms: TableTerms, columns: tuple[str, ...], unit: _Ints) -> _Ints:
        """The unit that a row's own columns name, which must be its parent's where it has one."""
        root, named = self._schema.root.name, ", ".join(columns)
        keys = self._keys(terms, columns)
        if keys.has_empty:
            raise RecordsError(
                f'table "{terms.name}": the unit ({named}) has empty cells; every row needs to say whose it is'
            )
        own = self.keys[root].rows_of(keys)
        if (own < 0).any():
            raise RecordsError(_orphans(terms.name, named, root))
        if ((unit >= 0) & (unit != own)).any():
            raise RecordsError(
                f'table "{terms.name}": a row names one unit ({named}) and belongs to a parent of another in "'
                f'{terms.parent_table}"; nobody may be in two histories at once. Correct the keys'
            )
        return own

    def _moment(self, terms: TableTerms, loaded: _Loaded) -> _Ints:
        """What orders the rows of one parent; a missing time is the last."""
        if terms.time is not None:
            assert loaded.records is not None
            ticks = loaded.records.ticks[terms.time.column]
            return np.where(ticks == MISSING, np.iinfo(np.int64).max, ticks)
        if terms.order is None or terms.order not in loaded.beside:
            return np.zeros(loaded.rows, dtype=np.int64)
        return _whole_numbers(loaded.beside[terms.order], terms.order, terms.name)

    def _constants(self, root: TableTerms, keys: Keys) -> Records | None:
        """What the units' rows say of them, read once from each unit's first row, and the same in all others."""
        if root.content is None:
            return None
        found: dict[str, pa.Array] = {}
        for terms in self._schema.tables[1:]:
            if not terms.constant:
                continue
            assert terms.parent is not None
            unit = keys.rows_of(self._keys(terms, terms.parent.columns))
            seen, first = np.unique(unit, return_index=True)
            row = np.full(len(keys.places), -1, dtype=np.int64)
            row[seen] = first
            for name in terms.constant:
                array = self._loaded[terms.name].beside[name]
                found[name] = array.take(pa.array(row, mask=row < 0))
                column = root.content.modelled_column(name)
                with _within(terms.name):
                    ticks, _ = parse_column(column, array, self._out_of_domain)
                if self._out_of_domain == "refuse" and (ticks != ticks[row[unit]]).any():
                    raise RecordsError(
                        f'table "{terms.name}": column "{name}" changes within a unit, and is declared constant; take it out '
                        'of constant, correct the table, or let the policy say out_of_domain = "clamp"'
                    )
        with _within(root.name):
            return records.read_beside(pa.table(found), root.content, [], self._out_of_domain)[0]


def _markers(terms: TableTerms) -> dict[str, tuple[str, ...]]:
    return {one.name: one.missing for one in terms.identifiers}


def _no_unit(schema: DatabaseSchema, root: str) -> str:
    return f'every row must say which of "{schema.table(root).name}" it belongs to; fill them, or leave the rows out'


def _orphans(table: str, columns: str, parent: str) -> str:
    return (
        f'table "{table}": a foreign key ({columns}) is no key of "{parent}"; add the missing rows there, or leave the orphans '
        'out. Keys are compared as text: "7" and "07" differ'
    )


def _whole_numbers(array: pa.Array, column: str, table: str) -> _Ints:
    """An order as whole numbers."""
    texts, places = distinct_texts(array, column)
    if (places < 0).any() or not pc.all(pc.match_substring_regex(texts, _WHOLE), min_count=0).as_py():
        raise RecordsError(
            f'table "{table}": column "{column}" orders the rows and must hold whole numbers, in every row'
        )
    numbers = pc.cast(pc.cast(pc.utf8_ltrim(texts, "+"), pa.float64()), pa.int64())
    found: _Ints = numbers.to_numpy(zero_copy_only=False).astype(np.int64)[places]
    return found


def _refuse_outside_of_life(database: Database) -> None:
    """Nothing happens before its anchor or after its end."""
    schema = database.schema
    for terms in schema.tables:
        time = terms.time
        for name, word in ((time.anchor, "before"), (time.until, "after")) if time is not None else ():
            if time is None or name is None or terms.content is None:
                continue
            other = column_named(schema, terms, name)
            own = terms.content.modelled_column(time.column)
            there, here = _at_ancestor(database, terms, name), _ticks(database, terms.name, time.column)
            wrong = earlier(own, here, other, there) if word == "before" else earlier(other, there, own, here)
            if wrong.any():
                raise RecordsError(
                    f'table "{terms.name}": column "{time.column}" holds moments {word} "{name}"; correct the tables, take it '
                    'out of the schema\'s time, or let the policy say out_of_domain = "clamp"'
                )


def _ticks(database: Database, table: str, column: str) -> _Ints:
    kept = database.tables[table].records
    assert kept is not None
    return kept.ticks[column]


def _at_ancestor(database: Database, terms: TableTerms, name: str) -> _Ints:
    """The value of an ancestor's column for each row; missing for rows without that ancestor."""
    wanted = table_of(terms, name)
    ticks = _ticks(database, wanted, name.rpartition(".")[2])
    if wanted == database.schema.root.name:
        return ticks[database.tables[terms.name].unit]
    at = database.tables[terms.name].parent
    table = terms.parent_table
    while table != wanted:
        at = np.where(at < 0, -1, np.append(database.tables[table].parent, -1)[at])
        table = database.schema.table(table).parent_table
    found: _Ints = np.append(ticks, MISSING)[at]
    return found
