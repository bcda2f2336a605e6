"""Drawing a database: units, then table after table the rows of every parent, each from the model of its view.

Must never look at records that were not drawn: everything comes from models, which come from noisy answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.database.document import DatabaseSchema, TableTerms
from privsynth.database.held import Database, Rows
from privsynth.database.moments import column_named, moments, table_of
from privsynth.dataset import Dataset
from privsynth.encoding import decode, encode_public, offsets
from privsynth.errors import FitError
from privsynth.generator import AbstractDistribution
from privsynth.histories.calendars import Calendar, Timing, compressed
from privsynth.histories.chaining import Chained, chain
from privsynth.histories.clocks import Clock, SharedDays, conditionals, spread
from privsynth.histories.layout import Attribute, View, views
from privsynth.histories.spans import first_levels, gap_levels, placed_by, size_levels
from privsynth.records import Records
from privsynth.schema.columns import DateColumn, DatetimeColumn, IntegerColumn, ModelledColumn
from privsynth.schema.levels import granule_bounds
from privsynth.schema.ticks import MISSING, rebased, ticks_per_day

Ints = npt.NDArray[np.int64]

_TOGETHER = 1 << 18
"""Parents whose rows are drawn together: what is known of them is then held in some tens of megabytes."""

_NEVER = 1 << 61


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawn:
    """A database of records drawn from models, and how many rows were moved to keep a bound, by its name."""

    database: Database
    repaired: Mapping[str, int]


def draw(
    schema: DatabaseSchema, distributions: Mapping[str, AbstractDistribution], units: int, rng: np.random.Generator
) -> Drawn:
    """Draw so many units with all their rows, in order of unit, parent and time; keys and derived columns are not made here.

    Rules across tables and business rules may still be broken: see `across.enforce`.
    Raises: FitError when a view has no distribution, or one of another domain.
    """
    laid = views(schema)
    for name, view in laid.items():
        if name not in distributions or distributions[name].domain != view.domain():
            raise FitError(f'the table "{name}" has no model of its view; fit all tables of one schema together')
    drawing = _Drawing(schema, laid, distributions, rng)
    drawing.root(units)
    for terms in schema.tables[1:]:
        drawing.table(terms)
    tables = {name: held.rows for name, held in drawing.held.items()}
    return Drawn(database=Database(schema=schema, tables=tables), repaired=drawing.repaired)


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Held:
    """A table that was drawn: its rows, and the codes of all its own attributes. Shapes: (rows,) each."""

    rows: Rows
    codes: Mapping[str, npt.NDArray[np.integer]]
    numbers: Mapping[str, Ints]


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Groups:
    """The parents with rows of one table, or units with rows without parent (-1), most rows first. Shapes: (groups,)."""

    parent: Ints
    unit: Ints
    number: Ints
    first: Ints


@final
class _Drawing:
    """One draw of a database under way."""

    def __init__(
        self,
        schema: DatabaseSchema,
        laid: Mapping[str, View],
        distributions: Mapping[str, AbstractDistribution],
        rng: np.random.Generator,
    ) -> None:
        self._schema, self._laid, self._rng = schema, laid, rng
        self._distributions = distributions
        self.held: dict[str, _Held] = {}
        self.repaired: dict[str, int] = {}

    def root(self, units: int) -> None:
        """Draw the units."""
        terms, everyone = self._schema.root, np.arange(units)
        codes: dict[str, npt.NDArray[np.integer]] = {}
        if terms.name in self._laid:
            found = self._distributions[terms.name].draw(units, self._rng)
            codes = dict(zip(found.domain.attributes, found.columns, strict=True))
        records = self._records(terms, codes, None)
        self._hold(terms, Rows(records=records, parent=np.full(units, -1), unit=everyone), codes)

    def table(self, terms: TableTerms) -> None:
        """Draw all rows of one table, whose parents are drawn."""
        groups = self._groups(terms)
        view = self._laid.get(terms.name)
        if view is None:
            number = groups.number
            rows = np.repeat(np.arange(len(number)), number)
            chained = Chained(group=rows, step=np.zeros(len(rows), dtype=np.int64), codes={}, moments=None)
        else:
            chained = self._chained(terms, view, groups)
        unit, parent, times = groups.unit[chained.group], groups.parent[chained.group], chained.moments
        late = np.zeros(len(unit), dtype=bool) if times is None else times == MISSING
        order = np.lexsort((chained.step, late, parent, unit))
        codes = {name: values[order] for name, values in chained.codes.items()}
        records = self._records(terms, codes, None if times is None else times[order])
        self._hold(terms, Rows(records=records, parent=parent[order], unit=unit[order]), codes)

    def _chained(self, terms: TableTerms, view: View, groups: _Groups) -> Chained:
        """All rows, so many parents at a time; what runs past its limit is compressed."""
        clock = self._clock(terms, view)
        model = conditionals(self._distributions[terms.name], clock)
        timing = None if clock is None else self._timing(terms, groups)
        context = [one for one in view.context if not one.previous]
        parts: list[Chained] = []
        starts = list(range(0, max(1, len(groups.number)), _TOGETHER))
        for start in starts:
            some = np.arange(start, min(start + _TOGETHER, len(groups.number)))
            known = {one.name: self._above(one, groups, some) for one in context}
            calendar = None if clock is None or timing is None else Calendar(clock, timing.take(some), model)
            parts.append(chain(view, groups.number[some], known, calendar, model, self._rng))
        chained = Chained.joined(parts, starts)
        if timing is None or chained.moments is None or terms.time is None:
            return chained
        times, moved = compressed(chained.moments, chained.group, timing.limit, self._rng)
        self.repaired[f"{terms.name}.{terms.time.column} after the last moment that it may have"] = moved
        return Chained(group=chained.group, step=chained.step, codes=chained.codes, moments=times)

    def _groups(self, terms: TableTerms) -> _Groups:
        """Everyone with rows of this table: parents, and units with rows that have no other parent."""
        above = self.held[terms.parent_table]
        number = above.numbers[terms.name]
        parent, unit = np.arange(len(number)), above.rows.unit
        first = self._firsts(above, terms)
        if terms.parent is not None and terms.parent.optional:
            root = self.held[self._schema.root.name]
            number = np.concatenate([number, root.numbers[terms.name]])
            parent = np.concatenate([parent, np.full(root.rows.count, -1)])
            unit = np.concatenate([unit, root.rows.unit])
            first = np.concatenate([first, self._firsts(root, terms)])
        order = np.argsort(-number, kind="stable")[: np.count_nonzero(number)]
        return _Groups(parent=parent[order], unit=unit[order], number=number[order], first=first[order])

    def _firsts(self, above: _Held, terms: TableTerms) -> Ints:
        """The level of the first row's moment; 0 where the table has no time."""
        if terms.time is None:
            return np.zeros(above.rows.count, dtype=np.int64)
        return above.codes[f"first.{terms.name}"].astype(np.int64)

    def _above(self, attribute: Attribute, groups: _Groups, some: Ints) -> Ints:
        """The levels of an attribute of the parent, or of a row above it, for some groups."""
        held = self.held[attribute.table]
        place = self._row_above(attribute.table, groups, some)
        name = attribute.name.removeprefix(f"{attribute.table}.")
        codes = held.codes[name].astype(np.int64)
        if not codes.size:
            return np.full(len(some), attribute.size - 1)
        return np.where(place < 0, attribute.size - 1, codes[np.maximum(place, 0)])

    def _row_above(self, table: str, groups: _Groups, some: Ints) -> Ints:
        """The row of a table above that each group hangs on; -1 where the parent is absent."""
        if table == self._schema.root.name:
            return groups.unit[some]
        return groups.parent[some]

    def _clock(self, terms: TableTerms, view: View) -> Clock | None:
        if terms.time is None or terms.content is None:
            return None
        column = terms.content.modelled_column(terms.time.column)
        return Clock(
            view=view,
            column=column.name,
            gaps=gap_levels(terms),
            firsts=first_levels(self._schema, terms),
            own=terms.content.levels(column.name),
            day=_day(column),
            shared=self._shared_days(terms, column),
            until=self._until(terms, view),
            count=next((one for one in view.context if one.kind == "count" and one.of == terms.name), None),
        )

    def _until(self, terms: TableTerms, view: View) -> tuple[Attribute, ModelledColumn, ModelledColumn] | None:
        """The attribute of the view that says when a row is too late, its column, and the time column; None without one."""
        if terms.time is None or terms.time.until is None or terms.content is None:
            return None
        name = f"{table_of(terms, terms.time.until)}.{terms.time.until.rpartition('.')[2]}"
        attribute = next((one for one in view.context if one.name == name), None)
        column = column_named(self._schema, terms, terms.time.until)
        if attribute is None or (isinstance(column, DateColumn | DatetimeColumn) and column.after is not None):
            return None
        return attribute, column, terms.content.modelled_column(terms.time.column)

    def _shared_days(self, terms: TableTerms, column: ModelledColumn) -> SharedDays | None:
        """The days of the table that days are shared with: by parent's row, or after all those, by unit."""
        assert terms.time is not None
        if terms.time.shared_with is None:
            return None
        other = self._schema.table(terms.time.shared_with)
        rows, parents = self.held[other.name].rows, self.held[terms.parent_table].rows.count
        assert other.time is not None
        assert other.content is not None
        assert rows.records is not None
        its = other.content.modelled_column(other.time.column)
        ticks = moments(its, rows.records.ticks[other.time.column], like=column)
        known = ticks != MISSING
        if isinstance(its, IntegerColumn) and isinstance(column, IntegerColumn):
            known &= ticks * its.step % column.step == 0
            ticks = np.where(known, ticks, 0) * its.step // column.step
        family = np.where(rows.parent < 0, parents + rows.unit, rows.parent)
        return SharedDays(family=family[known], day=ticks[known] // _day(column))

    def _timing(self, terms: TableTerms, groups: _Groups) -> Timing:
        """Anchors, earliest and latest moments of all groups, in the time column's ticks."""
        assert terms.time is not None
        assert terms.content is not None
        column = terms.content.modelled_column(terms.time.column)
        lower, upper = granule_bounds(column)
        anchor, floor = np.zeros(len(groups.unit), dtype=np.int64), np.full(len(groups.unit), lower)
        if terms.time.anchor is not None:
            earliest = self._moment_above(terms, terms.time.anchor, column, groups)
            floor = np.maximum(floor, np.where(earliest == MISSING, lower, earliest))
            anchor = anchor if placed_by(self._schema, terms) is None else earliest
        limit = np.full(len(groups.unit), upper)
        if terms.time.until is not None:
            until = self._moment_above(terms, terms.time.until, column, groups)
            limit = np.where(until == MISSING, upper, np.minimum(until, upper))
        parents = self.held[terms.parent_table].rows.count
        return Timing(
            first=groups.first,
            number=groups.number,
            anchor=anchor,
            floor=floor,
            limit=np.maximum(limit, floor),
            family=np.where(groups.parent < 0, parents + groups.unit, groups.parent),
        )

    def _moment_above(self, terms: TableTerms, name: str, column: ModelledColumn, groups: _Groups) -> Ints:
        """A column of a row above, in the time column's ticks."""
        table = table_of(terms, name)
        place = self._row_above(table, groups, np.arange(len(groups.unit)))
        records = self.held[table].rows.records
        assert records is not None
        ticks = records.ticks[name.rpartition(".")[2]]
        found = np.where(place < 0, MISSING, ticks[np.maximum(place, 0)] if ticks.size else MISSING)
        return moments(column_named(self._schema, terms, name), found, like=column)

    def _records(
        self, terms: TableTerms, codes: Mapping[str, npt.NDArray[np.integer]], times: Ints | None
    ) -> Records | None:
        """Values of the codes, the time column's from its moments, and what is counted after it moved along."""
        if terms.content is None:
            return None
        columns = {name: codes[name] for name in terms.columns}
        records = decode(Dataset.from_columns(columns, terms.content.domain()), terms.content, rng=self._rng)
        if times is None or terms.time is None:
            return records
        kept = offsets(terms.content, records.ticks)
        ticks = {**records.ticks, terms.time.column: times}
        for column, base in terms.content.following:
            start, offset = rebased(column, base, ticks[base.name]), kept[column.name]
            absent = (start == MISSING) | (offset == MISSING)
            ticks[column.name] = np.where(absent, MISSING, np.where(absent, 0, start) + np.where(absent, 0, offset))
        return records.with_ticks({name: ticks[name] for name in terms.columns})

    def _hold(self, terms: TableTerms, rows: Rows, codes: Mapping[str, npt.NDArray[np.integer]]) -> None:
        """Keep a table, its codes as its values have them, and how many children each of its rows has."""
        below = [*self._schema.children(terms.name), *(self._schema.loose() if terms is self._schema.root else ())]
        found = dict(codes)
        if below and rows.records is not None and terms.time is not None:
            found |= dict(zip(terms.columns, encode_public(rows.records).columns, strict=True))
        numbers = {}
        for child in below:
            assert child.bound is not None
            numbers[child.name] = spread(size_levels(child.bound.largest), codes[f"count.{child.name}"], self._rng)
        self.held[terms.name] = _Held(rows=rows, codes=found, numbers=numbers)


def _day(column: ModelledColumn) -> int:
    """How many ticks of a time column make a day; a step of an integer is one."""
    return ticks_per_day(column) if isinstance(column, DatetimeColumn) else 1
