"""Grouping: rare levels are merged, parents first, runs stay together, and what is common stays alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth.domain import LevelFacts
from privsynth.latent.grouping import merge_rare


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, LevelFacts]:
    size = draw(st.integers(3, 14))
    counts = draw(st.lists(st.integers(-2, 15), min_size=size, max_size=size))
    ordered = draw(st.sampled_from([0, 0, size, size // 2]))
    parents: tuple[int, ...] = ()
    if draw(st.booleans()):
        drawn = draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))
        parents = tuple(sorted(set(drawn)).index(each) for each in drawn)
    return np.array(counts, dtype=np.float64), LevelFacts(ordered=ordered, parents=parents)


def members(group_of: np.ndarray) -> list[list[int]]:
    return [np.flatnonzero(group_of == group).tolist() for group in range(int(group_of.max()) + 1)]


@given(cases())
def test_groups_are_numbered_by_their_first_levels_and_are_at_least_two(case: tuple[np.ndarray, LevelFacts]) -> None:
    groups = members(merge_rare(case[0], 6.0, case[1]))
    assert len(groups) >= 2
    assert all(groups)
    assert [group[0] for group in groups] == sorted(group[0] for group in groups)


@given(cases())
def test_ordered_levels_form_runs_that_close_once_they_are_heavy_enough(case: tuple[np.ndarray, LevelFacts]) -> None:
    counts, fact = case
    runs = [group for group in members(merge_rare(counts, 6.0, fact)) if group[0] < fact.ordered]
    assert sorted(level for run in runs for level in run) == list(range(fact.ordered))
    assert all(run == list(range(run[0], run[-1] + 1)) for run in runs)
    expected, run, gathered = [], [], 0.0
    for level in range(fact.ordered):
        run.append(level)
        gathered += counts[level]
        if gathered >= 6:
            expected.append(run)
            run, gathered = [], 0.0
    if expected:
        expected[-1] += run
        if len(expected) > 1 or fact.ordered < len(counts):
            assert runs == expected
    elif fact.ordered < len(counts):
        assert len(runs) <= 1


@given(cases())
def test_loose_levels_are_alone_or_with_rare_siblings_or_in_one_bucket(case: tuple[np.ndarray, LevelFacts]) -> None:
    counts, fact = case
    parents = fact.parents or (0,) * len(counts)
    loose = range(fact.ordered, len(counts))
    rare = [level for level in loose if counts[level] < 6]
    found = members(merge_rare(counts, 6.0, fact))
    bucket, families = [], []
    for parent in sorted(set(parents)):
        family = [level for level in rare if parents[level] == parent]
        if family and sum(counts[family]) >= 6:
            families.append(family)
        else:
            bucket += family
    alone = [[level] for level in loose if counts[level] >= 6]
    expected = sorted([*families, *alone, *([sorted(bucket)] if bucket else [])])
    if len(expected) > 1 or fact.ordered:
        assert sorted(group for group in found if group[0] >= fact.ordered) == expected


def test_a_hierarchy_is_merged_within_parents_first() -> None:
    counts = np.array([50.0, 2, 3, 1, 1, 1, 3, 4])
    parents = (0, 0, 0, 1, 1, 1, 2, 2)
    assert merge_rare(counts, 6.0, LevelFacts(parents=parents)).tolist() == [0, 1, 1, 1, 1, 1, 2, 2]
    assert merge_rare(counts, 5.0, LevelFacts(parents=parents)).tolist() == [0, 1, 1, 2, 2, 2, 3, 3]
    assert merge_rare(counts, 5.0, LevelFacts()).tolist() == [0, 1, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("counts", "ordered", "expected"),
    [
        ([1, 2, 9, 3], 0, [0, 0, 1, 0]),
        ([9, 2, 1, 3], 0, [0, 1, 1, 1]),
        ([1, 1, 1, 1], 4, [0, 0, 1, 1]),
        ([0, 0, 0, 9], 4, [0, 0, 0, 1]),
        ([9, 0, 0, 0], 4, [0, 1, 1, 1]),
        ([-5, -5, -5, -5], 4, [0, 1, 1, 1]),
        ([2, 3, 3, 2, 3, 3], 6, [0, 0, 0, 1, 1, 1]),
    ],
)
def test_two_groups_of_about_equal_weight_are_left_where_all_is_rare(
    counts: list[int], ordered: int, expected: list[int]
) -> None:
    assert merge_rare(np.array(counts, dtype=np.float64), 100.0, LevelFacts(ordered=ordered)).tolist() == expected


@pytest.mark.parametrize("size", [1, 2])
def test_one_or_two_levels_are_never_merged(size: int) -> None:
    for ordered in range(size + 1):
        for counts in ([0.0, 0.0], [9.0, 0.0], [0.0, 9.0], [20.0, 20.0]):
            found = merge_rare(np.array(counts[:size]), 10.0, LevelFacts(ordered=ordered))
            assert found.tolist() == list(range(size))


def test_nothing_is_merged_where_everything_is_common() -> None:
    assert merge_rare(np.full(5, 10.0), 10.0, LevelFacts()).tolist() == [0, 1, 2, 3, 4]
    assert merge_rare(np.full(5, 10.0), 10.0, LevelFacts(ordered=5)).tolist() == [0, 1, 2, 3, 4]


def test_many_levels_of_many_parents() -> None:
    """Work grows with the levels, not with levels times parents: this would take a minute."""
    size = 100_000
    fact = LevelFacts(parents=tuple(level // 4 for level in range(size)))
    groups = merge_rare(np.where(np.arange(size) % 8 < 4, 1.0, 3.0), 6.0, fact)
    bucket, family = np.arange(size) % 8 < 4, np.arange(size) // 8 + 1
    np.testing.assert_array_equal(groups, np.where(bucket, 0, family))
