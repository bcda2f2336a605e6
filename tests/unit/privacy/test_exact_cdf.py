"""The enclosures that exact sampling rests on, against 400-bit arithmetic and by exhausting small random streams."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth.privacy.exact_cdf import MagnitudeCdf, exp_minus, pick_exactly


@given(st.fractions(0, 800))
def test_exp_is_enclosed(x):
    found = exp_minus(x, 256)
    with mpmath.workprec(2000):
        exact = mpmath.exp(-mpmath.mpf(x.numerator) / x.denominator) * mpmath.mpf(2) ** 256
        assert found.low <= exact <= found.high
    assert found.high - found.low <= 16


@pytest.mark.parametrize("sigma_squared", [Fraction(1, 100), Fraction(1, 2), Fraction(100), Fraction(12345, 7)])
def test_thresholds_are_the_floors_of_the_distribution_function(sigma_squared):
    thresholds = MagnitudeCdf(sigma_squared).thresholds(63)
    with mpmath.workprec(600):
        weight = [
            mpmath.exp(-mpmath.mpf(m * m) * sigma_squared.denominator / (2 * sigma_squared.numerator))
            for m in range(3000)
        ]
        total = weight[0] + 2 * sum(weight[1:])
        below = weight[0]
        for m, threshold in enumerate(thresholds):
            below += 2 * weight[m] if m else 0
            assert threshold == min(int(mpmath.floor(below / total * 2**63)), 2**63 - 1)
    assert thresholds[-1] == 2**63 - 1


def _draws(rng):
    return lambda bits: int.from_bytes(rng.bytes(bits // 8), "big")


def test_undecided_draws_are_finished_with_the_exact_distribution():
    """With 3 uniform bits nearly every draw is undecided; the finished draws must still follow the distribution."""
    sigma_squared = Fraction(2)
    cdf = MagnitudeCdf(sigma_squared)
    thresholds = cdf.thresholds(3)
    rng = np.random.default_rng(5)
    counts = np.zeros(12)
    for uniform in rng.integers(0, 8, 4000).tolist():
        decided = int(np.searchsorted(thresholds, uniform, side="right"))
        if decided and thresholds[decided - 1] == uniform:
            decided = cdf.invert(uniform, 3, int(np.searchsorted(thresholds, uniform, side="left")), _draws(rng))
        counts[decided] += 1
    weight = np.exp(-(np.arange(12.0) ** 2) / 4) * np.where(np.arange(12) > 0, 2, 1)
    expected = 4000 * weight / weight.sum()
    kept = expected > 5
    statistic = ((counts - expected)[kept] ** 2 / expected[kept]).sum()
    assert statistic < 35  # chi-squared with at most 6 degrees of freedom: false alarm below 1e-5


def test_exact_choice_follows_the_weights_from_few_bits():
    rng = np.random.default_rng(6)
    counts = np.zeros(4)
    for uniform in rng.integers(0, 4, 3000).tolist():
        counts[pick_exactly([2, 1, 0, 1], Fraction(1, 2), uniform, 2, _draws(rng))] += 1
    weight = np.exp(-np.array([2, 1, 0, 1]) / 2)
    expected = 3000 * weight / weight.sum()
    assert ((counts - expected) ** 2 / expected).sum() < 30
