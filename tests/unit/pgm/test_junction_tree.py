"""Junction trees: they cover every clique, keep the running intersection, and size is told before it is paid."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.domain import Domain
from privsynth.errors import FitError
from privsynth.pgm.junction_tree import JunctionTree, Triangulation, junction_tree
from tests.models import random_cliques


def random_tree(seed: int) -> tuple[Domain, tuple[tuple[str, ...], ...], JunctionTree]:
    rng = np.random.default_rng(seed)
    domain = Domain(tuple("abcdefgh"), tuple(int(size) for size in rng.integers(1, 6, 8)))
    cliques = random_cliques(rng, domain, most=10)
    return domain, cliques, junction_tree(domain, cliques)


@settings(max_examples=100)
@given(seed=st.integers(0, 10**6))
def test_every_clique_has_a_holder_and_every_attribute_one_connected_subtree(seed: int) -> None:
    domain, cliques, tree = random_tree(seed)
    for clique in [*cliques, *((name,) for name in domain.attributes)]:
        assert set(clique) <= set(tree.cliques[tree.holder(clique)])
    assert tree.parents[0] == -1
    for index, parent in enumerate(tree.parents[1:], start=1):
        assert 0 <= parent < index
        shared = set(tree.cliques[index]) & set(tree.cliques[parent])
        assert set(tree.separators[index]) == shared
        earlier = set().union(*map(set, tree.cliques[:index]))
        assert set(tree.cliques[index]) & earlier == shared
    for one, two in itertools.permutations(tree.cliques, 2):
        assert not set(one) <= set(two)


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6))
def test_the_price_of_one_more_clique_is_the_size_of_the_tree_with_it(seed: int) -> None:
    domain, cliques, tree = random_tree(seed)
    triangulation = Triangulation(domain, cliques)
    assert triangulation.cells == tree.cells
    for pair in itertools.combinations(domain.attributes, 2):
        assert triangulation.cells_with(pair) == junction_tree(domain, [*cliques, pair]).cells


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6))
def test_whether_a_clique_fits_is_told_by_its_price(seed: int) -> None:
    domain, cliques, _ = random_tree(seed)
    triangulation = Triangulation(domain, cliques)
    for size in (1, 2, 3):
        for clique in itertools.combinations(domain.attributes, size):
            price = triangulation.cells_with(clique)
            assert not triangulation.fits(clique, price - 1)
            assert triangulation.fits(clique, price)
    assert Triangulation(domain, cliques).fits(domain.attributes, domain.cells(domain.attributes))


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6))
def test_a_tree_that_grew_is_not_larger_than_one_by_elimination(seed: int) -> None:
    domain, cliques, _ = random_tree(seed)
    *first, last = cliques
    grown = Triangulation(domain, first)
    eliminated = grown._cells(grown._eliminated(grown._mask(last)))
    if grown.add(last):
        assert grown.cells <= eliminated


def test_a_ring_is_closed_by_its_cheapest_chords_whatever_was_eliminated_before() -> None:
    """Around the ring abcdef all attributes but `a` are large: `a` is joined to each of them."""
    domain = Domain(tuple("abcdef"), (2, 9, 9, 9, 9, 9))
    path = Triangulation(domain, [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "f")])
    assert path.cells_with(("a", "f")) == 4 * 2 * 9 * 9
    path.add(("a", "f"))
    assert sorted(path.tree().cliques) == [("a", "b", "c"), ("a", "c", "d"), ("a", "d", "e"), ("a", "e", "f")]
    assert not path.add(("a", "d"))


def test_two_parts_are_joined_by_one_clique() -> None:
    domain = Domain(tuple("abcdef"), (2, 3, 4, 5, 6, 7))
    parts = Triangulation(domain, [("a", "b"), ("c", "d", "e")])
    assert parts.cells == 6 + 120 + 7
    assert parts.cells_with(("a", "d")) == 6 + 120 + 7 + 10
    assert parts.cells_with(("f", "d")) == 6 + 120 + 35


def test_a_chain_is_not_filled_in_and_a_square_gets_one_chord() -> None:
    domain = Domain(tuple("abcd"), (2, 3, 4, 5))
    chain = junction_tree(domain, [("a", "b"), ("b", "c"), ("c", "d")])
    assert sorted(chain.cliques) == [("a", "b"), ("b", "c"), ("c", "d")]
    assert chain.cells == 6 + 12 + 20
    assert chain.megabytes == pytest.approx(38 * 8 / 2**20)
    square = junction_tree(domain, [("a", "b"), ("b", "c"), ("c", "d"), ("a", "d")])
    assert sorted(square.cliques) == [("a", "b", "c"), ("a", "c", "d")]


def test_attributes_in_no_clique_stand_alone_and_nothing_at_all_is_a_tree_too() -> None:
    lonely = junction_tree(Domain(("a", "b"), (2, 3)), [("a",)])
    assert sorted(lonely.cliques) == [("a",), ("b",)]
    assert lonely.separators == ((), ())
    empty = junction_tree(Domain((), ()), [])
    assert (empty.cliques, empty.parents) == (((),), (-1,))


def test_a_clique_that_no_table_holds_has_no_holder() -> None:
    tree = junction_tree(Domain(("a", "b"), (2, 3)), [])
    with pytest.raises(FitError, match="holds no table"):
        tree.holder(("a", "b"))
