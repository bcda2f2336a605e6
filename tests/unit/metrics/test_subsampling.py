"""The k-marginal score, and that a subsample of known size is found to be of that size."""

import numpy as np
import pytest

from privsynth.dataset import Dataset
from privsynth.metrics import subsampling
from tests.unit.metrics.test_marginals import DOMAIN, by_hand, drawn

CLIQUES = [("a", "b", "c"), ("a", "b", "d"), ("a", "c", "d"), ("b", "c", "d")]


def test_the_score_is_a_thousand_for_a_copy_and_falls_by_the_mean_error():
    real, other = drawn(500, 1), drawn(300, 2, slope=0.6)
    found = subsampling.k_marginal(real, other, rng=np.random.default_rng(0))
    mean = np.mean([by_hand(real, other, clique) for clique in CLIQUES])
    assert found.score == pytest.approx(1000 * (1 - mean))
    assert (found.sets, found.columns, found.fresh) == (4, 3, None)
    copy = subsampling.k_marginal(real, real, rng=np.random.default_rng(0))
    assert copy.score == 1000
    assert copy.share > 0.99


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_a_subsample_equals_a_subsample_of_its_size(share):
    real = drawn(6000, 1)
    shares = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        some = real.take(rng.permutation(real.rows)[: round(share * real.rows)])
        shares.append(subsampling.k_marginal(real, some, rng=rng).share)
    assert np.exp(np.mean(np.log(shares))) == pytest.approx(share, rel=0.25)


def test_an_interval_holds_its_share_and_a_worse_table_equals_a_smaller_one():
    real = drawn(5000, 1)
    near, far = drawn(5000, 2, slope=0.2), drawn(5000, 2, slope=1.5)
    better, worse = (subsampling.k_marginal(real, one, rng=np.random.default_rng(0)) for one in (near, far))
    assert better.score > worse.score
    assert better.share > worse.share
    for one in (better, worse):
        assert 0 < one.lower <= one.share <= one.upper <= 1


def test_a_holdout_gives_what_unused_records_score():
    real = drawn(4000, 1)
    found = subsampling.k_marginal(
        real, drawn(4000, 3, slope=1.5), holdout=drawn(4000, 2), rng=np.random.default_rng(0)
    )
    assert found.fresh is not None
    assert found.fresh > found.score
    assert found.to_json()["scoreOfUnusedRecords"] == round(found.fresh, 1)


def test_two_columns_have_pairs_alone():
    real = drawn(200, 1)
    narrow = Dataset(real.columns[:2], DOMAIN.project(("a", "b")))
    assert subsampling.k_marginal(narrow, narrow, rng=np.random.default_rng(0)).columns == 2
