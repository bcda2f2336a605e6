"""Contractions: groups cover every factor, and products and sums equal numpy's whichever way they are planned."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.pgm.contraction import Part, Product, best_groups, reduction, spread


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), axes=st.integers(1, 11))
def test_every_factor_lies_within_two_of_the_three_groups(seed: int, axes: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = tuple(int(size) for size in rng.integers(1, 6, axes))
    factors = frozenset(
        frozenset(int(a) for a in rng.choice(axes, int(rng.integers(1, min(4, axes) + 1)), replace=False))
        for _ in range(5)
    )
    groups = best_groups(sizes, factors)
    assert sorted(groups.x + groups.y + groups.z) == list(range(axes))
    for factor in factors:
        assert any(factor <= set(span) for span in (groups.left, groups.right, groups.cross))


def test_pairs_of_a_clique_of_four_never_need_its_whole_table() -> None:
    pairs = frozenset(frozenset(pair) for pair in itertools.combinations(range(4), 2))
    groups = best_groups((20, 20, 20, 20), pairs)
    assert max(math.prod([20] * len(span)) for span in (groups.left, groups.right, groups.cross)) == 20**3


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6))
def test_sums_go_to_the_wanted_axes_in_the_wanted_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    axes = tuple(int(a) for a in rng.permutation(int(rng.integers(1, 6))))
    table = rng.standard_normal(tuple(int(size) for size in rng.integers(1, 4, len(axes))))
    onto = tuple(int(a) for a in rng.permutation(rng.choice(axes, int(rng.integers(0, len(axes) + 1)), replace=False)))
    out = np.empty([table.shape[axes.index(axis)] for axis in onto])
    for step in reduction(table, axes, onto, out):
        step()
    np.testing.assert_allclose(out, np.einsum(table, list(axes), list(onto)), atol=1e-12)


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), factors=st.integers(0, 5))
def test_products_multiply_all_factors_and_sum_back_onto_each(seed: int, factors: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = tuple(int(size) for size in rng.integers(1, 5, 4))
    axes = tuple(int(a) for a in rng.permutation(4))
    parts = []
    for _ in range(factors):
        mine = tuple(int(a) for a in rng.choice(4, int(rng.integers(0, 4)), replace=False))
        shape = [sizes[axis] for axis in mine]
        parts.append(Part(mine, rng.standard_normal(shape), np.empty(shape)))
    product = Product(axes, sizes, parts)
    expected = np.ones([sizes[axis] for axis in axes])
    for part in parts:
        expected = expected * spread(part.factor, part.axes, axes)
    for _ in range(2):
        for step in product.multiply():
            step()
        np.testing.assert_allclose(product.value, expected, atol=1e-12)
        product.value.fill(np.nan)
    product.belief[...] = rng.standard_normal(product.belief.shape)
    for step in product.sum_back():
        step()
    for part in parts:
        np.testing.assert_allclose(part.result, np.einsum(product.belief, list(axes), list(part.axes)), atol=1e-12)
    assert product.empty == (not parts)


def test_a_factor_is_spread_with_its_axes_in_the_tables_order() -> None:
    factor = np.arange(6.0).reshape(2, 3)
    assert spread(factor, (4, 1), (1, 2, 4)).shape == (3, 1, 2)
    assert spread(factor, (4, 1), (1, 2, 4))[2, 0, 1] == factor[1, 2]
    with pytest.raises(ValueError):
        spread(factor, (0, 1), (1,))
