"""The search for neighbours, against measuring every distance."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth import neighbours
from privsynth.neighbours import Neighbours, isolation
from privsynth.proximity import Gower, Points
from privsynth.records import MISSING, Records
from privsynth.schema import Schema

KINDS = {
    "category": 'kind = "category"\nvalues = ["a", "b", "c", "d", "e", "f"]\nmissing = ["?"]',
    "boolean": 'kind = "boolean"\ntrue = ["y"]\nfalse = ["n"]',
    "integer": 'kind = "integer"\nlower = -1000\nupper = 1000\nmissing = ["?"]\nbins = {method = "uniform", count = 2}',
    "date": 'kind = "date"\nlower = 1970-01-01\nupper = 1999-12-31\nmissing = ["?"]\nbins = {method = "uniform", count = 2}',
}
NAMES = ("the colour", 'said "yes"', "size.of'it", "first; day")
SCHEMA = Schema.loads(
    '[table]\nname = "t"\n'
    + "".join(f"[columns.{json.dumps(name)}]\n{body}\n" for name, body in zip(NAMES, KINDS.values(), strict=True))
)
RECORD = st.tuples(
    st.sampled_from([MISSING, 0, 1, 2, 5]),
    st.integers(0, 1),
    st.sampled_from([MISSING, -900, -2, -1, 0, 1, 7, 900]),
    st.sampled_from([MISSING, 0, 1, 2, 5000]),
)


def table(rows: Sequence[tuple[int, ...]]) -> Records:
    values = np.array(rows, dtype=np.int64).reshape(-1, len(NAMES))
    return Records(schema=SCHEMA, ticks=dict(zip(NAMES, values.T.copy(), strict=True)))


def mixed(rows: int, seed: int, *, ordinal: int = 3, nominal: int = 3, labels: int = 4, top: int = 50) -> Records:
    """Columns that depend on a hidden type, some values of them missing."""
    rng = np.random.default_rng(seed)
    text = "".join(
        f'[columns.n{n}]\nkind = "category"\nvalues = {json.dumps([f"v{v}" for v in range(labels)])}\nmissing = ["?"]\n'
        for n in range(nominal)
    ) + "".join(f"[columns.o{n}]\n{KINDS['integer']}\n" for n in range(ordinal))
    schema = Schema.loads(f'[table]\nname = "mixed"\n{text}')
    kind = rng.integers(0, 4, rows)
    ticks = {}
    for column in schema.modelled:
        size = labels if column.kind == "category" else top
        values = (kind * size // 4 + rng.integers(0, max(2, size // 2), rows)) % size
        ticks[column.name] = np.where(rng.random(rows) < 0.05, MISSING, values)
    return Records(schema=schema, ticks=ticks)


def measured(search: Neighbours, points: Points) -> npt.NDArray[np.int64]:
    """Every distance from every point, the plain way."""
    return np.array(
        [search.gower.distances(points, index).astype(np.int64) for index in range(len(next(iter(points.values()))))]
    )


def compare(search: Neighbours, points: Points, k: int, *, reach: int = 0) -> None:
    """Both searches against every distance."""
    every = measured(search, points)
    distances, rows = search.nearest(points, k)
    k = min(k, every.shape[1])
    assert distances.tolist() == np.sort(every, axis=1)[:, :k].tolist()
    assert np.take_along_axis(every, rows, axis=1).tolist() == distances.tolist()
    assert all(len(set(line)) == k for line in rows.tolist())
    found: list[tuple[int, int]] = []
    for near in search.around(points, k, reach):
        assert near.limits.tolist() == distances[near.batch, -1].tolist()
        owners = near.owners + near.batch.start
        assert near.distances.tolist() == every[owners, near.rows].tolist()
        found += zip(owners.tolist(), near.rows.tolist(), strict=True)
    assert sorted(found) == [tuple(pair) for pair in np.argwhere(every - distances[:, -1:] <= reach).tolist()]
    assert [owner for owner, _ in found] == sorted(owner for owner, _ in found)


@settings(max_examples=60)
@given(
    st.lists(RECORD, min_size=1, max_size=30),
    st.lists(RECORD, min_size=1, max_size=5),
    st.integers(1, 6),
    st.sampled_from([0, 1, 500, 1000, 40_000]),
    st.integers(1, 5),
)
def test_what_is_found_is_what_is_nearest(
    rows: list[tuple[int, ...]], others: list[tuple[int, ...]], k: int, reach: int, group: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "_GROUP", group)
        patch.setattr(neighbours, "_CELLS", 20)
        search = Neighbours(table(rows), NAMES)
        compare(search, search.gower.points(table(others)), k, reach=reach)


@pytest.mark.parametrize("scale", ["rank", "range"])
@pytest.mark.parametrize("k", [1, 7, 200])
def test_in_tables_of_many_groups(scale: str, k: int) -> None:
    search = Neighbours(mixed(3000, 1), tuple(mixed(1, 1).ticks), scale="rank" if scale == "rank" else "range")
    points = search.gower.points(mixed(150, 2))
    compare(search, points, k)
    compare(search, points, k, reach=search.gower.step)


def test_few_pairs_are_measured_where_columns_depend_on_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs: list[int] = []
    plain = Neighbours._distances

    def counted(self: Neighbours, points: Points, owners: object, groups: object) -> object:
        pairs.append(len(owners))  # type: ignore[arg-type]
        return plain(self, points, owners, groups)  # type: ignore[arg-type]

    monkeypatch.setattr(Neighbours, "_distances", counted)
    monkeypatch.setattr(neighbours, "_HOPELESS", 2.0)
    release = mixed(20_000, 1, ordinal=2, nominal=4, top=900)
    search = Neighbours(release, tuple(release.ticks))
    search.nearest(search.gower.points(mixed(300, 2, ordinal=2, nominal=4, top=900)), 1)
    assert sum(pairs) * neighbours._GROUP < 0.1 * 300 * 20_000


def test_where_all_groups_may_hold_a_neighbour_all_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many independent columns: the search is given up, and is right all the same."""
    rng = np.random.default_rng(3)
    schema = Schema.from_domain({f"c{n}": 1000 for n in range(12)})
    near, far = (
        Records(schema=schema, ticks={column.name: rng.integers(0, 1000, rows) for column in schema.modelled})
        for rows in (4000, 20)
    )
    given_up: list[int] = []
    plain = Neighbours._all_distances

    def counted(self: Neighbours, points: Points, point: int) -> object:
        given_up.append(point)
        return plain(self, points, point)

    monkeypatch.setattr(Neighbours, "_all_distances", counted)
    search = Neighbours(near, tuple(near.ticks))
    compare(search, search.gower.points(far), 3)
    assert len(given_up) == 40
    some = Neighbours(near, tuple(near.ticks), rows=np.arange(1, 4000, 2))
    points = some.gower.points(far)
    distances, rows = some.nearest(points, 2)
    every = measured(some, points)
    assert (rows % 2).all()
    assert distances.tolist() == np.sort(every[:, 1::2], axis=1)[:, :2].tolist()
    assert distances.tolist() == np.take_along_axis(every, rows, axis=1).tolist()
    assert len(given_up) == 60


def test_more_labels_than_are_told_apart_in_bounds() -> None:
    release = mixed(2000, 4, ordinal=1, nominal=2, labels=700)
    search = Neighbours(release, tuple(release.ticks))
    compare(search, search.gower.points(mixed(60, 5, ordinal=1, nominal=2, labels=700)), 2)


def test_a_label_that_the_table_lacks_is_far_from_all() -> None:
    search = Neighbours(table([(0, 0, 0, 0), (MISSING, 0, 0, 0)]), NAMES[:1])
    distances, _ = search.nearest(search.gower.points(table([(5, 0, 0, 0), (MISSING, 0, 0, 0)])), 2)
    assert distances.tolist() == [[1000, 1000], [0, 1000]]


@pytest.mark.parametrize(("columns", "kind"), [(200, "boolean"), (254, "boolean"), (300, "category"), (200, "integer")])
def test_wide_tables_and_the_largest_distance_there_is(columns: int, kind: str) -> None:
    schema = Schema.loads('[table]\nname = "w"\n' + "".join(f"[columns.c{n}]\n{KINDS[kind]}\n" for n in range(columns)))
    rng = np.random.default_rng(0)
    rows = {column.name: np.append(rng.integers(0, 2, 300), 1) for column in schema.modelled}
    search = Neighbours(Records(schema=schema, ticks=rows), tuple(rows))
    compare(search, search.gower.points(Records(schema=schema, ticks=rows).take(np.arange(20))), 2)
    only = Records(schema=schema, ticks={name: np.array([0]) for name in rows})
    opposite = Records(schema=schema, ticks={name: np.array([1 if kind != "integer" else MISSING]) for name in rows})
    alone = Neighbours(only, tuple(rows))
    distances, found = alone.nearest(alone.gower.points(opposite), 1)
    assert (distances.tolist(), found.tolist()) == ([[columns * alone.gower.step]], [[0]])


def test_constant_columns_and_copies() -> None:
    search = Neighbours(table([(1, 1, 5, 5)] * 500), NAMES)
    compare(search, search.gower.points(table([(1, 1, 5, 5), (0, 1, 900, MISSING)])), 3)


def test_only_the_rows_asked_for_are_found_on_the_scale_of_the_whole_table() -> None:
    release = table([(0, 0, size, 0) for size in range(100)])
    search = Neighbours(release, NAMES, rows=np.array([10, 50, 90]))
    points = search.gower.points(table([(0, 0, 52, 0), (0, 0, 99, 0)]))
    distances, rows = search.nearest(points, 5)
    assert rows.tolist() == [[50, 90, 10], [90, 50, 10]]
    assert distances.tolist() == [[20, 380, 420], [90, 490, 890]]
    (near,) = search.around(points, 1, 360)
    assert sorted(zip(near.owners.tolist(), near.rows.tolist(), strict=True)) == [(0, 50), (0, 90), (1, 90)]


def test_a_reach_beyond_any_distance_finds_everybody_once() -> None:
    search = Neighbours(table([(0, 0, 0, 0)] * 3), NAMES)
    points = search.gower.points(table([(1, 1, 0, 0)] * 2))
    (near,) = search.around(points, 1, 40_000)
    assert (near.owners.tolist(), near.rows.tolist()) == ([0, 0, 0, 1, 1, 1], [0, 1, 2] * 2)


def test_the_odd_one_out_is_the_most_isolated() -> None:
    rows = [(0, 0, 1, 0), (0, 0, 2, 0), (0, 0, 1, 0), (0, 0, 2, 0), (3, 1, 900, 0)]
    lonely = isolation(table(rows), NAMES, 2)
    assert lonely.argmax() == 4
    assert isolation(table(rows[:1]), NAMES[:1], 5).tolist() == [0]
    gower = Gower(table(rows), NAMES, scale="range")
    points = gower.points(table(rows))
    assert lonely.tolist() == [np.sort(gower.distances(points, index))[2] for index in range(5)]
