"""Which halves are linked, on tables small enough to check by eye."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from privsynth import attacks
from privsynth.attack import View
from privsynth.records import MISSING, Records
from privsynth.schema import Schema

TEXT = """
[table]
name = "t"
[columns."the colour"]
kind = "category"
values = ["a", "b", "c", "d"]
role = "quasi"
[columns."born; \\"on\\""]
kind = "date"
lower = 1970-01-01
upper = 1999-12-31
role = "quasi"
missing = ["?"]
bins = {method = "uniform", count = 3}
[columns."bal.ance"]
kind = "integer"
lower = -1000
upper = 1000
missing = ["?"]
bins = {method = "uniform", count = 3}
[columns."it's"]
kind = "boolean"
true = ["y"]
false = ["n"]
"""
SCHEMA = Schema.loads(TEXT)
UNDECLARED = Schema.loads(TEXT.replace('role = "quasi"\n', ""))


def linked(
    released: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    *,
    schema: Schema = SCHEMA,
    seed: int = 0,
    **settings: int,
) -> list[bool]:
    tables = []
    for rows in (released, targets):
        columns = np.array(rows, dtype=np.int64).T.copy()
        names = [column.name for column in schema.modelled]
        tables.append(Records(schema=schema, ticks=dict(zip(names, columns, strict=True))))
    view = View(schema=schema, synthetic=tables[0], targets=tables[1])
    (outcome,) = attacks.get("linkability", settings).attack(view, rng=np.random.default_rng(seed))
    assert outcome.attempted.all()
    return [bool(flag) for flag in outcome.success]


def test_halves_are_linked_that_the_same_record_is_nearest_to() -> None:
    released = [(0, 10, -500, 0), (1, 20, 0, 1), (2, MISSING, MISSING, 0), (3, 40, 700, 1)]
    targets = [(0, 10, -500, 0), (0, 10, 700, 1), (2, MISSING, MISSING, 0), (3, 39, 690, 1)]
    assert linked(released, targets, neighbours=1) == [True, False, True, True]


def test_among_more_neighbours_one_in_common_is_enough() -> None:
    released = [(0, 10, -500, 0), (0, 11, 0, 0), (1, 900, 10, 1), (1, 950, 900, 1)]
    target = [(0, 10, 4, 0)]
    assert [linked(released, target, neighbours=k)[0] for k in (1, 2)] == [False, True]


def test_records_equally_far_are_among_the_nearest_together_or_not_at_all() -> None:
    released = [(0, 10, -500, 0), (0, 10, 0, 0), (0, 10, 500, 0), (3, 900, 900, 1)]
    target = [(0, 10, 0, 0)]
    assert [linked(released, target, neighbours=k)[0] for k in (1, 2, 3)] == [False, False, True]
    for order in ([2, 1, 0, 3], [1, 0, 2, 3], [3, 2, 0, 1]):
        assert [linked([released[row] for row in order], target, neighbours=k)[0] for k in (1, 2, 3)] == [
            False,
            False,
            True,
        ]


def test_declared_quasi_identifiers_are_one_file() -> None:
    """No random halves of these columns: the answer is the same whatever is drawn."""
    released = [(0, 10, -500, 0), (1, 20, 0, 1), (2, 30, 500, 0)]
    target = [(0, 10, 0, 0), (1, 20, 0, 1)]
    assert {tuple(linked(released, target, seed=seed, neighbours=1)) for seed in range(20)} == {(False, True)}


def test_without_roles_columns_are_dealt_at_random_and_one_deal_may_link() -> None:
    released = [(0, 10, -500, 0), (1, 20, 0, 1), (2, 30, 500, 0)]
    target = [(0, 10, 0, 0)]
    once = [linked(released, target, schema=UNDECLARED, seed=seed, neighbours=1)[0] for seed in range(30)]
    often = [linked(released, target, schema=UNDECLARED, seed=seed, neighbours=1, deals=8)[0] for seed in range(30)]
    assert 0 < sum(once) < sum(often)


@pytest.mark.parametrize("copies", [1, 12])
def test_a_release_of_one_value_or_of_one_column_links_nobody_who_can_be_told_apart(copies: int) -> None:
    same = [(1, 20, 0, 1)] * copies
    assert linked(same, [(1, 20, 0, 1), (0, 10, 9, 0)]) == [copies == 1] * 2
    single = Schema.from_domain({"only": 3})
    assert linked([(1,)] * copies, [(1,), (2,)], schema=single) == [False, False]


def test_two_hundred_columns() -> None:
    schema = Schema.from_domain({f"c{number}": 5 for number in range(200)})
    rng = np.random.default_rng(1)
    released, others = rng.integers(0, 5, (50, 200)), rng.integers(0, 5, (10, 200))
    found = linked([*released], [*released[:10], *others], schema=schema, neighbours=1)
    assert found[:10] == [True] * 10
    assert sum(found[10:]) <= 2
