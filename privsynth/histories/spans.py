"""Spans: public levels for numbers of rows and for stretches of time, and moments of one column in another's units.

Must never depend on records: levels are cut from declared bounds.
"""

from __future__ import annotations

import math

import numpy as np

from privsynth.database.document import DatabaseSchema, TableTerms
from privsynth.database.moments import column_named, moments, table_of
from privsynth.schema.levels import Levels, granule_bounds
from privsynth.schema.ticks import from_granules

__all__ = ["column_named", "first_levels", "gap_levels", "moments", "placed_by", "size_levels", "table_of"]

_EXACT_SIZES, _SIZE_RATIO = 16, 1.12
_EXACT_GAPS, _GAP_BINS = 14, 34
_FIRST_BINS = 64


def size_levels(most: int) -> Levels:
    """Levels of a number of rows, 0 to `most`: each number up to 16 by itself, then bins an eighth wide."""
    bins = (
        max(1, math.ceil(math.log(max(most, 1) / _EXACT_SIZES) / math.log(_SIZE_RATIO))) if most > _EXACT_SIZES else 1
    )
    return _levels(most, _EXACT_SIZES, bins, missing=False)


def gap_levels(terms: TableTerms) -> Levels:
    """Levels of the time from one row to the next, in the time column's units: up to 14 exactly, then ever wider bins.

    The last level, missing, stands for a parent's first row. Zero is a level: rows may happen together.
    """
    assert terms.time is not None
    assert terms.content is not None
    lower, upper = granule_bounds(terms.content.modelled_column(terms.time.column))
    return _levels(terms.time.largest_gap or max(1, upper - lower), _EXACT_GAPS, _GAP_BINS, missing=True)


def placed_by(schema: DatabaseSchema, terms: TableTerms) -> str | None:
    """The anchor from which a parent's first row is counted; None where it is placed by its own moment.

    The anchor has to pin the moment down more than the time column's bounds do: stays of ten years are not found by a distance
    from birth, which spans a century, and such an anchor is a limit alone.
    """
    assert terms.time is not None
    assert terms.content is not None
    if terms.time.anchor is None:
        return None
    column = terms.content.modelled_column(terms.time.column)
    anchor = column_named(schema, terms, terms.time.anchor)
    lower, upper = from_granules(column, np.array(granule_bounds(column)))
    earliest, latest = moments(anchor, from_granules(anchor, np.array(granule_bounds(anchor))), like=column)
    return terms.time.anchor if latest - earliest <= upper - lower else None


def first_levels(schema: DatabaseSchema, terms: TableTerms) -> Levels:
    """Levels of when a parent's first row happens: the time column's own, or of the time since the anchor.

    The last level, missing, stands for parents without rows and for anchors that are missing.
    """
    assert terms.time is not None
    assert terms.content is not None
    column = terms.content.modelled_column(terms.time.column)
    placed = placed_by(schema, terms)
    if placed is None:
        own = terms.content.levels(column.name)
        return (
            own
            if own.missing
            else Levels(lower=own.lower, upper=own.upper, starts=own.starts, atoms=own.atoms, missing=True)
        )
    anchor = column_named(schema, terms, placed)
    lower = int(moments(anchor, np.array([granule_bounds(anchor)[0]]), like=column)[0])
    longest = max(1, granule_bounds(column)[1] - lower)
    starts = np.unique(
        np.append(np.arange(min(_EXACT_GAPS, longest) + 1), np.linspace(0, longest, _FIRST_BINS).astype(np.int64))
    )
    return Levels(
        lower=0, upper=longest, starts=starts.astype(np.int64), atoms=np.zeros(0, dtype=np.int64), missing=True
    )


def _levels(upper: int, exact: int, bins: int, *, missing: bool) -> Levels:
    """0, 1, ..., `exact` by themselves, then at most `bins` bins of equal ratio up to `upper`."""
    starts = np.arange(min(exact, upper) + 1, dtype=np.int64)
    if upper > exact:
        wide = np.geomspace(exact + 1, upper + 1, bins + 1)[:-1].round().astype(np.int64)
        starts = np.unique(np.append(starts, wide))
    return Levels(lower=0, upper=upper, starts=starts, atoms=np.zeros(0, dtype=np.int64), missing=missing)
