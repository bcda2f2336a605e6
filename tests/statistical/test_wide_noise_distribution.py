"""Noise too wide for a table, as gradient steps need it, has the stated distribution, and these tests can tell when not.

Errors: each p-value of the right sampler is below ALARM with probability 1e-6, those of moments with 2e-6 at most (the sixth
is not quite normal with a million draws); chi-squared statistics have 3,900 expected in each cell or more. A standard deviation
that is 5 % off is rejected with probability above 0.999, either way, shown below by the same tests on such samplers; so is 1 %.
"""

from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from privsynth.privacy.noise import SystemNoise

ALARM = 1e-6
SIGMAS = [1 << 17, 1 << 21]


def draw(sigma: float, count: int) -> np.ndarray:
    return SystemNoise().gaussian(np.zeros(count, dtype=np.int64), Fraction(sigma) ** 2)


def variance_p_value(sample: np.ndarray, sigma: float) -> float:
    """Two-sided chi-squared test of the variance."""
    statistic = (sample.astype(float) ** 2).sum() / (sigma**2 + 1 / 12)
    lower, upper = stats.chi2.cdf(statistic, len(sample)), stats.chi2.sf(statistic, len(sample))
    return min(1.0, 2 * min(lower, upper))


def shape_p_value(sample: np.ndarray, sigma: float) -> float:
    """Chi-squared goodness of fit in 256 intervals of about equal chance, between half-integers."""
    edges = np.rint(stats.norm.ppf(np.arange(1, 256) / 256) * sigma) + 0.5
    observed = np.bincount(np.searchsorted(edges, sample), minlength=256)
    chances = np.diff(np.concatenate([[0.0], stats.norm.cdf(edges / sigma), [1.0]]))
    return stats.chisquare(observed, len(sample) * chances).pvalue


def digits_p_value(sample: np.ndarray) -> float:
    """The last eight bits are uniform (to within 1e-1000 at sigma 2^17): what rounding or a coarse grid would spoil."""
    return stats.chisquare(np.bincount(sample & 255, minlength=256)).pvalue


def tails_p_value(sample: np.ndarray, sigma: float) -> float:
    """The least of exact binomial tests beyond 3, 4 and 4.9 sigma on each side, times 6; the last are drawn exactly."""
    found = []
    for side in (-1, 1):
        for reach in (3.0, 4.0, 4.9):
            limit = np.ceil(reach * sigma)
            beyond = int((side * sample >= limit).sum())
            found.append(stats.binomtest(beyond, len(sample), stats.norm.sf((limit - 0.5) / sigma)).pvalue)
    return min(1.0, 6 * min(found))


def moments_p_value(sample: np.ndarray, sigma: float) -> float:
    """The least of normal tests of the first, third, fourth and sixth moments, times 4."""
    scaled, found = sample / sigma, []
    for power, mean, variance in ((1, 0, 1), (3, 0, 15), (4, 3, 96), (6, 15, 10395 - 225)):
        deviation = ((scaled**power).mean() - mean) * np.sqrt(len(scaled) / variance)
        found.append(2 * stats.norm.sf(abs(deviation)))
    return min(1.0, 4 * min(found))


@pytest.mark.parametrize("sigma", SIGMAS)
def test_the_distribution_is_right(sigma, full):
    sample = draw(sigma, 30_000_000 if full else 1_000_000)
    assert variance_p_value(sample, sigma) > ALARM
    assert shape_p_value(sample, sigma) > ALARM
    assert digits_p_value(sample) > ALARM
    assert tails_p_value(sample, sigma) > ALARM
    assert moments_p_value(sample, sigma) > ALARM


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("wrong", [0.95, 0.99, 1.01, 1.05])
def test_a_scale_that_is_off_is_rejected_by_variance_and_shape(sigma, wrong):
    sample = draw(sigma * wrong, 3_000_000)
    assert variance_p_value(sample, sigma) < ALARM
    assert shape_p_value(sample, sigma) < ALARM


@pytest.mark.parametrize("wrong", [0.95, 1.05])
def test_a_scale_that_is_five_percent_off_is_rejected_by_tails(wrong):
    assert tails_p_value(draw(SIGMAS[0] * wrong, 1_000_000), SIGMAS[0]) < ALARM


def test_a_coarse_grid_a_cut_tail_and_a_lean_are_rejected():
    sample, sigma = draw(SIGMAS[0], 1_000_000), SIGMAS[0]
    assert digits_p_value(sample & -2) < ALARM
    assert tails_p_value(sample[np.abs(sample) < 3.9 * sigma], sigma) < ALARM
    assert moments_p_value(sample + sigma // 100, sigma) < ALARM


@pytest.mark.parametrize("sigma", SIGMAS)
def test_sign_magnitude_and_neighbouring_draws_are_independent(sigma):
    sample = draw(sigma, 1_000_000).astype(float)
    limit = stats.norm.isf(ALARM / 2) / np.sqrt(len(sample))
    assert abs(np.sign(sample).mean()) < limit
    assert abs(np.corrcoef(np.sign(sample), np.abs(sample))[0, 1]) < limit
    assert abs(np.corrcoef(np.sign(sample), np.abs(sample) % 2)[0, 1]) < limit
    for lag in (1, 2, 7, 1 << 14):  # the last: from block to block
        assert abs(np.corrcoef(sample[lag:], sample[:-lag])[0, 1]) < stats.norm.isf(ALARM / 2) / np.sqrt(
            len(sample) - lag
        )


@pytest.mark.parametrize("sigma", SIGMAS)
def test_it_agrees_with_numpys_gaussian(sigma):
    theirs = np.rint(np.random.default_rng(12).normal(0.0, sigma, 1_000_000))
    assert stats.ks_2samp(draw(sigma, 1_000_000), theirs, method="asymp").pvalue > ALARM
