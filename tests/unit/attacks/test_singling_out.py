"""Who is singled out by one value, on tables small enough to check by eye."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest

from privsynth import attacks
from privsynth.attack import View
from privsynth.records import MISSING, Records
from privsynth.schema import Schema

BODIES = {
    "category": 'kind = "category"\nvalues = ["a", "b", "c", "d"]\nmissing = ["?"]',
    "integer": 'kind = "integer"\nlower = -1000\nupper = 1000\nmissing = ["?"]\nbins = {method = "uniform", count = 3}',
    "date": 'kind = "date"\nlower = 1970-01-01\nupper = 1999-12-31\nmissing = ["?"]\nbins = {method = "uniform", count = 3}',
}


def singled_out(kind: str, released: Sequence[int], targets: Sequence[int], name: str = 'the "x". y') -> list[bool]:
    schema = Schema.loads(f'[table]\nname = "t"\n[columns.{json.dumps(name)}]\n{BODIES[kind]}\n')
    tables = [Records(schema=schema, ticks={name: np.array(ticks)}) for ticks in (released, targets)]
    view = View(schema=schema, synthetic=tables[0], targets=tables[1])
    by_several, by_one = attacks.get("singling_out", {}).attack(view, rng=np.random.default_rng(0))
    assert (by_several.label, by_one.label) == ("singling out", "singling out by one value")
    return [bool(flag) for flag in by_one.success]


@pytest.mark.parametrize(
    ("released", "targets", "expected"),
    [
        ([0, 1, 1], [0, 1, 2], [True, False, False]),
        ([0, 1, 1], [0, 0, 1], [False, False, False]),
        ([MISSING, 1, 1], [MISSING, 1, 1], [True, False, False]),
        ([3, 1, 1], [2, 1, 1], [False, False, False]),
        ([1, 0, 0], [2, 0, 0], [False, False, False]),
    ],
)
def test_a_label_that_one_record_and_one_target_has(
    released: Sequence[int], targets: Sequence[int], expected: list[bool]
) -> None:
    assert singled_out("category", released, targets) == expected


@pytest.mark.parametrize("kind", ["integer", "date"])
@pytest.mark.parametrize(
    ("released", "targets", "expected"),
    [
        ([1, 5, 5, 9], [3, 12, 5], [False, True, False]),
        ([1, 5, 5, 9], [3, 12, 10], [False, False, False]),
        ([1, 5, 9, 9], [3, 12, 6], [False, False, False]),
        ([4, 5, 5, 9, 9], [3, 6, 6], [True, False, False]),
        ([4, 5, 5, 9, 9], [4, 6, 6], [True, False, False]),
        ([4, 4, 6, 9, 9], [6, 5, 5], [True, False, False]),
        ([4, 4, 9, 9, MISSING], [MISSING, 5, 5], [True, False, False]),
        ([4, 9, 9], [MISSING, 5, 5], [False, False, False]),
        ([MISSING, MISSING], [MISSING, 5, 6], [False, False, False]),
    ],
)
def test_a_value_of_one_record_or_beyond_all_records(
    kind: str, released: Sequence[int], targets: Sequence[int], expected: list[bool]
) -> None:
    assert singled_out(kind, released, targets) == expected


def test_negative_values_have_extremes_too() -> None:
    assert (
        singled_out("integer", [-900, -5, -5, -1], [-950, -5, -7, 2, -4, -7, -5])
        == [True, *[False] * 2, True] + [False] * 3
    )


def test_a_column_of_one_value_singles_nobody_out() -> None:
    assert singled_out("integer", [5, 5, 5], [5, 5, 5, 5]) == [False] * 4
