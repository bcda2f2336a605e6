"""Profiles: parts of levels and values inside them, exact where bins are single values, and between their ends elsewhere."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.answering.profiles import Region, inside_of, kept, shaken_kept, values, whole
from privsynth.schema import Schema
from privsynth.schema.levels import levels

SCHEMA = Schema.loads(
    """
[table]
name = "t"
[columns.x]
kind = "integer"
lower = 0
upper = 99
missing = ["?"]
atoms = [7]
bins = {method = "uniform", count = 10}
[columns.single]
kind = "integer"
lower = 1
upper = 5
bins = {method = "uniform", count = 5}
"""
)
X, SINGLE = SCHEMA.modelled_column("x"), SCHEMA.modelled_column("single")
regions = st.tuples(st.integers(0, 99), st.integers(0, 99)).map(sorted)


def even(column):
    layout = levels(column)
    counts = np.append(np.diff(layout.ranks), np.ones(layout.size - layout.bins)).astype(float)
    return inside_of(column, counts)


@given(regions)
def test_of_even_counts_a_condition_keeps_as_much_as_it_admits(ends):
    low, high = ends
    region = Region(lower=low, upper=high)
    layout = levels(X)
    found = kept(region, even(X))
    every = np.arange(100)
    admitted = np.bincount(layout.codes(every), weights=region.admits(every), minlength=layout.size)
    sizes = np.bincount(layout.codes(every), minlength=layout.size)
    np.testing.assert_allclose(found[:-1], admitted[:-1] / sizes[:-1], atol=0.02)
    assert found[-1] == 0


@settings(max_examples=30)
@given(regions, st.lists(st.floats(0, 1e6), min_size=12, max_size=12))
def test_a_region_and_the_rest_are_everything_whatever_lies_inside(ends, counts):
    low, high = ends
    inside = inside_of(X, np.array(counts))
    both = [kept(Region(lower=a, upper=b), inside) for a, b in ((0, low - 1), (low, high), (high + 1, 99)) if a <= b]
    np.testing.assert_allclose(sum(both)[:-1], 1.0, atol=1e-9)
    points = sum(kept(Region(lower=0, upper=99, only=frozenset({one})), inside) for one in range(100))
    np.testing.assert_allclose(points[:-1], 1.0, atol=1e-9)


def test_values_of_single_ones_are_exact():
    region = whole(SINGLE, missing=False)
    mean, square = values(SINGLE, region, even(SINGLE))
    np.testing.assert_allclose(mean, [1, 2, 3, 4, 5])
    np.testing.assert_allclose(square, [1, 4, 9, 16, 25])


@given(st.lists(st.floats(0, 1e6), min_size=12, max_size=12), st.integers(0, 1000))
def test_means_stay_inside_their_bins_however_they_are_shaken(counts, seed):
    inside = inside_of(X, np.array(counts)).shaken(np.random.default_rng(seed))
    mean, square = values(X, whole(X, missing=False), inside)
    first, last = levels(X).span(np.arange(levels(X).size - 1))
    assert ((first - 1e-9 <= mean[:-1]) & (mean[:-1] <= last + 1e-9)).all()
    assert (square >= mean**2 - 1e-9).all()


def test_where_counts_fall_the_mean_of_a_bin_is_below_its_middle():
    counts = np.append(1000.0 * 0.5 ** np.arange(10), [1.0, 1.0])
    mean, _ = values(X, whole(X, missing=False), inside_of(X, counts))
    first, last = levels(X).span(np.arange(10))
    assert (mean[:10] < (first + last) / 2).all()


@given(st.lists(st.sampled_from([0.0, 0.3, 1.0]), min_size=1, max_size=5), st.integers(0, 99))
def test_only_levels_that_are_cut_are_shaken(share, seed):
    share = np.array(share)
    found = shaken_kept(share, np.random.default_rng(seed))
    np.testing.assert_array_equal(found[share != 0.3], share[share != 0.3])
    assert ((found >= 0) & (found <= 1)).all()


def test_nothing_listed_keeps_nothing():
    empty = Region(lower=0, upper=99, only=frozenset({3}), without=frozenset({3}))
    assert kept(empty, even(X)).sum() == pytest.approx(0)
