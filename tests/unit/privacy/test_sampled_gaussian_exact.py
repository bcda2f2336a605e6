"""Epsilon of gradient steps is never below the exact one, in the settings where floats and grids are strained most.

Must never use the accountant's grids: deltas come from the moment generating function of the loss, inverted numerically.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from privsynth.privacy.sampled_gaussian import SampledGaussian, loss_epsilon

pytest.importorskip("dp_accounting")


def log_moments(rate: float, sigma: float, z: np.ndarray, *, removed: bool) -> np.ndarray:
    """log E[exp(z loss)] of one step at complex z, all of one real part; E[r^a - 1 - a (r - 1)] cancels nothing."""
    if rate == 1:
        return (z + z * z) / (2 * sigma**2)
    reach, step = 13 + (1 + z[0].real) / sigma, min(1.0, sigma) / 16
    x = np.arange(-reach, reach, step)
    u = rate * np.expm1(x / sigma - 1 / (2 * sigma**2))
    power = (1 + z if removed else -z)[:, None]
    bent = np.expm1(power * np.log1p(u)) - power * u
    return np.log1p(bent @ np.exp(-x * x / 2) * step / math.sqrt(2 * math.pi))


def exact_delta(training: SampledGaussian, rho: float, epsilon: float, *, removed: bool) -> float:
    """The integral of E[exp(z loss)] exp(-z epsilon) / (2 pi i z (z + 1)), along a line near its saddle point."""
    rate, sigma = float(training.sampling_rate), float(training.noise_multiplier)
    single = min(1 / sigma, rate * math.sqrt(math.expm1(sigma**-2)))
    whole = math.sqrt(2 * rho + training.steps * single**2)

    def exponent(z: np.ndarray) -> np.ndarray:
        moments = training.steps * log_moments(rate, sigma, z, removed=removed)
        return moments + rho * (z + z * z) - epsilon * z - np.log(z * (z + 1))

    places = np.exp(np.linspace(math.log(0.3), math.log(20), 30)) / whole
    places = places[(1 + places) * (13 + (1 + places) / sigma) / sigma < 700]
    place = min(places, key=lambda c: float(exponent(np.array([c + 0j]))[0].real))
    width = min(place / 14, 1 / (4 * whole + epsilon))
    along = np.arange(0, 14 / whole, width)
    found = np.exp(exponent(place + 1j * along)).real
    return float((found.sum() - found[0] / 2) * width / math.pi)


@pytest.mark.parametrize(
    ("rate", "steps", "multiplier", "rho", "delta", "tight"),
    [
        ("1/10000", 100_000, 200, 0, "3e-10", 1.02),
        ("1/10000", 100_000, 50, 0, "1e-9", 1.005),
        ("1/1000", 100_000, 200, 0, "1e-9", 1.005),
        ("1/2000", 60_000, 40, 0, "2e-9", 1.002),
        ("1/10000", 100_000, 4, "1/1000000", "3e-10", 1.005),
        ("1/10", 100_000, 200, "1/1000000000000", "1e-6", 1.001),
        ("1/2", 100_000, 200, 0, "3e-10", 1.005),
        ("1", 100_000, 200, 0, "1e-9", 1.001),
        ("1/50", 14_500, "9/8", 0, "1e-2", 1.001),
        ("1/16", 300, 8, "1/100", "1e-2", 1.001),
    ],
)
def test_epsilon_is_at_least_the_exact_one_and_near(rate, steps, multiplier, rho, delta, tight):
    training = SampledGaussian(sampling_rate=Fraction(rate), steps=steps, noise_multiplier=Fraction(multiplier))
    found = loss_epsilon(training, rho=Fraction(rho), delta=Fraction(delta))

    def exact(epsilon: float) -> float:
        return max(exact_delta(training, float(Fraction(rho)), epsilon, removed=side) for side in (True, False))

    assert exact(found) <= float(delta) < exact(found / tight)
