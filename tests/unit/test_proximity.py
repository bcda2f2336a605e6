"""Distances between records, against a plain computation in fractions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth.errors import AuditError
from privsynth.proximity import Gower, range_codes, rank_codes
from privsynth.records import MISSING, Records
from privsynth.schema import Schema

SCHEMA = Schema.loads("""
[table]
name = "t"
[columns.colour]
kind = "category"
values = ["a", "b", "c", "d"]
missing = ["?"]
[columns.yes]
kind = "boolean"
true = ["y"]
false = ["n"]
[columns.size]
kind = "integer"
lower = -1000000
upper = 1000000
bins = {method = "uniform", count = 3}
missing = ["?"]
""")


def table(rows: list[tuple[int, int, int]]) -> Records:
    values = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return Records(schema=SCHEMA, ticks=dict(zip(("colour", "yes", "size"), values.T.copy(), strict=True)))


def test_ranks_run_from_nothing_to_all_and_are_middle_ranks_between() -> None:
    reference = np.array([5, 5, 5, 5, 10, 20, -3, -3])
    codes = rank_codes(np.array([-9, -3, 0, 5, 7, 10, 20, 99, MISSING]), reference, 80)
    assert codes.tolist() == [0, 10, 20, 40, 60, 65, 75, 80, 160]


def test_ranges_run_from_the_smallest_to_the_largest_and_no_farther() -> None:
    reference = np.array([-10, MISSING, 30, 0])
    assert range_codes(np.array([-99, -10, 0, 10, 30, 99, MISSING]), reference, 8).tolist() == [0, 0, 2, 4, 8, 8, 16]
    assert range_codes(np.array([7, MISSING]), np.array([MISSING]), 8).tolist() == [0, 16]
    wide = np.array([-(2**50), 2**50])
    assert range_codes(wide, wide, 1000).tolist() == [0, 1000]


def test_ranks_among_nothing_are_nothing() -> None:
    assert rank_codes(np.array([3, MISSING]), np.array([MISSING]), 10).tolist() == [0, 20]


RECORD = st.tuples(
    st.sampled_from([MISSING, 0, 1, 2, 3]), st.integers(0, 1), st.sampled_from([MISSING, -900_000, -1, 0, 7, 900_000])
)


@given(st.lists(RECORD, min_size=1, max_size=12), RECORD)
def test_distances_are_sums_over_columns(rows: list[tuple[int, int, int]], point: tuple[int, int, int]) -> None:
    gower = Gower(table(rows), ("colour", "yes", "size"))
    present = sorted(row[2] for row in rows if row[2] != MISSING)

    def rank(value: int) -> int:
        both = sum(other < value for other in present) + sum(other <= value for other in present)
        return (both * gower.step + len(present)) // max(1, 2 * len(present))

    def between(first: tuple[int, int, int], second: tuple[int, int, int]) -> int:
        total = gower.step * ((first[0] != second[0]) + (first[1] != second[1]))
        if MISSING in (first[2], second[2]):
            return total + gower.step * (first[2] != second[2])
        return total + abs(rank(first[2]) - rank(second[2]))

    points = gower.points(table([point]))
    assert gower.distances(points, 0).tolist() == [between(point, row) for row in rows]
    some = np.arange(0, len(rows), 2)
    parts = [gower.part(name, points, 0, some) for name in ("colour", "yes", "size")]
    assert np.sum(parts, axis=0).tolist() == gower.distances(points, 0)[some].tolist()


def test_many_columns_neither_overflow_nor_wrap() -> None:
    schema = Schema.loads(
        '[table]\nname = "wide"\n'
        + "".join(f'[columns.c{n}]\nkind = "category"\nvalues = ["a", "b"]\n' for n in range(600))
    )
    far = Records(schema=schema, ticks={column.name: np.array([1]) for column in schema.modelled})
    near = Records(schema=schema, ticks={column.name: np.array([0]) for column in schema.modelled})
    gower = Gower(near, tuple(far.ticks))
    assert gower.distances(gower.points(far), 0).tolist() == [600 * gower.step]
    assert 600 * gower.step <= np.iinfo(np.int16).max
    with pytest.raises(AuditError, match="do not fit"):
        Gower(near, ("c0",) * 20_000)


def test_a_label_that_the_table_lacks_is_unlike_all() -> None:
    gower = Gower(table([(0, 0, 0), (MISSING, 0, 0)]), ("colour",))
    assert gower.distances(gower.points(table([(3, 0, 0)])), 0).tolist() == [gower.step] * 2
