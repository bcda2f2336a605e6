"""The trade-off curve of gradient steps against what is known of it in other ways."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from privsynth.epsilon_bounds import gaussian_delta, gaussian_epsilon
from privsynth.privacy.sampled_gaussian import SampledGaussian
from privsynth.sampled_curve import SampledCurve
from privsynth.statistics import normal_cdf, normal_quantile


@pytest.mark.parametrize(("steps", "shift", "mu"), [(1, 1.0, 0.0), (5, 1 / 3, 0.0), (5, 1 / 3, 0.7)])
def test_without_sampling_it_is_the_gaussian_s(steps: int, shift: float, mu: float) -> None:
    curve = SampledCurve(rate=1.0, steps=steps, shift=shift, mu=mu)
    whole = math.sqrt(steps * shift**2 + mu**2)
    assert curve.epsilon(1e-6) == pytest.approx(gaussian_epsilon(whole, 1e-6), rel=1e-4)
    for rate in (0.01, 0.1, 0.5):
        assert curve.least_missed(rate) == pytest.approx(normal_cdf(-normal_quantile(rate) - whole), abs=1e-3)


@pytest.mark.parametrize(("rate", "shift"), [(0.01, 0.5), (0.25, 1.0), (0.25, 3.0)])
@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.5])
def test_one_step_against_numerical_integration(rate: float, shift: float, epsilon: float) -> None:
    x = np.linspace(-12, 12 + shift, 400_001)
    without = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    taken = (1 - rate) * without + rate * np.exp(-((x - shift) ** 2) / 2) / math.sqrt(2 * math.pi)
    sides = ((taken, without), (without, taken))
    found = max(float(np.maximum(0, p - math.exp(epsilon) * q).sum() * (x[1] - x[0])) for p, q in sides)
    assert SampledCurve(rate=rate, steps=1, shift=shift).delta(epsilon) == pytest.approx(found, rel=2e-3, abs=1e-6)


def test_it_agrees_with_the_accountant() -> None:
    accountant = pytest.importorskip("dp_accounting")
    assert accountant
    from privsynth.privacy.sampled_gaussian import loss_epsilon

    plan = SampledGaussian(sampling_rate=Fraction(1, 100), steps=2000, noise_multiplier=Fraction(2))
    for rho in (Fraction(0), Fraction(1, 50)):
        ours = SampledCurve.of(plan, rho).epsilon(1e-6)
        assert ours == pytest.approx(loss_epsilon(plan, rho=rho, delta=Fraction(1, 10**6)), rel=1e-3)


@pytest.mark.parametrize(
    ("rate", "steps", "shift", "mu", "delta", "exact"),
    [
        (0.001, 100_000, 0.5, 0.0, 1e-6, 0.69667316),
        (0.0001, 100_000, 0.005, 0.0, 1e-9, 0.00063683237),
        (0.01, 2000, 0.5, 0.2, 1e-6, 1.3604044),
        (0.01, 100, 3.0, 0.0, 1e-5, 20.216412),
        (0.25, 8, 1.0, 0.5, 1e-5, 5.8761478),
    ],
)
def test_long_trainings_are_overstated_a_little_and_never_understated(
    rate: float, steps: int, shift: float, mu: float, delta: float, exact: float
) -> None:
    """Exact: the moment generating function of the loss, inverted along a line through its saddle point, to nine digits."""
    found = SampledCurve(rate=rate, steps=steps, shift=shift, mu=mu).epsilon(delta)
    assert exact * (1 - 1e-7) <= found <= exact * (1 + 1e-4)


def test_answers_beside_the_steps_cost_more() -> None:
    plan = SampledGaussian(sampling_rate=Fraction(1, 4), steps=8, noise_multiplier=Fraction(1))
    assert SampledCurve.of(plan, Fraction(1, 8)).epsilon(1e-5) > SampledCurve.of(plan).epsilon(1e-5)


def test_errors_of_a_threshold_lie_on_the_curve() -> None:
    curve = SampledCurve(rate=0.25, steps=8, shift=1.0)
    false, missed = curve.errors_at(0.3)
    assert curve.least_missed(false) == pytest.approx(missed, abs=1e-4)
    assert curve.delta(0.3) >= 1 - missed - math.exp(0.3) * false - 1e-9


def test_steps_that_tell_nothing_cost_nothing() -> None:
    assert SampledCurve(rate=0.01, steps=1, shift=1e-3).epsilon(1e-3) == 0.0
    assert gaussian_delta(0.0, 0.0) == 0.0
