"""Bounds on mu and epsilon against scipy, dp-accounting and simulation."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from dp_accounting.pld import privacy_loss_distribution
from scipy import optimize, stats

from privsynth import epsilon_bounds
from privsynth.epsilon_bounds import Curve, Errors
from privsynth.privacy import accounting
from privsynth.privacy.sampled_gaussian import SampledGaussian


@pytest.mark.parametrize(("mu", "epsilon"), [(0.25, 0.9), (1.0, 3.0), (1.0, -0.5), (4.0, 1.0)])
def test_the_gaussian_curve_is_an_integral_of_normal_densities(mu: float, epsilon: float) -> None:
    x = np.linspace(-40, 40, 400_001)
    gap = stats.norm.pdf(x, mu) - math.exp(epsilon) * stats.norm.pdf(x)
    assert epsilon_bounds.gaussian_delta(mu, epsilon) == pytest.approx(np.trapezoid(np.maximum(gap, 0), x), rel=1e-6)


@pytest.mark.parametrize("rho", [0.01, 0.1, 3.0])
def test_what_rho_implies_is_what_the_accountant_proves(rho: float) -> None:
    exact = Fraction(rho)
    assert epsilon_bounds.zcdp_epsilon(rho, 1e-5) == pytest.approx(accounting.epsilon_of(exact, 1e-5), rel=1e-6)
    gaussian = epsilon_bounds.implied_epsilon(rho, 1e-5, "gdp")
    assert gaussian == pytest.approx(accounting.gaussian_epsilon_of(exact, Fraction(1, 100_000)), rel=1e-9)
    assert gaussian < epsilon_bounds.implied_epsilon(rho, 1e-5, "zcdp")
    assert epsilon_bounds.implied_epsilon(0.0, 1e-5, "gdp") == 0


@pytest.mark.parametrize("rho", [Fraction(0), Fraction(1, 20)])
def test_what_gradient_steps_imply_is_what_the_accountant_proves(rho: Fraction) -> None:
    training = SampledGaussian(sampling_rate=Fraction(1, 50), steps=500, noise_multiplier=Fraction(5, 2))
    for delta in (Fraction(1, 10**6), Fraction(1, 1000)):
        losses = epsilon_bounds.implied_epsilon(float(rho), float(delta), "pld", training)
        assert losses == pytest.approx(accounting.epsilon_for(rho, delta, "pld", training), rel=1e-3)
        orders = epsilon_bounds.implied_epsilon(float(rho), float(delta), "rdp", training)
        assert orders == pytest.approx(accounting.epsilon_for(rho, delta, "rdp", training), rel=1e-9)


def test_bounds_of_mu_are_clopper_and_pearson_s() -> None:
    errors = Errors(false_positives=310, false_negatives=290, runs=1000)
    upper = [stats.beta.ppf(1 - 0.005, count + 1, 1000 - count) for count in (310, 290)]
    lower = [stats.beta.ppf(0.005, count, 1001 - count) for count in (310, 290)]
    low, high = errors.mu_between(0.01)
    assert low == pytest.approx(-sum(stats.norm.ppf(upper)), rel=1e-6)
    assert high == pytest.approx(-sum(stats.norm.ppf(lower)), rel=1e-6)


@pytest.mark.parametrize("alpha", [0.3, 0.01, 1e-6])
def test_the_p_value_of_mu_is_the_level_at_which_its_bound_passes_it(alpha: float) -> None:
    errors = Errors(false_positives=310, false_negatives=290, runs=1000)
    low, _ = errors.mu_between(alpha)
    assert errors.gdp_p_value(low) == pytest.approx(alpha, rel=1e-4)
    assert errors.gdp_p_value(low - 0.01) < alpha < errors.gdp_p_value(low + 0.01)


def test_mu_is_refuted_no_more_often_than_the_level_and_twice_mu_almost_always() -> None:
    rng = np.random.default_rng(1)
    counts = rng.binomial(2000, stats.norm.cdf(-0.5), (200, 2))
    told = [
        Errors(false_positives=int(a), false_negatives=int(b), runs=2000).gdp_p_value(1.0) <= 0.05 for a, b in counts
    ]
    assert sum(told) <= 24  # 10 expected at most, 25 with probability below 1e-4
    assert epsilon_bounds.shows_twice(1.0, 2000, 1e-6)
    assert not epsilon_bounds.shows_twice(1.0, 20, 1e-6)
    assert not epsilon_bounds.shows_twice(0.01, 2000, 1e-6)


@pytest.mark.parametrize("group", [1, 3])
def test_epsilon_that_is_refuted_for_a_group_is_refuted_for_one(group: int) -> None:
    """Randomised response tells exactly its epsilon: bounds stay below it, and come close with many answers."""
    epsilon, runs = 1.0, 10**6
    wrong = 1 / (1 + math.exp(group * epsilon))
    errors = Errors(false_positives=round(wrong * runs), false_negatives=round(wrong * runs), runs=runs)
    assert 0.98 < errors.epsilon_lower(1e-9, 0.01, group=group) < 1.0
    assert Errors(false_positives=500, false_negatives=500, runs=1000).epsilon_lower(1e-5, 0.01) == 0


def test_the_delta_of_a_group_is_the_geometric_sum() -> None:
    assert epsilon_bounds.group_delta(0.7, 1e-6, 4) == pytest.approx(1e-6 * (math.exp(2.8) - 1) / (math.exp(0.7) - 1))


def test_group_and_threshold_show_more_than_others() -> None:
    mu, delta, runs = 0.2472, 1e-5, 10**6
    best = epsilon_bounds.best_group(mu, delta, runs, 0.01)

    def shown(group: int, threshold: float) -> float:
        rates = stats.norm.cdf([-threshold / (group * mu) - group * mu / 2, threshold / (group * mu) - group * mu / 2])
        counts = [round(rate * runs) for rate in rates]
        errors = Errors(false_positives=counts[0], false_negatives=counts[1], runs=runs)
        return errors.epsilon_lower(delta, 0.01, group=group)

    chosen = shown(best, epsilon_bounds.best_threshold(mu, delta, runs, 0.01, best))
    alone = optimize.minimize_scalar(lambda t: -shown(1, t), bounds=(0, 1.4), method="bounded")
    assert chosen > 0.72
    assert 0.6 < -alone.fun < 0.68
    assert chosen < epsilon_bounds.gaussian_epsilon(mu, delta)


def test_the_exact_curve_of_gaussians_and_choices_is_that_of_privacy_loss_distributions() -> None:
    """A choice between two with odds e^(+-1/2) is randomised response."""
    epsilon, mu = 1.0, 0.7
    odds = np.log([1 / (1 + math.exp(-epsilon)), 1 / (1 + math.exp(epsilon))])
    curve = Curve(mu=mu, choices=[(odds, odds[::-1])] * 2)
    gaussian = privacy_loss_distribution.from_gaussian_mechanism(1 / mu)
    response = privacy_loss_distribution.from_randomized_response(2 / (1 + math.exp(epsilon)), 2)
    exact = gaussian.compose(response).compose(response)
    for delta in (1e-3, 1e-6):
        assert curve.epsilon(delta) == pytest.approx(exact.get_epsilon_for_delta(delta), abs=0.02)
        assert curve.epsilon(delta) <= exact.get_epsilon_for_delta(delta) + 1e-3
    assert Curve(mu=mu).epsilon(1e-5) == pytest.approx(epsilon_bounds.gaussian_epsilon(mu, 1e-5))


def test_the_exact_curve_takes_the_worse_direction() -> None:
    rare = np.log([0.999, 0.001]), np.log([0.9, 0.1])
    there, back = Curve(mu=0.0, choices=[rare]), Curve(mu=0.0, choices=[rare[::-1]])
    assert there.delta(1.0) == pytest.approx(0.1 - math.e * 0.001, rel=0.02)
    assert back.delta(1.0) == pytest.approx(there.delta(1.0), rel=1e-9)
