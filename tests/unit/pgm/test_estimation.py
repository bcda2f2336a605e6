"""Estimation: weights are inverse variances, descent reaches the optimum, and fitting stops before it fits noise."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.domain import Clique, Domain
from privsynth.errors import FitError
from privsynth.measurement import Event, Measurement
from privsynth.pgm.clique_vector import CliqueVector
from privsynth.pgm.estimation import (
    Problem,
    estimate_total,
    fit_until_flat,
    fit_until_noise,
    independent_potentials,
    independent_start,
    observe,
    simplex,
)
from privsynth.pgm.marginal_oracle import MarginalOracle
from tests.models import joint, random_model

DOMAIN = Domain(("a", "b", "c"), (3, 4, 5))


def noisy(clique: Clique, values: npt.ArrayLike, sigma: int) -> Measurement:
    event = Event(
        stage="test",
        mechanism="rounded-gaussian",
        rho=Fraction(1, 2 * sigma**2),
        sensitivity_squared=1,
        sigma_squared=Fraction(sigma**2),
    )
    return Measurement(clique=clique, values=np.asarray(values, dtype=np.int64), event=event)


def problem(found: list[Measurement], total: float) -> tuple[Problem, CliqueVector]:
    seen = observe(DOMAIN, found)
    oracle = MarginalOracle(DOMAIN, [observation.clique for observation in seen])
    return Problem(oracle, seen, total), independent_start(DOMAIN, seen, total)


def test_repeated_measurements_are_joined_by_inverse_variance_in_the_domains_order() -> None:
    one = noisy(("b", "a"), np.full((4, 3), 10), 1)
    two = noisy(("a", "b"), np.full((3, 4), 20), 3)
    (seen,) = observe(DOMAIN, [one, two])
    assert seen.clique == ("a", "b")
    np.testing.assert_allclose(seen.values, (10 * 1 + 20 / 9) / (1 + 1 / 9))
    assert seen.precision == pytest.approx(1 + 1 / 9)


def test_a_table_over_groups_of_levels_is_refused() -> None:
    table = noisy(("a", "b"), np.full((3, 2), 10), 1)
    over_groups = replace(table, groups={"b": (0, 0, 1, 1)})
    with pytest.raises(FitError, match="over groups"):
        observe(DOMAIN, [over_groups])


def test_the_total_is_weighed_by_inverse_variance_and_at_least_one() -> None:
    found = [noisy(("a",), [30, 30, 30], 1), noisy(("a", "b"), np.full((3, 4), 10), 2)]
    assert estimate_total(found) == pytest.approx((90 / 3 + 120 / 48) / (1 / 3 + 1 / 48))
    assert estimate_total([noisy(("a",), [-30, 0, 0], 1)]) == 1.0
    assert estimate_total([]) == 1.0


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), total=st.sampled_from([1.0, 10.0, 1000.0]))
def test_the_nearest_table_is_the_values_less_a_level_cut_at_zero(seed: int, total: float) -> None:
    """The conditions of Karush, Kuhn and Tucker, which have one solution."""
    values = np.random.default_rng(seed).normal(0, 50, (2, 4))
    found = simplex(values, total)
    assert found.sum() == pytest.approx(total)
    assert (found >= 0).all()
    level = (values - found)[found > 0]
    assert np.ptp(level) < 1e-9
    assert (values[found == 0] <= level.max() + 1e-9).all()


def test_a_shared_attribute_is_weighed_by_the_inverse_of_the_variance() -> None:
    """Two pairs say different things about `a`; generalised least squares says what to make of it.

    A row sum of k cells has variance k sigma^2, so the pairs count 1/(4 * 2^2) to 1/(5 * 6^2). With weights 1/sigma the answer
    would be 20 counts away.
    """
    first, second = np.array([300, 300, 600]), np.array([500, 400, 300])
    found = [
        noisy(("a", "b"), np.outer(first, [0.25] * 4), 2),
        noisy(("a", "c"), np.outer(second, [0.2] * 5), 6),
        noisy(("a",), [400, 400, 400], 1000),
    ]
    task, start = problem(found, 1200.0)
    fit = fit_until_flat(task, start, iterations=5000, tolerance=0.0)
    weights = np.array([1 / (4 * 4), 1 / (5 * 36), 1e-6])
    expected = (weights[0] * first + weights[1] * second + weights[2] * 400) / weights.sum()
    np.testing.assert_allclose(fit.marginals.tables()["a", "b"].sum(axis=1), expected, rtol=1e-3)


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6))
def test_exact_tables_are_reached_from_independence(seed: int) -> None:
    model = random_model(seed, scale=0.7)
    truth = joint(model, 1e6)
    found = [noisy(clique, np.rint(truth.project(clique).values), 1) for clique in model.cliques]
    seen = observe(model.domain, found)
    oracle = MarginalOracle(model.domain, [observation.clique for observation in seen])
    start = CliqueVector.zeros(model.domain, oracle.cliques)
    fit = fit_until_flat(Problem(oracle, seen, estimate_total(found)), start, iterations=3000, tolerance=1e-6)
    for observation in seen:
        table = fit.marginals.tables()[observation.clique]
        np.testing.assert_allclose(table, observation.values, atol=300)


def test_descent_is_not_worse_than_mbi_on_the_same_tables() -> None:
    import jax.numpy as jnp
    import mbi

    rng = np.random.default_rng(8)
    found = [
        noisy(clique, rng.integers(0, 200, DOMAIN.shape(clique)), sigma)
        for clique, sigma in ((("a",), 5), (("b",), 5), (("a", "b"), 20), (("b", "c"), 10), (("a", "c"), 15))
    ]
    total = estimate_total(found)
    task, start = problem(found, total)
    ours = fit_until_flat(task, start, iterations=2000, tolerance=0.0)
    theirs = mbi.estimation.MirrorDescent().estimate(
        mbi.Domain(DOMAIN.attributes, DOMAIN.sizes),
        [mbi.LinearMeasurement(jnp.asarray(m.values.reshape(-1), float), m.clique, stddev=m.sigma) for m in found],
        known_total=total,
        iters=1000,
    )
    tables = {clique: np.asarray(theirs.project(clique).values, float) for clique in ours.marginals.cliques}
    apart = CliqueVector.of(DOMAIN, tables).flat - task.values
    assert ours.loss <= 1.0005 * 0.5 * float(task.precision * apart @ apart)


def test_fitting_stops_where_it_would_fit_noise_and_always_at_the_same_place() -> None:
    rng = np.random.default_rng(9)
    domain = Domain(("a", "b"), (30, 30))
    one, two = rng.dirichlet(np.ones(30)), rng.dirichlet(np.ones(30))
    truth = 5000 * np.outer(one, two)
    found = [noisy((name,), np.rint(truth.sum(axis=1 - axis)), 3) for axis, name in enumerate("ab")]
    found.append(noisy(("a", "b"), np.rint(truth + rng.normal(0, 40, truth.shape)), 40))
    seen = observe(domain, found)
    task = Problem(MarginalOracle(domain, [o.clique for o in seen]), seen, 5000.0)
    start = independent_start(domain, seen, 5000.0)
    stopped, again = (fit_until_noise(task, start, iterations=2000) for _ in range(2))
    to_the_end = fit_until_flat(task, start, iterations=2000, tolerance=0.0)
    np.testing.assert_array_equal(stopped.potentials.flat, again.potentials.flat)
    assert stopped.loss > to_the_end.loss
    path = itertools.takewhile(lambda fit: fit.evaluations <= 1000, task.descend(start))
    best = min(np.abs(fit.marginals.tables()["a", "b"] - truth).sum() for fit in path)
    error, overfit = (np.abs(fit.marginals.tables()["a", "b"] - truth).sum() for fit in (stopped, to_the_end))
    assert error < 1.15 * best
    assert error < 0.6 * overfit


def test_fitting_goes_on_while_there_is_signal() -> None:
    truth = np.array([[900, 50, 50, 0], [50, 900, 0, 50], [0, 100, 100, 800]])
    found = [noisy(("a",), truth.sum(axis=1), 2), noisy(("b",), truth.sum(axis=0), 2), noisy(("a", "b"), truth, 2)]
    task, start = problem(found, 3000.0)
    fit = fit_until_noise(task, start, iterations=2000)
    assert np.abs(fit.marginals.tables()["a", "b"] - truth).sum() < 0.02 * 3000


def test_one_way_tables_alone_are_fitted_exactly() -> None:
    seen = observe(DOMAIN, [noisy(("a",), [50, -20, 60], 5), noisy(("c",), [10, 20, 30, 40, 0], 5)])
    potentials = independent_potentials(DOMAIN, seen, 100.0)
    np.testing.assert_allclose(np.exp(potentials.tables()["a",]), [45, 0, 55])
    start = independent_start(DOMAIN, seen, 100.0)
    np.testing.assert_allclose(np.exp(start.tables()["a",]), [45, 0.5, 55])


def test_a_perfect_start_ends_at_once() -> None:
    task, _ = problem([noisy(("a",), [10, 10, 10], 1)], 30.0)
    fit = fit_until_noise(task, CliqueVector.zeros(DOMAIN, [("a",)]), iterations=500)
    np.testing.assert_allclose(fit.marginals.flat, 10)
    assert fit_until_flat(task, CliqueVector.zeros(DOMAIN, [("a",)]), iterations=500, tolerance=0.0).loss == 0
