"""Encoding: records to codes and back, as the schema says and nothing else; there is no fit.

Must never take a bound, a bin or a level from records.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from privsynth import conditions
from privsynth.conditions import Allowed
from privsynth.dataset import Dataset
from privsynth.domain import Domain
from privsynth.errors import RecordsError, SchemaError
from privsynth.private import Private
from privsynth.records import Records
from privsynth.schema import Schema
from privsynth.schema.levels import Levels, levels
from privsynth.schema.ticks import MISSING, from_granules, granules, rebased

_BLOCK_ROWS = 1 << 18
"""Rows encoded at a time, so that only so many are ever as wide as ticks."""

_CACHED_ROWS = 1 << 16
"""Rows decoded at a time: a dozen passes over their codes and draws then stay in cache."""


def domain(schema: Schema) -> Domain:
    """The domain of encoded records; SchemaError while something is still to be bought."""
    return schema.domain()


def offsets(schema: Schema, ticks: Mapping[str, npt.NDArray[np.int64]]) -> dict[str, npt.NDArray[np.int64]]:
    """Every column as what its levels are laid out over: granules, or ticks after another column.

    A column after another is missing where that other is.
    """
    found = {column.name: granules(column, ticks[column.name]) for column in schema.modelled}
    for column, base in schema.following:
        start, own = rebased(column, base, ticks[base.name]), ticks[column.name]
        absent = (start == MISSING) | (own == MISSING)
        found[column.name] = np.where(absent, MISSING, np.where(absent, 0, own) - np.where(absent, 0, start))
    return found


def encode(records: Private[Records]) -> Private[Dataset]:
    """Encode private records. Privacy: a function of each row alone and of the schema; spends nothing."""
    return Private(encode_public(records.open()))


def encode_public(records: Records) -> Dataset:
    """Encode synthetic records.

    Raises: SchemaError while something is still to be bought; RecordsError when a value is outside its column's domain.
    """
    target = records.schema.domain()
    codes = {
        name: np.empty(records.rows, dtype=np.min_scalar_type(size - 1))
        for name, size in zip(target.attributes, target.sizes, strict=True)
    }
    for start in range(0, records.rows, _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        for name, found in _codes(records.take(block)).items():
            codes[name][block] = found
    return Dataset.from_columns(codes, target, records.units)


def _codes(records: Records) -> dict[str, npt.NDArray[np.int64]]:
    codes: dict[str, npt.NDArray[np.int64]] = {}
    values = offsets(records.schema, records.ticks)
    for column in records.schema.modelled:
        layout, found = levels(column), values[column.name]
        absent = found == MISSING
        inside = np.where(absent, layout.lower, found)
        if ((inside < layout.lower) | (inside > layout.upper)).any() or (absent.any() and not layout.missing):
            raise RecordsError(
                f'column "{column.name}" holds values outside its domain; read the table with this schema'
            )
        codes[column.name] = layout.codes(found)
    return codes


def decode(
    dataset: Dataset, schema: Schema, *, rng: np.random.Generator, given: Mapping[str, object] | None = None
) -> Records:
    """Turn codes back into records: within a bin, uniform over its admissible values; atoms and labels exactly.

    Under `given` (see `evidence`) values are drawn among those that the conditions allow.
    Raises: SchemaError when a row's level holds nothing that the conditions allow: it was not drawn under them.
    """
    if dataset.domain != schema.domain():
        raise SchemaError("the dataset's domain is not the schema's; decode it with the schema that encoded it")
    allowed = conditions.read_conditions(schema, given or {})
    ticks: dict[str, npt.NDArray[np.int64]] = {}
    for column, codes in zip(schema.modelled, dataset.columns, strict=True):
        drawn = np.empty(dataset.rows, dtype=np.int64)
        for first in range(0, dataset.rows, _CACHED_ROWS):
            block = slice(first, first + _CACHED_ROWS)
            of_block = codes[block].astype(np.int64)
            drawn[block] = _draw(levels(column), of_block, rng, allowed.get(column.name), column.name)
        ticks[column.name] = from_granules(column, drawn)
    for column, base in schema.following:
        start, offset = rebased(column, base, ticks[base.name]), ticks[column.name]
        absent = (start == MISSING) | (offset == MISSING)
        ticks[column.name] = np.where(absent, MISSING, np.where(absent, 0, start) + np.where(absent, 0, offset))
    return Records(schema=schema, ticks=ticks)


def _draw(
    layout: Levels, codes: npt.NDArray[np.int64], rng: np.random.Generator, allowed: Allowed | None, name: str
) -> npt.NDArray[np.int64]:
    """Draw one granule a row from its level. Shapes: as `codes`."""
    if allowed is None:
        first, width = layout.ranks[:-1], np.diff(layout.ranks)
    elif allowed.values is None:
        ends = layout.rank(np.array([allowed.lower, allowed.upper + 1]))
        first = np.maximum(layout.ranks[:-1], ends[0])
        width = np.minimum(layout.ranks[1:], ends[1]) - first
    else:
        return _draw_listed(layout, codes, rng, allowed, name)
    if allowed is not None and not np.isin(codes, allowed.codes(layout)).all():
        raise _not_drawn_so(name)
    singles, _ = layout.span(np.arange(layout.size))
    singles[: layout.bins] = layout.unrank(first)
    found = singles[codes]
    if (width > 1).any():
        wide = np.flatnonzero(np.append(width > 1, np.zeros(layout.size - layout.bins, dtype=bool))[codes])
        chosen = codes[wide]
        ranks = first[chosen] + (rng.random(wide.size) * width[chosen]).astype(np.int64)
        found[wide] = layout.unrank(ranks)
    return found


def _draw_listed(
    layout: Levels, codes: npt.NDArray[np.int64], rng: np.random.Generator, allowed: Allowed, name: str
) -> npt.NDArray[np.int64]:
    """Draw among listed values, each row among those of its level."""
    assert allowed.values is not None
    listed = np.append(allowed.values, MISSING) if allowed.missing else allowed.values
    of_level = layout.codes(listed)
    order = np.argsort(of_level, kind="stable")
    counts = np.bincount(of_level, minlength=layout.size)
    if not counts[codes].all():
        raise _not_drawn_so(name)
    starts = np.cumsum(counts) - counts
    chosen = starts[codes] + (rng.random(codes.size) * counts[codes]).astype(np.int64)
    drawn: npt.NDArray[np.int64] = listed[order[chosen]]
    return drawn


def _not_drawn_so(name: str) -> SchemaError:
    return SchemaError(f'the rows were not drawn under the condition on "{name}"; draw them with its evidence')


def evidence(schema: Schema, given: Mapping[str, object]) -> dict[str, npt.NDArray[np.int64]]:
    """The codes that conditions allow, for drawing from a model.

    A value, None for a missing value, a list of these, or a pair (lower, upper) for an ordered column; a column counted in
    days after another is given in days. A bin that a range only touches is drawn with its full weight.
    Raises: SchemaError naming the column, what was expected and found.
    """
    allowed = conditions.read_conditions(schema, given)
    return {name: one.codes(levels(schema.modelled_column(name))) for name, one in allowed.items()}
