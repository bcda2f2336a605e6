"""Orthogonal arrays and the canaries made of them: every pair once, ordinary records never in a canary's cells."""

import numpy as np
import pytest

from privsynth.canaries import Canaries, orthogonal_array, prime_power
from privsynth.dataset import Dataset
from privsynth.domain import Domain
from privsynth.errors import AuditError


@pytest.mark.parametrize("levels", [2, 3, 4, 5, 7, 8, 9, 16, 25, 27])
def test_each_pair_of_columns_shows_each_pair_of_levels_exactly_once(levels):
    array = orthogonal_array(levels, levels + 1)
    assert array.shape == (levels**2, levels + 1)
    for first in range(levels + 1):
        for second in range(first):
            assert len(np.unique(array[:, first] * levels + array[:, second])) == levels**2
    assert (array[:, None] == array[None]).sum(axis=2)[~np.eye(levels**2, dtype=bool)].max() == 1


def test_sizes_for_which_there_is_no_such_array_are_refused():
    for levels, columns in ((6, 3), (1, 2), (5, 7), (5, 1)):
        with pytest.raises(AuditError, match=f"found {levels} levels and {columns} columns"):
            orthogonal_array(levels, columns)
    assert [size for size in range(1, 28) if prime_power(size)] == [
        2, 3, 4, 5, 7, 8, 9, 11, 13, 16, 17, 19, 23, 25, 27,
    ]  # fmt: skip
    assert prime_power(27) == (3, 3)


def _dataset(domain, codes):
    return Dataset.from_columns({name: codes[:, place] for place, name in enumerate(domain.attributes)}, domain)


def test_a_copied_canary_scores_for_itself_alone_and_ordinary_records_for_none():
    domain = Domain(("a", "three", "b", "four", "c", "d"), (10, 3, 12, 4, 9, 30))
    rng = np.random.default_rng(1)
    canaries = Canaries.of(domain, rng=rng)
    assert canaries.factors == (("d",), ("b",), ("a", "c"), ("four", "three"))
    assert canaries.levels == 11
    assert canaries.count == 121
    score = canaries.score(_dataset(domain, canaries.codes[[5, 5, 9]]))
    assert score[5] == 2 * 6
    assert score[9] == 6
    assert np.count_nonzero(score) == 2
    ordinary = canaries.ordinary(2000, rng=rng)
    assert not canaries.score(_dataset(domain, ordinary)).any()
    varied = [np.unique(ordinary[:, place]).size for place in range(6)]
    assert varied == [2, 3, 12, 4, 9, 12]


def test_columns_in_no_factor_and_levels_beyond_the_canaries_say_nothing():
    domain = Domain(("wide", "two", "high"), (50, 2, 50))
    rng = np.random.default_rng(1)
    canaries = Canaries.of(domain, rng=rng)
    assert canaries.factors == (("wide",), ("high",))
    assert canaries.levels == 49
    assert set(canaries.codes[:, 1]) == set(canaries.ordinary(50, rng=rng)[:, 1]) == {0, 1}
    assert not canaries.score(_dataset(domain, np.array([[0, 0, 49], [7, 1, 0], [0, 1, 0]]))).any()
    other = canaries.codes[[7]] * [1, 0, 1]
    assert canaries.score(_dataset(domain, other))[7] == 1


def test_levels_beyond_the_canaries_count_for_nobody():
    domain = Domain(("a", "b", "c", "d"), (30, 30, 30, 30))
    canaries = Canaries.of(domain, rng=np.random.default_rng(1), most_levels=16)
    assert canaries.levels == 16
    assert not canaries.score(_dataset(domain, np.full((9, 4), 20))).any()
    half = canaries.codes[[3]] * [1, 1, 0, 0] + [0, 0, 29, 17]
    assert canaries.score(_dataset(domain, half)).sum() == 1


@pytest.mark.parametrize(
    ("sizes", "factors", "levels"),
    [
        ((3, 3), 2, 2),
        ((2, 2), None, None),
        ((2, 2, 2, 2), 2, 3),
        ((2,) * 20, 4, 31),
        ((50, 2, 2, 2), 2, 7),
        ((20, 10, 7, 4, 3, 2), 3, 19),
        ((8, 8, 8, 8, 8, 8, 8, 8, 8, 8), 5, 61),
        ((300,) * 200, 65, 64),
        ((9,), None, None),
    ],
)
def test_as_many_levels_as_leave_four_factors_or_fewer_where_they_are_small(sizes, factors, levels):
    domain = Domain.from_mapping({f"c{n}": size for n, size in enumerate(sizes)})
    found = Canaries.of(domain, rng=np.random.default_rng(1))
    assert (found and len(found.factors), found and found.levels) == (factors, levels)
