"""Who takes part, worked out in two ways; what a step may differ by."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from privsynth.conformance import coins
from privsynth.dataset import Dataset
from privsynth.domain import Domain
from privsynth.privacy import sampling
from privsynth.privacy.gradient import CHUNK_ROWS
from privsynth.replay import Call


def dataset(rows: int, each: int) -> Dataset:
    units = None if each == 1 else np.arange(rows) // each
    return Dataset.from_columns({"a": np.arange(rows) % 5}, Domain(("a",), (5,)), units)


@pytest.mark.parametrize("each", [1, 3])
@pytest.mark.parametrize("rate", [Fraction(1, 100), Fraction(1, 3), Fraction(1)])
@pytest.mark.parametrize("expected", [None, 700.0, 5000.0])
def test_both_ways_agree(each: int, rate: Fraction, expected: float | None) -> None:
    data = dataset(9001, each)
    for key in (bytes(32), b"\xff" * 32, bytes(range(32))):
        taken = sampling.poisson(data.units, data.rows, rate, key)
        assert np.array_equal(coins.taking_part(data, key, rate), taken)
        parts, most = (1, CHUNK_ROWS) if expected is None else sampling.dealing(expected, CHUNK_ROWS)
        dealt = sampling.dealt(taken, data.rows, most, key, parts=parts)
        ours = coins.chunks(data, key, rate, expected)
        assert sorted(part.tolist() for part in ours) == sorted(chunk.rows.tolist() for chunk in dealt)


def test_a_counter_that_overflows_starts_again() -> None:
    key = bytes(32)
    assert np.array_equal(coins.words(key, b"coins", 7), sampling._words(key, b"coins", 7))
    assert np.array_equal(coins.words(key, b"places", 1001), sampling._words(key, b"places", 1001))


def test_units_that_are_more_are_counted_and_splits_are_seen() -> None:
    before, after = dataset(340, 1), dataset(400, 1)
    rate = Fraction(1, 4)
    taken = [int(coins.heads(bytes([n]) * 32, 400, rate)[340:].sum()) for n in range(20)]
    found = [coins.Difference.of(before, after, bytes([n]) * 32, rate, None) for n in range(20)]
    assert [each.units for each in found] == taken
    assert not any(each.split for each in found)
    assert any(coins.Difference.of(before, after, bytes([n]) * 32, rate, 60.0).split for n in range(20))


def test_a_table_that_begins_otherwise_does_not_follow() -> None:
    assert coins.follows(dataset(10, 1), dataset(12, 1))
    assert not coins.follows(dataset(12, 1), dataset(10, 1))
    assert not coins.follows(dataset(10, 2), dataset(12, 3))


def test_a_move_is_measured_in_l2_and_for_each_unit() -> None:
    one, other = (
        Call(kind="gaussian", shape=(2,), parameter=Fraction(25), exact=np.array(exact), noisy=np.zeros(2, np.int64))
        for exact in ([0, 0], [3, 4])
    )
    assert not coins.moved_too_far(one, other, 1, Fraction(1))
    assert coins.moved_too_far(one, other, 1, Fraction(101, 100))
    assert not coins.moved_too_far(one, other, 2, Fraction(2))
    assert coins.moved_too_far(one, other, 0, Fraction(1))
    assert not coins.moved_too_far(one, one, 0, Fraction(1))
