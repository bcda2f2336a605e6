"""Nearest records: exact search under Gower's distance, without measuring every pair.

Must never leave out a record that is near enough: where a group of records may hold one, its distances are measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.proximity import Gower, Points
from privsynth.records import Records

Int16s: TypeAlias = npt.NDArray[np.int16]
Int64s: TypeAlias = npt.NDArray[np.int64]
Names: TypeAlias = Sequence[str]

_GROUP = 128
"""Most records of a group."""
_SAMPLE = 64
"""Records of a group that say which column it is best split on."""
_PAIRS = 256
"""Pairs of a point and a group that are measured at once: few enough for the processor's cache."""
_CELLS = 2**19
"""Cells of a batch's table of bounds, points times groups."""
_FOUND = 2**22
"""Most records, over all points of a batch, that can be found within limits."""
_TRIED = 15
"""Groups visited, in four rounds, before a point's search may be given up."""
_HOPELESS = 0.1
"""Share of groups still to visit that makes a search slower than measuring all."""
_BUCKETS = 256
"""Bounds tell so many labels apart; more share buckets, which only makes the bounds looser."""
_BYTE = 255
_THINNED = 16
_FAR = np.iinfo(np.int16).max


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Around:
    """The records around a batch of points, as pairs of a point and a record.

    Shapes: `limits`, how far the k-th nearest is, (points of the batch,); `owners` (places in the batch, ascending), `rows`
    and `distances` are (pairs,).
    """

    batch: slice
    limits: Int64s
    owners: Int64s
    rows: Int64s
    distances: Int16s


@final
class Neighbours:
    """The records of one table, in groups, so that those near a point are found without measuring the distance to all.

    Records are split again and again on the column that tells most of them apart, down to groups of at most 128. What values
    a group holds bounds how near to a point its records can be; the likeliest groups are visited first, until no other can
    hold a nearer record. Distances are those of `gower`. Where too many groups may, all distances are measured.
    Cost: time grows with points times groups, and with the pairs measured: few of all where columns depend on each other,
    all of them where columns are many and independent. Memory beside the table's does not grow with the points.
    Args: `rows` are the records to search among, all where it is None; ranks and ranges come from the whole table.
    Source: Friedman, Bentley, Finkel 1977 (k-d trees); Guttman 1984 (bounds from what a group holds).
    """

    def __init__(
        self,
        table: Records,
        names: Names,
        *,
        scale: Literal["rank", "range"] = "rank",
        rows: Int64s | None = None,
    ) -> None:
        self.gower = Gower(table, names, scale=scale)
        self._names = tuple(names)
        self._rows = np.arange(table.rows) if rows is None else rows
        groups = _groups({name: self.gower.codes(name) for name in names}, self._rows, self.gower)
        self._members = np.full((len(groups), _GROUP), -1)
        for number, group in enumerate(groups):
            self._members[number, : len(group)] = group
        filled = np.where(self._members < 0, self._members[:, :1], self._members)
        self._codes = {name: self.gower.codes(name)[filled] for name in names}
        self._nobody = np.where(self._members < 0, np.int16(_FAR), np.int16(0))
        self._labels = {name: _labels_absent(self._codes[name]) for name in self.gower.nominal}
        self._ranges = {name: _Range(self._codes[name], self.gower.step) for name in self.gower.ordinal}

    def nearest(self, points: Points, k: int) -> tuple[Int16s, Int64s]:
        """Distances of the k nearest records to each point, in ascending order, and which records they are.

        The distances are exact; which of several equally far records are named is arbitrary. There are fewer than k where
        the table has fewer.
        Shapes: both (points, k).
        """
        k, total = min(k, len(self._rows)), _count(points)
        distances, rows = np.full((total, k), _FAR, dtype=np.int16), np.full((total, k), -1)
        for batch in _slices(total, _CELLS // len(self._members)):
            some = {name: codes[batch] for name, codes in points.items()}
            for point in self._search(some, self._bounds(some), distances[batch], rows[batch]) + batch.start:
                every = self._all_distances(points, int(point))
                near = np.flatnonzero(every <= _smallest(every, k))
                near = near[np.argsort(every[near], kind="stable")[:k]]
                distances[point], rows[point] = every[near], self._rows[near]
        return distances, rows

    def around(self, points: Points, k: int, reach: int) -> Iterator[Around]:
        """Every record that is at most `reach` farther from a point than its k-th nearest, batch by batch of points.

        With the `reach` of a column's largest part, these hold the k nearest for every choice of one column left out.
        """
        k = min(k, len(self._rows))
        for batch in _slices(_count(points), min(_CELLS // len(self._members), _FOUND // len(self._rows))):
            some = {name: codes[batch] for name, codes in points.items()}
            bounds = self._bounds(some)
            distances = np.full((len(bounds), k), _FAR, dtype=np.int16)
            given_up = self._search(some, bounds, distances, np.full((len(bounds), k), -1))
            limits = distances[:, -1].astype(np.int64)
            open_to_it = bounds <= limits[:, None] + reach
            wide = open_to_it.sum(axis=1) > max(_TRIED, _HOPELESS * len(self._members))
            wide[given_up] = True
            open_to_it[wide] = False
            owners, groups = np.nonzero(open_to_it)
            found = [
                self._near(some, owners[part], groups[part], limits + reach) for part in _slices(len(owners), _PAIRS)
            ]
            for point in np.flatnonzero(wide).tolist():
                every = self._all_distances(some, point)
                limits[point] = _smallest(every, k)
                near = np.flatnonzero(every <= limits[point] + reach)
                found.append((np.full(len(near), point), self._rows[near], every[near]))
            owner, rows, far = (np.concatenate(side) for side in zip(*found, strict=True))
            order = np.argsort(owner, kind="stable")
            yield Around(batch=batch, limits=limits, owners=owner[order], rows=rows[order], distances=far[order])

    def _near(self, points: Points, owners: Int64s, groups: Int64s, limits: Int64s) -> tuple[Int64s, Int64s, Int16s]:
        measured = self._distances(points, owners, groups)
        pair, place = np.nonzero((measured <= limits[owners, None]) & (self._members[groups] >= 0))
        return owners[pair], self._members[groups[pair], place], measured[pair, place]

    def _search(self, points: Points, bounds: Int16s, distances: Int16s, rows: Int64s) -> Int64s:
        """Fill in the nearest to each point of a batch, from ever more groups at a time; returns the points given up."""
        order = np.argsort(bounds, axis=1, kind="stable")
        bounds = np.take_along_axis(bounds, order, axis=1)
        active, hopeless = np.arange(len(bounds)), np.empty(0, dtype=np.int64)
        start, width = 0, 1
        while len(active) and start < bounds.shape[1]:
            near = bounds[active, start : start + width] < distances[active, -1:]
            wanted, place = np.nonzero(near)
            owners = active[wanted]
            for part in _slices(len(owners), _PAIRS):
                groups = order[owners[part], start + place[part]]
                _keep_nearest(
                    owners[part],
                    self._distances(points, owners[part], groups),
                    self._members[groups],
                    distances,
                    rows,
                )
            active = active[near[:, -1]]
            start, width = start + width, min(2 * width, 64)
            if start == _TRIED:
                left = (bounds[active] < distances[active, -1:]).sum(axis=1) - _TRIED
                hopeless = active[left > _HOPELESS * bounds.shape[1]]
                active = active[left <= _HOPELESS * bounds.shape[1]]
        return hopeless

    def _all_distances(self, points: Points, point: int) -> Int16s:
        """Distances of one point to all rows that are searched; the next call may overwrite them."""
        distances = self.gower.distances(points, point)
        return distances if len(self._rows) == len(distances) else distances[self._rows]

    def _distances(self, points: Points, owners: Int64s, groups: Int64s) -> Int16s:
        """Distances of each pair's point to all records of its group. Shapes: (pairs, 128)."""
        step = np.int16(self.gower.step)
        total = np.zeros((len(owners), _GROUP), dtype=np.int16)
        part, differing = np.empty_like(total), np.zeros(total.shape, dtype=np.uint8)
        for number, name in enumerate(self._labels, start=1):
            differs = self._codes[name][groups] != points[name][owners, None]
            np.add(differing, differs.view(np.uint8), out=differing)
            if number % _BYTE == 0 or number == len(self._labels):
                np.add(total, np.multiply(differing, step, out=part), out=total)
                differing[:] = 0
        for name in self._ranges:
            np.subtract(self._codes[name][groups], points[name][owners, None], out=part)
            np.abs(part, out=part)
            np.add(total, np.minimum(part, step, out=part), out=total)
        return np.maximum(total, self._nobody[groups], out=total)

    def _bounds(self, points: Points) -> Int16s:
        """How near to each point the records of each group can be at best. Shapes: (points, groups)."""
        total = np.zeros((_count(points), len(self._members)), dtype=np.int16)
        for name in self._names:
            if name in self._labels:
                total += self._labels[name][points[name] & (_BUCKETS - 1)] * np.int16(self.gower.step)
            else:
                total += self._ranges[name].bounds(points[name])
        return total


@final
class _Range:
    """What each group holds of an ordered column: its lowest and highest code, and whether it holds a missing value."""

    def __init__(self, codes: npt.NDArray[np.integer], step: int) -> None:
        self._step = np.int16(step)
        missing = codes > step
        # The code of a missing value is a step above all; a group of nothing else is as far from every value as can be.
        self._low = codes.min(axis=1).astype(np.int16)
        self._high = np.where(missing, -step, codes).max(axis=1).astype(np.int16)
        self._missing = missing.any(axis=1)

    def bounds(self, codes: npt.NDArray[np.integer]) -> Int16s:
        """What the column adds at least. Shapes: (points, groups)."""
        column = codes.astype(np.int16)[:, None]
        least: Int16s = np.maximum(self._low - column, column - self._high)
        np.clip(least, 0, self._step, out=least)
        least[np.ix_(codes > self._step, self._missing)] = 0
        return least


def _labels_absent(codes: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Whether a group holds no label of a bucket. Shapes: (buckets, groups)."""
    absent = np.ones((_BUCKETS, len(codes)), dtype=bool)
    absent[codes & (_BUCKETS - 1), np.arange(len(codes))[:, None]] = False
    return absent


def _groups(codes: Points, rows: Int64s, gower: Gower) -> list[Int64s]:
    """These rows in groups of like ones."""
    nominal = np.array([name in gower.nominal for name in codes])
    columns = list(codes.values())
    done: list[Int64s] = []
    waiting = [rows]
    while waiting:
        rows = waiting.pop()
        if len(rows) <= _GROUP:
            done.append(rows)
            continue
        column, value = _best_split(rows, columns, nominal, gower.step)
        if column < 0:
            done += [rows[start : start + _GROUP] for start in range(0, len(rows), _GROUP)]
            continue
        lower = columns[column][rows] < value
        waiting += [rows[~lower], rows[lower]]
    return done


def _best_split(
    rows: Int64s, columns: list[npt.NDArray[np.integer]], nominal: npt.NDArray[np.bool_], step: int
) -> tuple[int, int]:
    """The column, and its lowest code of the upper part, that separates most pairs of rows, and by most; -1 for none."""
    some = rows[np.linspace(0, len(rows) - 1, _SAMPLE).astype(np.int64)]
    values = np.sort(np.stack([column[some] for column in columns]).astype(np.int64), axis=1)
    changes = values[:, 1:] != values[:, :-1]
    upto = np.arange(1, _SAMPLE)
    balance = upto * (_SAMPLE - upto)
    cut = (changes * balance).argmax(axis=1) + 1
    below = np.cumsum(values, axis=1)
    every = np.arange(len(columns))
    lower = below[every, cut - 1] / cut
    upper = (below[:, -1] - below[every, cut - 1]) / (_SAMPLE - cut)
    apart = np.where(nominal, step, np.minimum(upper - lower, step))
    gain = apart * balance[cut - 1] * changes.any(axis=1)
    best = int(gain.argmax())
    return (best, int(values[best, cut[best]])) if gain[best] > 0 else (-1, 0)


def _smallest(distances: Int16s, k: int) -> int:
    """The k-th smallest, which is no larger than the k-th smallest of a few of them."""
    few = distances[::_THINNED]
    if len(few) >= k:
        distances = distances[distances <= np.partition(few, k - 1)[k - 1]]
    return int(np.partition(distances, k - 1)[k - 1])


def _keep_nearest(owners: Int64s, measured: Int16s, members: Int64s, distances: Int16s, rows: Int64s) -> None:
    """Put the records measured, of which each line is near its owner (ascending), among the owners' nearest so far."""
    pair, place = np.nonzero(measured < distances[owners, -1:])
    touched, k = np.unique(owners[pair]), distances.shape[1]
    whose = np.concatenate([np.repeat(touched, k), owners[pair]])
    far = np.concatenate([distances[touched].reshape(-1), measured[pair, place]])
    which = np.concatenate([rows[touched].reshape(-1), members[pair, place]])
    order = np.lexsort((far, whose))
    kept = order[np.searchsorted(whose[order], touched)[:, None] + np.arange(k)]
    distances[touched], rows[touched] = far[kept], which[kept]


def _slices(total: int, size: int) -> Iterator[slice]:
    size = max(1, size)
    return (slice(start, min(total, start + size)) for start in range(0, total, size))


def _count(points: Points) -> int:
    return len(next(iter(points.values())))


def isolation(records: Records, names: Names, neighbours: int) -> Int64s:
    """How far each record is from its k-th nearest neighbour among the records themselves: large for the unusual ones.

    Source: Meeus et al. 2023 ("Achilles' heels"): attacks succeed first on the most isolated records.
    """
    search = Neighbours(records, names, scale="range")
    return search.nearest(search.gower.points(records), neighbours + 1)[0][:, -1].astype(np.int64)


def joined(table: Records, points: Records, left: Names, right: Names, k: int) -> npt.NDArray[np.bool_]:
    """Which points have a record of the table that is among the k nearest to them in both sets of columns.

    Records that are equally far are among the nearest together or not at all, so that at most k are. Shapes: (points,).
    """
    found = np.zeros(points.rows, dtype=bool)
    near_left, near_right = (_near(table, points, names, k) for names in (left, right))
    found[np.intersect1d(near_left, near_right) // table.rows] = True
    return found


def _near(table: Records, points: Records, names: Names, k: int) -> Int64s:
    """The records nearest to each point in these columns, as point * records + record."""
    search = Neighbours(table, names)
    distances, rows = search.nearest(search.gower.points(points), k + 1)
    near = np.ones(distances.shape, dtype=bool)
    if distances.shape[1] > k:
        near = distances < distances[:, -1:]
    return np.asarray(np.nonzero(near)[0] * table.rows + rows[near])
