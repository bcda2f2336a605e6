"""What each attack counts as a success, on tables small enough to check by eye."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from privsynth import attacks
from privsynth.attack import Outcome, View
from privsynth.records import MISSING, Records
from privsynth.schema import Schema

TEXT = """
[table]
name = "t"
[columns.colour]
kind = "category"
values = ["a", "b", "c", "d"]
role = "quasi"
[columns.size]
kind = "integer"
lower = 0
upper = 1000
bins = {method = "uniform", count = 3}
missing = ["?"]
[columns.secret]
kind = "category"
values = ["x", "y", "z"]
role = "sensitive"
"""
SCHEMA = Schema.loads(TEXT)


def table(rows: Sequence[tuple[int, int, int]], schema: Schema = SCHEMA) -> Records:
    values = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return Records(schema=schema, ticks=dict(zip(("colour", "size", "secret"), values.T.copy(), strict=True)))


def tried(
    name: str,
    released: Sequence[tuple[int, int, int]],
    targets: Sequence[tuple[int, int, int]],
    *,
    schema: Schema = SCHEMA,
    **settings: float,
) -> dict[str, Outcome]:
    view = View(schema=schema, synthetic=table(released, schema), targets=table(targets, schema))
    return {
        outcome.label: outcome for outcome in attacks.get(name, settings).attack(view, rng=np.random.default_rng(0))
    }


def test_exact_match_counts_records_that_nobody_shares() -> None:
    released = [(0, 5, 1), (1, 6, 2), (1, 6, 2), (2, MISSING, 0)]
    targets = [(0, 5, 1), (1, 6, 2), (1, 6, 2), (2, MISSING, 0), (3, 5, 1), (0, 5, 2)]
    found = tried("exact_match", released, targets)
    assert found["exact match"].success.tolist() == [True, False, False, True, False, False]
    assert found["exact match of declared columns"].success.tolist() == [True, False, False, True, False, False]


def test_exact_match_of_declared_columns_ignores_the_others() -> None:
    found = tried("exact_match", [(0, 5, 1)], [(0, 999, 1)])
    assert not found["exact match"].success[0]
    assert found["exact match of declared columns"].success[0]


def test_exact_match_looks_up_whole_records_only_where_no_roles_are_declared() -> None:
    schema = Schema.loads(TEXT.replace('role = "quasi"', "").replace('role = "sensitive"', ""))
    assert set(tried("exact_match", [(0, 5, 1)], [(0, 5, 1)], schema=schema)) == {"exact match"}


def test_near_match_calls_the_nearest_share_members_and_all_at_the_same_distance() -> None:
    released = [(0, size, 0) for size in range(0, 1000, 100)]
    targets = [(0, 100, 0), (0, 210, 0), (0, 340, 0), (1, 100, 0), (1, 100, 1), *[(2, 500, 2)] * 5]
    success = tried("near_match", released, targets, share=0.1)["near match"].success
    assert success.tolist() == [True] + [False] * 9
    success = tried("near_match", released, [*targets, (0, 900, 0)], share=0.1)["near match"].success
    assert success.tolist() == [True] + [False] * 9 + [True]
    success = tried("near_match", released, targets, share=0.4)["near match"].success
    assert success.tolist() == [True] * 4 + [False] * 6


def test_near_match_is_surer_of_those_who_are_nearer() -> None:
    released = [(0, size, 0) for size in range(0, 1000, 100)]
    score = tried("near_match", released, [(0, 100, 0), (0, 210, 0), (1, 100, 0), (1, 100, 1)])["near match"].score
    assert score is not None
    assert score.tolist() == [0.0, -50.0, -1000.0, -2000.0]


def test_singling_out_needs_one_released_record_and_one_target() -> None:
    released = [(0, 5, 1), (1, 6, 2), (1, 6, 2), (2, 7, 0)]
    targets = [(0, 5, 1), (1, 6, 2), (2, 7, 0), (2, 7, 0), (3, 5, 1)]
    success = tried("singling_out", released, targets, confirming=2, bins=1000)["singling out"].success
    assert success.tolist() == [True, False, False, False, False]


@pytest.mark.parametrize(("confirming", "expected"), [(0, True), (1, False), (2, False)])
def test_singling_out_confirms_by_further_columns(confirming: int, expected: bool) -> None:
    """One released record agrees on some columns only: whether that suffices is the setting."""
    released = [(0, 500, 1), (1, 600, 1), (1, 700, 2)]
    found = [
        attacks.get("singling_out", {"confirming": confirming, "orders": 1})
        .attack(
            View(schema=SCHEMA, synthetic=table(released), targets=table([(0, 990, 2), (3, 0, 0)])),
            rng=np.random.default_rng(seed),
        )[0]
        .success[0]
        for seed in range(40)
    ]
    assert any(found) == expected


def test_singling_out_cuts_ordered_columns_into_classes_of_released_ranks() -> None:
    released = [(0, size, 0) for size in (0, 1, 2, 3, 500, 501, 502, 503)]
    close = [(0, 2, 0), (3, 3, 2)]
    assert not tried("singling_out", released, close, bins=2, confirming=0)["singling out"].success.any()
    assert tried("singling_out", released, close, bins=1000, confirming=0)["singling out"].success[0]


def test_attribute_inference_takes_the_secret_of_the_nearest() -> None:
    released = [(0, 100, 1), (0, 900, 2), (1, 500, 0), (1, 510, 0)]
    targets = [(0, 110, 1), (0, 880, 2), (0, 120, 0), (1, 505, 0)]
    found = tried("attribute_inference", released, targets)
    assert set(found) == {"attribute inference: secret"}
    outcome = found["attribute inference: secret"]
    assert outcome.success.tolist() == [True, True, False, True]
    assert outcome.baseline == 0.5


def test_attribute_inference_lets_more_neighbours_vote() -> None:
    released = [(0, 100, 1), (0, 101, 2), (0, 102, 2)]
    assert tried("attribute_inference", released, [(0, 100, 1)])["attribute inference: secret"].success[0]
    found = tried("attribute_inference", released, [(0, 100, 1)], neighbours=3)
    assert not found["attribute inference: secret"].success[0]


def test_attribute_inference_of_numbers_is_right_within_a_share_of_ranks_and_of_missing_values_exactly() -> None:
    schema = Schema.loads(
        TEXT.replace('role = "sensitive"', "").replace("upper = 1000", 'upper = 1000\nrole = "sensitive"')
    )
    released = [(0, size, 0) for size in range(0, 1000, 10)] + [(1, MISSING, 0)] * 3
    targets = [(0, 500, 0), (0, 530, 0), (0, 600, 0), (1, MISSING, 0), (1, 500, 0)]
    found = tried("attribute_inference", released, targets, schema=schema, tolerance=0.05)
    assert found["attribute inference: size"].success.tolist() == [True, True, False, True, False]


def test_attribute_inference_without_declared_secrets_takes_the_hardest_to_guess() -> None:
    schema = Schema.loads(TEXT.replace('role = "sensitive"', ""))
    released = [(0, size, 0) for size in range(10)]
    found = tried("attribute_inference", released, released, schema=schema, undeclared=1)
    assert set(found) == {"attribute inference: size"}
    assert set(tried("attribute_inference", released, released, schema=schema)) == {
        "attribute inference: size",
        "attribute inference: secret",
    }
