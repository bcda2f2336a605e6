"""Poisson sampling and dealing: rates, independence, and what one unit more changes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.errors import MechanismError
from privsynth.privacy.sampling import Chunk, dealing, dealt, poisson


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_each_row_takes_part_at_the_rate() -> None:
    """2e6 coins at rate 1/50: 40,000 expected, sd 198; six of them happen once in 5e8 runs."""
    taken = sum(len(poisson(None, 20_000, Fraction(1, 50), key(step))) for step in range(100))
    assert abs(taken - 40_000) < 6 * 198


def test_the_batch_is_no_fixed_size() -> None:
    """The number that takes part is binomial: its variance over 400 draws is within 40 % of n q (1 - q), or 5.6 sd."""
    sizes = [len(poisson(None, 2000, Fraction(1, 10), key(step))) for step in range(400)]
    assert 0.6 < np.var(sizes) / (2000 * 0.1 * 0.9) < 1.4


def test_taking_part_twice_is_as_likely_as_once() -> None:
    """Of those who take part in one step, a tenth takes part in the next: 40,000 pairs of rows and steps, sd 60."""
    masks = np.zeros((41, 10_000), dtype=bool)
    for step in range(41):
        masks[step, poisson(None, 10_000, Fraction(1, 10), key(step))] = True
    assert abs((masks[1:] & masks[:-1]).sum() - 4000) < 6 * 63


def test_all_rows_of_a_unit_take_part_together() -> None:
    units = np.repeat(np.arange(500), 3)
    rows = poisson(units, 1500, Fraction(1, 3), key(1))
    assert 0 < len(rows) < 1500
    for unit in np.unique(units[rows]):
        assert (units[rows] == unit).sum() == 3


def test_rate_one_takes_everybody() -> None:
    np.testing.assert_array_equal(poisson(None, 10, Fraction(1), key(0)), np.arange(10))
    np.testing.assert_array_equal(poisson(np.array([0, 0, 1]), 3, Fraction(1), key(0)), np.arange(3))


def test_nobody_can_take_part_in_an_empty_table() -> None:
    assert not len(poisson(None, 0, Fraction(1, 2), key(0)))
    assert not len(poisson(np.zeros(0, dtype=np.int64), 0, Fraction(1, 2), key(0)))
    assert not list(dealt(np.zeros(0, dtype=np.intp), 0, 256, key(0)))


PARTS = st.integers(1, 5)


@settings(deadline=None)
@given(rows=st.integers(0, 400), most=st.integers(1, 50), number=st.integers(0, 10_000), parts=PARTS)
def test_dealing_loses_nobody_and_keeps_to_the_limit(rows: int, most: int, number: int, parts: int) -> None:
    sampled = poisson(None, rows, Fraction(1, 2), key(number))
    chunks = list(dealt(sampled, rows, most, key(number), parts=parts))
    assert all(0 < len(chunk.rows) <= most for chunk in chunks)
    np.testing.assert_array_equal(np.sort(np.concatenate([[], *[chunk.rows for chunk in chunks]])), sampled)
    assert len({chunk.key for chunk in chunks}) == len(chunks)


def contents(chunks: list[Chunk]) -> dict[bytes, tuple[int, ...]]:
    return {chunk.key: tuple(chunk.rows.tolist()) for chunk in chunks}


@settings(deadline=None)
@given(rows=st.integers(1, 400), most=st.integers(2, 50), number=st.integers(0, 10_000), parts=PARTS)
def test_a_row_more_changes_the_chunk_that_it_is_in_and_no_other(rows: int, most: int, number: int, parts: int) -> None:
    """The row comes last, so that the others keep their bits, as they do in distribution wherever it comes."""
    fewer = contents(list(dealt(np.arange(rows), rows, most, key(number), parts=parts)))
    more = contents(list(dealt(np.arange(rows + 1), rows + 1, most, key(number), parts=parts)))
    gone = [rows_of for name, rows_of in fewer.items() if more.get(name) != rows_of]
    new = [rows_of for name, rows_of in more.items() if fewer.get(name) != rows_of]
    assert len(gone) <= 1
    assert len(new) <= 2
    assert sorted(sum(new, ())) == sorted([*sum(gone, ()), rows])


@pytest.mark.parametrize("others", [1, 50])
def test_a_units_coin_is_its_own(others: int) -> None:
    small, large = (poisson(None, rows, Fraction(1, 4), key(7)) for rows in (100, 100 + others))
    np.testing.assert_array_equal(small, large[large < 100])


def test_another_key_takes_others() -> None:
    one, two = (set(poisson(None, 1000, Fraction(1, 2), key(number)).tolist()) for number in (1, 2))
    assert 150 < len(one & two) < 350


@pytest.mark.parametrize("expected", [0.2, 5, 100, 1000, 1024, 1100, 2048, 5000, 100_000])
def test_chunks_are_nearly_full_and_seldom_split(expected: float) -> None:
    parts, rows = dealing(expected, 1152)
    assert rows <= 1152
    assert parts == 1 or expected / parts > 0.45 * rows
    assert expected / parts + 2.5 * (expected / parts) ** 0.5 <= rows
    assert expected < 900 or expected / parts / rows > 0.75


def test_negative_unit_numbers_are_refused() -> None:
    with pytest.raises(MechanismError, match="numbered from 0"):
        poisson(np.array([0, -1]), 2, Fraction(1, 2), key(0))
