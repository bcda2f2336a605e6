"""How far two databases of one schema are apart, as histories: sizes, gaps, transitions, units' own summaries, joined tables.

Must never publish what it returns where one of the two is private: distances to private records are exact.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.database.document import TableTerms
from privsynth.database.held import Database, Rows
from privsynth.dataset import Dataset
from privsynth.domain import Clique
from privsynth.encoding import offsets
from privsynth.errors import SchemaError
from privsynth.histories.spans import gap_levels
from privsynth.metrics.joined import Joined, group_sizes, joined, moments_of, size_codes
from privsynth.schema.columns import BooleanColumn, CategoryColumn, OrderedColumn
from privsynth.schema.levels import Levels, levels
from privsynth.schema.ticks import MISSING

_Ints = npt.NDArray[np.int64]

MOST_TRIPLES = 300
"""So many triples of a joined table are compared; where there are more, they are drawn."""

_DISTINCT = 16
"""Numbers of different labels of one unit are told apart up to this one."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Distances:
    """Total variation distances of tables, each between 0 and 1, by name."""

    by_name: Mapping[str, float]

    @property
    def mean(self) -> float:
        """Their mean; 0 where there is nothing to compare."""
        return float(np.mean(list(self.by_name.values()))) if self.by_name else 0.0

    @property
    def worst(self) -> float:
        """The largest; 0 where there is nothing to compare."""
        return max(self.by_name.values(), default=0.0)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryDistances:
    """All parts of `compare`.

    Args: `group_sizes` by child table (rows of one parent, zero included) and "TABLE per UNIT" (rows of one unit); `gaps` by
        table; `transitions` by "table.column", of pairs of a row and the one before; `aggregates` by "what of table.column",
        one value a unit; `pairs` by "ancestor.column, table.column"; `marginals` by number of attributes, 2 and 3, of joined
        tables.
    """

    group_sizes: Distances
    gaps: Distances
    transitions: Distances
    aggregates: Distances
    pairs: Distances
    marginals: Mapping[int, Distances]


def compare(
    one: Database, other: Database, *, rng: np.random.Generator, triples: int = MOST_TRIPLES
) -> HistoryDistances:
    """Compare two databases, in the levels of their schema; each row counts once, whatever number its unit has.

    Args: `rng` draws the triples of attributes where a joined table has more than `triples`.
    Raises: SchemaError when they have different schemas.
    """
    if one.schema != other.schema:
        raise SchemaError("the two databases have different schemas; read both with the same one")
    schema = one.schema
    sizes: dict[str, float] = {}
    gaps: dict[str, float] = {}
    transitions: dict[str, float] = {}
    aggregates: dict[str, float] = {}
    pairs: dict[str, float] = {}
    marginals: dict[int, dict[str, float]] = {2: {}, 3: {}}
    for terms in schema.tables:
        if terms.parent is None:
            continue
        sizes.update(_sizes(one, other, terms))
        mine, theirs = joined(one, terms.name), joined(other, terms.name)
        if terms.time is not None:
            gaps[terms.name] = apart(mine, theirs, [("gap",)], spaced=True)[0]
        moves = [(f"previous.{column}", column) for column in terms.carry]
        found = apart(mine, theirs, moves, follows=True)
        transitions.update({f"{terms.name}.{column}": value for (_, column), value in zip(moves, found, strict=True)})
        across = list(itertools.product(mine.above, mine.own))
        named = [f"{above}, {terms.name}.{column}" for above, column in across]
        pairs.update(zip(named, apart(mine, theirs, across), strict=True))
        aggregates.update(_aggregates(one, other, terms))
        for length, table in marginals.items():
            table.update(_marginals(mine, theirs, terms.name, length, triples, rng))
    return HistoryDistances(
        group_sizes=Distances(by_name=sizes),
        gaps=Distances(by_name=gaps),
        transitions=Distances(by_name=transitions),
        aggregates=Distances(by_name=aggregates),
        pairs=Distances(by_name=pairs),
        marginals={length: Distances(by_name=table) for length, table in marginals.items()},
    )


def distance(one: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> float:
    """Total variation distance of two tables of counts, each taken as shares; 1 where one alone is empty, 0 where both are."""
    totals = int(one.sum()), int(other.sum())
    if 0 in totals:
        return float(totals[0] != totals[1])
    return float(np.abs(one / totals[0] - other / totals[1]).sum() / 2)


def _sizes(one: Database, other: Database, terms: TableTerms) -> dict[str, float]:
    """Rows of a parent, and of a unit where that is not the same."""
    root = one.schema.root.name
    assert terms.parent is not None
    asked = [(terms.name, False)]
    if terms.parent_table != root:
        asked.append((f"{terms.name} per {root}", True))
    found: dict[str, float] = {}
    for label, of_units in asked:
        tables = []
        for database in (one, other):
            counts, layout = group_sizes(database, terms.name, of_units=of_units)
            tables.append(np.bincount(size_codes(counts, layout), minlength=layout.size))
        found[label] = distance(tables[0], tables[1])
    return found


def apart(
    mine: Joined, theirs: Joined, cliques: Sequence[Clique], *, follows: bool = False, spaced: bool = False
) -> list[float]:
    """The distance of each table of two joined tables, over all rows, those with a row before, or those with a known gap."""
    parts = []
    for each in (mine, theirs):
        data = each.data.take(each.spaced if spaced else each.follows) if follows or spaced else each.data
        parts.append(_tables(data, cliques))
    return [distance(left, right) for left, right in zip(*parts, strict=True)]


def _tables(data: Dataset, cliques: Sequence[Clique]) -> list[_Ints]:
    return data.marginals(list(cliques)) if cliques else []


def _marginals(
    mine: Joined, theirs: Joined, name: str, length: int, most: int, rng: np.random.Generator
) -> dict[str, float]:
    attributes = (*mine.above, *mine.before, *mine.gap, *mine.own)
    cliques: list[Clique] = list(itertools.combinations(attributes, length))
    if length > 2 and len(cliques) > most:
        cliques = [cliques[place] for place in np.sort(rng.choice(len(cliques), most, replace=False)).tolist()]
    found = apart(mine, theirs, cliques)
    return {f"{name}: {', '.join(clique)}": value for clique, value in zip(cliques, found, strict=True)}


def _aggregates(one: Database, other: Database, terms: TableTerms) -> dict[str, float]:
    """Every summary of a unit's rows, as a distribution over units; units without rows are at the last level."""
    parts = [_summaries(database, terms) for database in (one, other)]
    found: dict[str, float] = {}
    for label, (codes, size) in parts[0].items():
        other_codes, _ = parts[1][label]
        found[label] = distance(np.bincount(codes, minlength=size), np.bincount(other_codes, minlength=size))
    return found


def _summaries(database: Database, terms: TableTerms) -> dict[str, tuple[_Ints, int]]:
    """{summary: (its level for each unit, number of levels)}."""
    rows, units = database.tables[terms.name], database.units
    found: dict[str, tuple[_Ints, int]] = {}
    if rows.records is None or terms.content is None:
        return found
    values = offsets(terms.content, rows.records.ticks)
    for column in terms.content.modelled:
        where, layout = f"{terms.name}.{column.name}", levels(column)
        if isinstance(column, CategoryColumn | OrderedColumn | BooleanColumn):
            favourite, different = _labels(rows.unit, layout.codes(values[column.name]), units, layout.size)
            found[f"most frequent of {where}"] = favourite, layout.size + 1
            found[f"number of different {where}"] = different, _DISTINCT + 1
        elif terms.time is None or column.name != terms.time.column:
            found[f"mean of {where}"] = _means(layout, values[column.name], rows.unit, units), layout.size + 1
    if terms.time is not None:
        found[f"time spanned by {terms.name}"] = _spans(terms, rows, units)
    return found


def _labels(unit: _Ints, codes: _Ints, units: int, size: int) -> tuple[_Ints, _Ints]:
    """Each unit's most frequent level (the lowest of several; `size` where it has no row), and how many it has."""
    keys, counts = np.unique(unit * size + codes, return_counts=True)
    owner = keys // size
    order = np.lexsort((keys, -counts, owner))
    favourite = np.full(units, size)
    favourite[owner[order][::-1]] = (keys % size)[order][::-1]  # the last one written, the most frequent, stays
    return favourite, np.minimum(np.bincount(owner, minlength=units), _DISTINCT)


def _means(layout: Levels, values: _Ints, unit: _Ints, units: int) -> _Ints:
    """The level of the mean of each unit's known values. The last level is for units that have none."""
    known = values != MISSING
    number = np.bincount(unit[known], minlength=units)
    total = np.bincount(unit[known], weights=(values[known] - layout.lower).astype(np.float64), minlength=units)
    mean = layout.lower + np.rint(total / np.maximum(number, 1)).astype(np.int64)
    return np.where(number == 0, layout.size, layout.codes(mean))


def _spans(terms: TableTerms, rows: Rows, units: int) -> tuple[_Ints, int]:
    """The level of the time from a unit's first row to its last. The last level is for units without rows."""
    layout, at = gap_levels(terms), moments_of(terms, rows)
    known = at != MISSING
    first, last = np.full(units, np.iinfo(np.int64).max), np.full(units, MISSING)
    np.minimum.at(first, rows.unit[known], at[known])
    np.maximum.at(last, rows.unit[known], at[known])
    empty = last == MISSING
    span = np.where(empty, 0, np.where(empty, 0, last) - np.where(empty, 0, first))
    return np.where(empty, layout.size - 1, layout.codes(np.clip(span, layout.lower, layout.upper))), layout.size
