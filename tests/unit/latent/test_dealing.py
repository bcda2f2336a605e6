"""Dealing: counts add up, lie near what is expected and are unbiased; nothing impossible is dealt; order is random."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.latent import dealing
from privsynth.latent.dealing import class_counts, deal, draw_independently, split_groups
from privsynth.latent.layout import Layout
from privsynth.latent.mixture import Mixture
from tests.mixtures import joint, random_mixture


class Marks(np.random.Generator):
    """A generator whose uniform numbers are told."""

    def __init__(self, told: float) -> None:
        super().__init__(np.random.PCG64(0))
        self.told = told

    def random(self) -> float:  # type: ignore[override]
        return self.told


@given(st.lists(st.floats(0, 10), min_size=1, max_size=12), st.integers(0, 1000), st.integers(0, 10**6))
def test_rows_are_split_to_within_one_of_their_expectation(weights: list[float], n: int, seed: int) -> None:
    given_weights = np.array(weights) + (0.0 if sum(weights) > 0.1 else 1.0)
    found = class_counts(given_weights, n, np.random.default_rng(seed))
    expected = given_weights / given_weights.sum() * n
    assert found.sum() == n
    assert np.abs(found - expected).max() < 1 + 1e-9
    assert not found[given_weights == 0].any()


def test_rows_are_split_without_bias() -> None:
    weights = np.array([0.5, 0.21, 0.19, 0.0, 0.1])
    rng = np.random.default_rng(0)
    mean = np.mean([class_counts(weights, 7, rng) for _ in range(4000)], axis=0)
    np.testing.assert_allclose(mean, 7 * weights, atol=0.035)


@pytest.mark.parametrize("n", [1, 3, 1000, 12_345_678])
def test_a_last_class_without_weight_gets_no_row_even_if_sums_round(n: int) -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        weights = np.append(rng.random(200), [0.0, 0.0])
        for told in (0.0, 1 - 2**-53):
            found = class_counts(weights, n, Marks(told))
            assert found.sum() == n
            assert not found[200:].any()
            assert found.min() >= 0


@settings(max_examples=40)
@given(
    st.integers(0, 10**6),
    st.lists(st.integers(1, 6), min_size=1, max_size=4),
    st.lists(st.integers(0, 40), min_size=1, max_size=6),
)
def test_each_class_gets_its_rows_and_levels_near_their_expectation(
    seed: int, sizes: list[int], rows: list[int]
) -> None:
    mixture = random_mixture(seed, sizes, len(rows))
    given = mixture.given
    given[0] = 0.0 if sizes[0] > 1 else 1.0
    given /= np.add.reduceat(given, mixture.layout.starts)[mixture.layout.owner]
    found = deal(mixture, np.array(rows), np.random.default_rng(seed))
    which = np.repeat(np.arange(len(rows)), rows)
    for attribute, codes in enumerate(found):
        assert codes.dtype == np.uint8
        assert codes.shape == (sum(rows),)
        table = np.zeros((sizes[attribute], len(rows)))
        np.add.at(table, (codes, which), 1)
        expected = given[mixture.layout.part(attribute)] * np.array(rows)
        np.testing.assert_array_equal(table.sum(axis=0), rows)
        assert np.abs(table - expected).max() < 2.5
        assert np.abs(table.sum(axis=1) - expected.sum(axis=1)).max() < 2.5
        assert not table[expected == 0].any()


def test_errors_do_not_add_up_over_classes() -> None:
    """Two hundred classes of three rows each: every level's count in all stays within two of what is expected."""
    mixture = random_mixture(0, (3, 5), 200)
    rows = np.full(200, 3)
    worst = []
    for seed in range(20):
        codes = deal(mixture, rows, np.random.default_rng(seed))
        for attribute, column in enumerate(codes):
            expected = (mixture.given[mixture.layout.part(attribute)] * rows).sum(axis=1)
            worst.append(np.abs(np.bincount(column, minlength=len(expected)) - expected).max())
    assert max(worst) < 2.5
    assert np.mean(worst) < 1.2


def test_levels_are_dealt_nearly_without_bias_and_attributes_apart() -> None:
    """Rounding biases a class by less than a tenth of a record, and all classes together by less than a quarter."""
    mixture = random_mixture(1, (2, 3), 20)
    rows, rng, draws = np.full(20, 5), np.random.default_rng(0), 500
    counts, both = np.zeros((5, 20)), np.zeros((2, 3))
    which = np.repeat(np.arange(20), rows)
    for _ in range(draws):
        one, two = deal(mixture, rows, rng)
        np.add.at(counts, (one, which), 1)
        np.add.at(counts, (two + 2, which), 1)
        np.add.at(both, (one, two), 1)
    bias = counts / draws - mixture.given * rows
    assert np.abs(bias).max() < 0.1
    assert np.abs(bias.sum(axis=1)).max() < 0.25
    np.testing.assert_allclose(both / draws, (mixture.given[:2] * rows) @ mixture.given[2:].T, atol=0.4)


def test_whole_numbers_come_by_largest_remainders() -> None:
    layout = Layout((4, 2))
    given = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.5])
    wanted = np.array([0.7, 1.1, 2.9, 2.4, 3.6, 3.4])
    assert dealing._rounded(wanted, given, 7, layout).tolist() == [1, 1, 3, 2, 4, 3]
    ruled_out = np.array([0.0, 0.2, 0.8])
    assert dealing._rounded(np.array([0.9, 2.4, 1.9]), ruled_out, 5, Layout((3,))).tolist() == [0, 3, 2]


@pytest.mark.parametrize(
    ("wanted", "given", "expected"),
    [
        ([3.2, 4.1, 0.0], [0.5, 0.5, 0.0], [2, 3, 0]),
        ([0.0, 0.1, 0.0], [0.5, 0.5, 0.0], [2, 3, 0]),
        ([1.0, 1.0, 0.0], [0.5, 0.5, 0.0], [2, 3, 0]),
        ([0.0, 0.1, 0.2], [0.5, 0.3, 0.2], [2, 2, 1]),
        ([9.0, 0.0, 0.0], [0.2, 0.8, 0.0], [1, 4, 0]),
    ],
)
def test_counts_that_carrying_has_taken_too_far_are_made_anew(
    wanted: list[float], given: list[float], expected: list[int]
) -> None:
    assert dealing._rounded(np.array(wanted), np.array(given), 5, Layout((3,))).tolist() == expected


def test_rows_of_a_class_come_in_random_order() -> None:
    mixture = Mixture(layout=Layout((2, 2)), given=np.full((4, 2), 0.5), weights=np.full(2, 0.5))
    one, two = deal(mixture, np.array([1000, 1000]), np.random.default_rng(0))
    for column in (one, two):
        assert 400 < np.count_nonzero(np.diff(column[:1000].astype(int))) < 600
        assert abs(column[:100].mean() - 0.5) < 0.2
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.1


def test_independent_draws_follow_the_mixture_and_vary_as_chance_does() -> None:
    mixture = random_mixture(2, (2, 3, 4))
    rng = np.random.default_rng(0)
    n, tables = 400, []
    for _ in range(300):
        codes = draw_independently(mixture, n, rng)
        assert [column.dtype for column in codes] == [np.uint8] * 3
        table = np.zeros((2, 3, 4))
        np.add.at(table, tuple(codes), 1)
        tables.append(table)
    expected = n * joint(mixture)
    variance = expected * (1 - expected / n)
    mean, spread = np.mean(tables, axis=0), np.var(tables, axis=0)
    assert np.abs(mean - expected).max() < 5 * math.sqrt(variance.max() / 300)
    np.testing.assert_allclose(spread.sum(), variance.sum(), rtol=0.1)


def test_independent_draws_stay_inside_where_probabilities_round_below_one() -> None:
    mixture = Mixture(layout=Layout((2, 300)), given=np.full((302, 1), 0.0), weights=np.ones(1))
    mixture.given[0], mixture.given[2] = 0.5, 0.25
    one, two = draw_independently(mixture, 100, np.random.default_rng(0))
    assert set(one.tolist()) == {0, 1}
    assert set(two.tolist()) == {0, 299}
    assert two.dtype == np.uint16


def test_groups_are_shared_out_in_proportion_and_alone_ones_keep_their_level() -> None:
    group_of = np.array([0, 1, 0, 2, 1, 0])
    within = np.array([0.5, 0.3, 0.3, 1.0, 0.7, 0.2])
    rng = np.random.default_rng(0)
    groups = rng.permutation(np.repeat(np.arange(3, dtype=np.uint8), [100, 10, 30]))
    levels = split_groups(groups, group_of, within, rng)
    np.testing.assert_array_equal(group_of[levels], groups)
    assert np.bincount(levels).tolist() == [50, 3, 30, 30, 7, 20]
    assert levels.dtype == np.uint8
    order = levels[groups == 0]
    assert np.count_nonzero(np.diff(order.astype(int))) > 40
    again = split_groups(groups, group_of, within, rng)
    assert not np.array_equal(again, levels)


def test_a_level_without_a_share_is_never_dealt_and_no_rows_are_no_rows() -> None:
    group_of, within = np.array([0, 0, 1]), np.array([1.0, 0.0, 1.0])
    rng = np.random.default_rng(0)
    assert split_groups(np.zeros(50, dtype=np.uint8), group_of, within, rng).tolist() == [0] * 50
    assert split_groups(np.zeros(0, dtype=np.uint8), group_of, within, rng).size == 0
    assert split_groups(np.zeros(3, dtype=np.uint8), np.arange(300), np.ones(300), rng).dtype == np.uint16


def test_independent_draws_leave_the_number_of_each_class_to_chance() -> None:
    mixture = Mixture(layout=Layout((2,)), given=np.eye(2), weights=np.array([0.3, 0.7]))
    rng = np.random.default_rng(0)
    ones = [int(draw_independently(mixture, 100, rng)[0].sum()) for _ in range(2000)]
    assert np.mean(ones) == pytest.approx(70, abs=0.5)
    assert np.var(ones) == pytest.approx(21, rel=0.15)
