"""Domains: set algebra on names, and what is known of levels goes along with their attributes."""

import numpy as np
import pytest

from privsynth.domain import Domain, Impossible, LevelFacts
from privsynth.errors import SchemaError

A, B = LevelFacts(ordered=3), LevelFacts(parents=(0, 1, 1, 0))
TABLE = np.array([[True, False, False, False], [False, False, True, False], [False, False, False, True]])
AB = Impossible.of(("a", "b"), TABLE)
DOMAIN = Domain(("a", "b", "c"), (3, 4, 2), (A, B, LevelFacts()), (AB,))


def test_what_is_known_is_found_by_name():
    assert DOMAIN.fact("a") == A
    assert DOMAIN.fact("b").parents == (0, 1, 1, 0)
    assert DOMAIN.fact("c") == LevelFacts() == Domain.from_mapping({"c": 2}).fact("c")
    with pytest.raises(SchemaError, match='no attribute "z"'):
        DOMAIN.fact("z")
    with pytest.raises(SchemaError, match='no attribute "z"'):
        Domain.from_mapping({"c": 2}).fact("z")


def test_tables_of_impossible_cells_are_unpacked_as_they_were_packed():
    assert AB.table(DOMAIN).dtype == np.bool_
    assert AB.table(DOMAIN).tolist() == TABLE.tolist()
    assert len(AB.mask) == 2
    rng = np.random.default_rng(0)
    wide = rng.random((5, 7, 3)) < 0.4
    domain = Domain.from_mapping({"x": 5, "y": 7, "z": 3})
    assert (Impossible.of(("x", "y", "z"), wide).table(domain) == wide).all()


def test_facts_that_say_nothing_are_no_facts():
    plain = Domain.from_mapping({"a": 3, "b": 4})
    assert Domain(("a", "b"), (3, 4), (LevelFacts(), LevelFacts())) == plain
    assert hash(Domain(("a", "b"), (3, 4), (LevelFacts(), LevelFacts()))) == hash(plain)
    assert plain.facts == ()
    assert Domain(("a", "b"), (3, 4), (A, LevelFacts())) != plain


def test_projecting_keeps_facts_and_the_tables_that_stay_inside():
    turned = DOMAIN.project(("b", "a"))
    assert turned.facts == (B, A)
    assert turned.impossible == (AB,)
    assert turned.impossible[0].table(turned).tolist() == TABLE.tolist(), "axes stay in the order of its own clique"
    assert DOMAIN.project(("a", "c")) == Domain(("a", "c"), (3, 2), (A, LevelFacts()))
    assert DOMAIN.project(("c",)) == Domain(("c",), (2,))
    assert DOMAIN.project(("a", "b")) == Domain(("a", "b"), (3, 4), (A, B), (AB,))
    assert DOMAIN.project(("a", "c")).impossible == ()
    assert DOMAIN.project(DOMAIN.attributes) == DOMAIN


def test_merging_joins_what_is_known():
    pair = Impossible.of(("c", "d"), np.eye(2, 5, dtype=bool))
    other = Domain(("c", "d"), (2, 5), (LevelFacts(ordered=2), LevelFacts(ordered=5)), (pair,))
    merged = DOMAIN.merge(other)
    assert merged.attributes == ("a", "b", "c", "d")
    assert merged.facts == (A, B, LevelFacts(ordered=2), LevelFacts(ordered=5))
    assert merged.impossible == (AB, pair)
    assert DOMAIN.merge(DOMAIN) == DOMAIN
    assert DOMAIN.merge(Domain(("a",), (3,), (LevelFacts(ordered=1),))).fact("a") == A, "this one's comes first"
    plain = Domain.from_mapping({"a": 3, "d": 5})
    assert plain.merge(DOMAIN).facts == (A, LevelFacts(), B, LevelFacts())
    assert plain.merge(Domain.from_mapping({"e": 2})).facts == ()
    with pytest.raises(SchemaError, match='"a" has two sizes'):
        DOMAIN.merge(Domain.from_mapping({"a": 4}))


@pytest.mark.parametrize(
    "made",
    [
        lambda: LevelFacts(ordered=-1),
        lambda: LevelFacts(parents=(0, 2)),
        lambda: LevelFacts(parents=(-1, 0)),
        lambda: Domain(("a",), (3,), (LevelFacts(ordered=4),)),
        lambda: Domain(("a",), (3,), (LevelFacts(parents=(0, 1)),)),
        lambda: Domain(("a", "b"), (3, 3), (LevelFacts(ordered=1),)),
        lambda: Domain(("a", "b"), (3, 4), impossible=(Impossible(clique=("a", "b"), mask=b"1"),)),
        lambda: Domain(("a", "c"), (3, 4), impossible=(AB,)),
        lambda: Impossible.of(("a",), np.ones(3, dtype=bool)),
        lambda: Impossible.of(("a", "a"), np.ones((3, 3), dtype=bool)),
        lambda: Domain(("a", "a"), (3, 3)),
        lambda: Domain(("a",), (0,)),
        lambda: Domain(("a",), (1, 2)),
    ],
)
def test_what_does_not_fit_is_refused(made):
    with pytest.raises(SchemaError):
        made()
