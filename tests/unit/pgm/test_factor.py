"""Factors: products and sums by name agree with numpy on numbered axes."""

from __future__ import annotations

import numpy as np
import pytest

from privsynth.domain import Domain
from privsynth.errors import FitError
from privsynth.pgm.factor import Factor

AB, BC = Domain(("a", "b"), (2, 3)), Domain(("c", "b"), (4, 3))
rng = np.random.default_rng(0)
ONE, TWO = Factor(AB, rng.standard_normal((2, 3))), Factor(BC, rng.standard_normal((4, 3)))


def test_products_and_sums_align_axes_by_name() -> None:
    assert (ONE * TWO).domain == Domain(("a", "b", "c"), (2, 3, 4))
    np.testing.assert_allclose((ONE * TWO).values, np.einsum("ab,cb->abc", ONE.values, TWO.values))
    np.testing.assert_allclose((ONE + TWO).values, ONE.values[:, :, None] + TWO.values.T[None])
    np.testing.assert_allclose((ONE * TWO).values, (TWO * ONE).project(("a", "b", "c")).values)


@pytest.mark.parametrize("clique", [(), ("c",), ("c", "a"), ("b", "c", "a")])
def test_projections_sum_over_the_other_attributes(clique: tuple[str, ...]) -> None:
    product = ONE * TWO
    expected = np.einsum(f"abc->{''.join(clique)}", product.values)
    np.testing.assert_allclose(product.project(clique).values, expected)
    np.testing.assert_allclose(
        Factor(product.domain, product.values).log_project(clique).exp().values,
        np.einsum(f"abc->{''.join(clique)}", np.exp(product.values)),
    )


def test_log_projection_survives_large_numbers_and_impossible_slices() -> None:
    values = np.array([[-np.inf, -np.inf], [800.0, 800.0], [-900.0, -np.inf]])
    found = Factor(Domain(("a", "b"), (3, 2)), values).log_project(("a",)).values
    np.testing.assert_allclose(found, [-np.inf, 800 + np.log(2), -900])
    nowhere = Factor(Domain(("a",), (2,)), np.full(2, -np.inf)).log_project(())
    assert nowhere.values == -np.inf


def test_conditionals_sum_to_one_and_leave_empty_states_at_zero() -> None:
    table = Factor(AB, np.array([[1.0, 3.0, 0.0], [0.0, 0.0, 0.0]]))
    np.testing.assert_allclose(table.conditional(("a",)).values, [[0.25, 0.75, 0], [0, 0, 0]])


def test_a_factor_refuses_another_shape_and_an_expansion_that_loses_attributes() -> None:
    with pytest.raises(FitError, match="cannot hold"):
        Factor(AB, np.zeros((3, 2)))
    with pytest.raises(FitError, match="does not fit"):
        ONE.expand(BC)
