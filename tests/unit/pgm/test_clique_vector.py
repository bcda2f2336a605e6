"""Clique vectors: arithmetic on one array, and tables that are views of it."""

from __future__ import annotations

import numpy as np
import pytest

from privsynth.domain import Domain
from privsynth.errors import FitError
from privsynth.pgm.clique_vector import CliqueVector

DOMAIN = Domain(("a", "b"), (2, 3))


def test_tables_are_views_in_the_order_of_the_cliques() -> None:
    vector = CliqueVector(DOMAIN, (("b",), ("a", "b")), np.arange(9.0))
    tables = vector.tables()
    np.testing.assert_array_equal(tables["b",], [0, 1, 2])
    np.testing.assert_array_equal(tables["a", "b"], [[3, 4, 5], [6, 7, 8]])
    tables["b",][0] = 7
    assert vector.flat[0] == 7


def test_arithmetic_is_that_of_vectors() -> None:
    one = CliqueVector.of(DOMAIN, {("a",): np.array([1.0, 2.0]), ("b",): np.ones(())})
    two = one * 3.0
    np.testing.assert_array_equal((one + two - one).flat, two.flat)
    assert one.dot(two) == 3 * (1 + 4 + 3)


def test_other_cliques_keep_what_they_share() -> None:
    vector = CliqueVector.of(DOMAIN, {("a",): np.array([1.0, 2.0]), ("b",): np.ones(3)})
    moved = vector.on([("a", "b"), ("a",)])
    np.testing.assert_array_equal(moved.flat, [0, 0, 0, 0, 0, 0, 1, 2])
    assert CliqueVector.of(DOMAIN, {}).flat.shape == (0,)


def test_a_vector_refuses_an_array_of_another_length() -> None:
    with pytest.raises(FitError, match="2 cells"):
        CliqueVector(DOMAIN, (("a",),), np.zeros(3))
