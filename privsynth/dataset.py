"""Dataset: integer codes over a Domain, and exact tables of any attributes, fast.

Must never add noise or decide what may be published: it holds private records, and its tables are exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth import compiled
from privsynth.domain import Clique, Domain
from privsynth.errors import SchemaError

Codes: TypeAlias = npt.NDArray[np.unsignedinteger]
Counts: TypeAlias = npt.NDArray[np.int64]
Axes: TypeAlias = tuple[int, ...]
"""Positions of columns, ascending."""

_BLOCK_ROWS = 32_768
"""Rows counted at a time: sixteen columns of 2-byte codes then stay in a 1 MB cache."""

_MOST_ROWS = 1 << 23
"""Rows counted at a time into a table beyond the cache, however large it is."""

_CACHED_CELLS = 131_072
"""Largest table (1 MB of int64) that stays in cache while it is incremented."""

_SHARED_ROWS = 100_000
"""From so many rows on, one larger table is counted for several wanted ones, which are summed out of it."""

_SHARED_CELLS, _SHARED_AXES = 32_768, 4
"""A shared table's limits: cell numbers of two bytes, and few enough axes that computing them stays cheap."""

_EXACT = 1 << 53
"""Whole numbers below it are exact as floats, and so are their sums."""

_COMPILED_INCREMENTS = 1 << 28
"""From so many increments on, the compiled loop is faster even where numba has to be loaded for it."""


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Dataset:
    """Encoded records, a column an attribute, in the domain's order.

    Shapes: every column is (rows,) of unsigned codes below the attribute's size; `units`, where a privacy unit may have
        several rows, is (rows,) int64 and numbers each row's unit from 0; `weights`, where rows do not count alike, is (rows,)
        int64: a row of weight w counts as w rows in every table.
    Privacy: exact and private unless it was drawn from a model.
    Raises: SchemaError when a column is missing, signed, of another length or holds a code outside the domain, or weights are
        negative, or so large that a sum of them might reach 2^53.
    """

    columns: tuple[Codes, ...]
    domain: Domain
    units: npt.NDArray[np.int64] | None = None
    weights: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if len(self.columns) != len(self.domain):
            raise SchemaError(
                f"dataset: the domain has {len(self.domain)} attributes, found {len(self.columns)} columns"
            )
        for name, size, column in zip(self.domain.attributes, self.domain.sizes, self.columns, strict=True):
            if column.ndim != 1 or column.shape != self.columns[0].shape:
                raise SchemaError(f'dataset: column "{name}" must be one-dimensional and as long as the first column')
            if not np.issubdtype(column.dtype, np.unsignedinteger):
                raise SchemaError(f'dataset: column "{name}" must hold unsigned codes; use Dataset.from_columns')
            if column.size and int(column.max()) >= size:
                raise _outside(name, size)
        if self.units is not None and self.units.shape != (self.rows,):
            raise SchemaError("dataset: every row needs the number of its unit")
        if self.weights is not None:
            _require_weights(self.weights, self.rows)

    @classmethod
    def from_columns(
        cls,
        columns: Mapping[str, npt.ArrayLike],
        domain: Domain,
        units: npt.NDArray[np.int64] | None = None,
        weights: npt.NDArray[np.int64] | None = None,
    ) -> Dataset:
        """Make a dataset from {name: integer codes}; the codes are stored in the narrowest unsigned type.

        Raises: SchemaError when an attribute is absent, one too many, not integer, or holds a code outside the domain.
        """
        extra = [name for name in columns if name not in domain]
        absent = [name for name in domain.attributes if name not in columns]
        if extra or absent:
            raise SchemaError(f"dataset: columns not in the domain: {extra}; attributes without a column: {absent}")
        narrowed = tuple(_narrow(name, domain.size(name), columns[name]) for name in domain.attributes)
        return cls(narrowed, domain, units, weights)

    @property
    def rows(self) -> int:
        """Number of records; 0 when there are no columns."""
        return len(self.columns[0]) if self.columns else 0

    @property
    def total(self) -> int:
        """What every table sums to: the number of records, or their weights together."""
        return self.rows if self.weights is None else int(self.weights.sum())

    def column(self, attribute: str) -> Codes:
        """The codes of one attribute."""
        return self.columns[self.domain.index(attribute)]

    def take(self, index: npt.NDArray[np.integer] | npt.NDArray[np.bool_] | slice) -> Dataset:
        """The records at these positions, where the mask is true, or of the slice, in that order."""
        units = None if self.units is None else self.units[index]
        weights = None if self.weights is None else self.weights[index]
        return Dataset(tuple(column[index] for column in self.columns), self.domain, units, weights)

    def codes(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
        """The records at these positions, a row each, without their weights. Shapes: (len(rows), attributes)."""
        return np.stack([column[rows] for column in self.columns], axis=1, dtype=np.int64)

    def regrouped(self, groups: Mapping[str, tuple[int, ...]]) -> Dataset:
        """The same records with levels merged: {attribute: the group of each of its levels}; other attributes stay.

        Groups are numbered from 0, and each holds a level. The columns of other attributes are shared, not copied.
        Raises: SchemaError when an attribute is not in the domain, or a level has no group, or a group no level.
        """
        columns, sizes = list(self.columns), list(self.domain.sizes)
        for name, group_of in groups.items():
            at = self.domain.index(name)
            if len(group_of) != sizes[at] or sorted(set(group_of)) != list(range(max(group_of) + 1)):
                raise SchemaError(
                    f'the groups of "{name}" must be numbered from 0, without gaps, one for each of its {sizes[at]} levels'
                )
            sizes[at] = max(group_of) + 1
            columns[at] = _narrow(name, sizes[at], np.array(group_of))[self.columns[at]]
        return Dataset(tuple(columns), Domain(self.domain.attributes, tuple(sizes)), self.units, self.weights)

    def marginal(self, clique: Clique) -> Counts:
        """Exact table of one clique. Shapes: `domain.shape(clique)`."""
        return self.marginals([clique])[0]

    def marginals(self, cliques: Sequence[Clique]) -> list[Counts]:
        """Exact tables of all cliques, in their order, in one pass over the records.

        Shapes: the i-th table is `domain.shape(cliques[i])`, its axes in the clique's order.
        """
        wanted = [
            tuple(self.domain.index(name) for name in self.domain.project(clique).attributes) for clique in cliques
        ]
        keys = list(dict.fromkeys(tuple(sorted(axes)) for axes in wanted))
        source = _shared_tables(keys, self.domain.sizes, self.rows)
        counted = self._count(sorted(set(source.values())))
        tables = {key: _sum_down(counted[source[key]], source[key], key) for key in keys}
        return [_reorder(tables[tuple(sorted(axes))], axes) for axes in wanted]

    def _count(self, tables: Sequence[Axes]) -> dict[Axes, Counts]:
        """Count each of these tables directly: small ones block by block together, large ones alone."""
        shapes = {axes: tuple(self.domain.sizes[axis] for axis in axes) for axes in tables}
        flat = {axes: np.zeros(int(np.prod(shapes[axes], dtype=np.int64)), dtype=np.int64) for axes in tables}
        small = [axes for axes in tables if axes and flat[axes].size <= _CACHED_CELLS]
        many = self.weights is None and self.rows * len(tables) >= _COMPILED_INCREMENTS
        add = (compiled.increment() if many else None) or _increment
        for start in range(0, self.rows, _BLOCK_ROWS):
            self._count_block(small, flat, start, _BLOCK_ROWS, add)
        for axes in tables:
            if not axes:
                flat[axes][0] = self.total
            elif flat[axes].size > _CACHED_CELLS:
                rows = min(max(_BLOCK_ROWS, flat[axes].size), _MOST_ROWS)
                for start in range(0, self.rows, rows):
                    self._count_block([axes], flat, start, rows, add)
        return {axes: flat[axes].reshape(shapes[axes]) for axes in tables}

    def _count_block(
        self, tables: Sequence[Axes], flat: Mapping[Axes, Counts], start: int, rows: int, add: compiled.Increment
    ) -> None:
        """Add the rows [start, start + rows) to every table.

        The cell numbers are computed in the narrowest type that holds them (vector instructions).
        """
        length = min(rows, self.rows - start)
        work: dict[type, Codes] = {kind: np.empty(length, dtype=kind) for kind in (np.uint16, np.uint32, np.uint64)}
        block = {
            axis: self.columns[axis][start : start + length] for axis in {axis for axes in tables for axis in axes}
        }
        weights = None if self.weights is None else self.weights[start : start + length].astype(np.float64)
        short = {axis: codes.astype(np.uint16, copy=False) for axis, codes in block.items() if codes.itemsize <= 2}
        block.update(short)
        for axes in tables:
            size = flat[axes].size
            kind = np.uint16 if size < 1 << 16 else np.uint32 if size < 1 << 32 else np.uint64
            index = work[kind]
            np.copyto(index, block[axes[0]], casting="unsafe")
            for axis in axes[1:]:
                np.multiply(index, kind(self.domain.sizes[axis]), out=index)
                np.add(index, block[axis], out=index, casting="unsafe")
            if weights is None:
                add(index, flat[axes])
            else:
                _increment_by(weights, index, flat[axes])


def _increment(cells: npt.NDArray[np.unsignedinteger], table: Counts) -> None:
    """Add one at each of these cells: `compiled.increment` in numpy."""
    table += np.bincount(cells.astype(np.intp), minlength=table.size)


def _increment_by(weights: npt.NDArray[np.float64], cells: npt.NDArray[np.unsignedinteger], table: Counts) -> None:
    """Add each row's weight at its cell.

    Proof that it is exact: weights are whole numbers from 0 that sum to less than 2^53 (`_require_weights`), so that each of
    them and every partial sum of them is one of the whole numbers that a float holds, and no addition rounds.
    """
    table += np.bincount(cells.astype(np.intp), weights=weights, minlength=table.size).astype(np.int64)


def _require_weights(weights: npt.NDArray[np.int64], rows: int) -> None:
    if weights.shape != (rows,) or weights.dtype != np.int64:
        raise SchemaError("dataset: every row needs a weight, a whole number (int64)")
    if rows and (int(weights.min()) < 0 or int(weights.max()) * rows >= _EXACT):
        raise SchemaError("dataset: weights are at least 0, and small enough that their sum stays below 2^53")


def _outside(name: str, size: int) -> SchemaError:
    return SchemaError(f'dataset: column "{name}" holds a code outside its {size} levels; encode it with its schema')


def _narrow(name: str, size: int, column: npt.ArrayLike) -> Codes:
    codes = np.asarray(column)
    if codes.size and not np.issubdtype(codes.dtype, np.integer):
        raise SchemaError(f'dataset: column "{name}" must hold integer codes, found {codes.dtype}')
    if codes.size and (int(codes.min()) < 0 or int(codes.max()) >= size):
        raise _outside(name, size)
    return codes.astype(np.min_scalar_type(size - 1), copy=False)


def _shared_tables(keys: Sequence[Axes], sizes: Sequence[int], rows: int) -> dict[Axes, Axes]:
    """For every wanted table the table that is counted for it: itself, or with many records one that several share.

    A table grows by the attribute that completes most of the wanted ones not yet served, while it stays in cache and
    far smaller than the records, so that fewer increments are made than wanted tables times records.
    """
    if rows < _SHARED_ROWS or not keys:
        return {key: key for key in keys}
    limit = min(rows // 8, _SHARED_CELLS)
    size = np.asarray(sizes, dtype=np.float64)
    longest = max(map(len, keys))
    members = np.array([[*key, *[len(sizes)] * (longest - len(key))] for key in keys], dtype=np.intp)
    holds = np.zeros((len(sizes) + 1, len(keys)), dtype=np.int8)
    holds[members, np.arange(len(keys))[:, None]] = 1
    length = holds[:-1].sum(axis=0, dtype=np.int8)
    waiting = np.ones(len(keys), dtype=bool)
    source: dict[Axes, Axes] = {}
    for seed in sorted(range(len(keys)), key=lambda row: -math.prod(sizes[axis] for axis in keys[row])):
        if not waiting[seed]:
            continue
        table = list(keys[seed])
        lacking = length - holds[table].sum(axis=0, dtype=np.int8)
        while len(table) < _SHARED_AXES:
            nearly = np.flatnonzero(waiting & (lacking == 1))
            gain = np.bincount(members[nearly].reshape(-1), minlength=len(sizes) + 1)[:-1]
            gain = gain * (size * np.prod(size[table]) <= limit)
            gain[table] = 0
            if not gain.any():
                break
            table.append(int(np.argmax(gain)))
            lacking -= holds[table[-1]]
        served = waiting & (lacking == 0)
        source.update({keys[row]: tuple(sorted(table)) for row in np.flatnonzero(served).tolist()})
        waiting &= ~served
    return source


def _sum_down(table: Counts, axes: Axes, key: Axes) -> Counts:
    drop = tuple(position for position, axis in enumerate(axes) if axis not in key)
    return table.sum(axis=drop, dtype=np.int64) if drop else table


def _reorder(table: Counts, axes: Axes) -> Counts:
    """Transpose a table with ascending axes to the wanted order; always a fresh, contiguous array."""
    rank = sorted(axes)
    return np.array(table.transpose([rank.index(axis) for axis in axes]), order="C")
