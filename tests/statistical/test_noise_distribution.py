"""The drawn noise has the stated distribution, and these tests can tell when it has not.

Errors: each test of the right sampler has a false-alarm probability of 1e-6. Each rejects, with probability above 0.999, a
sampler whose scale is 5 % off, in either direction; that is shown below by running the same test on such samplers.
"""

from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from privsynth.privacy.noise import SystemNoise

ALARM = 1e-6
DRAWS = 40_000
SIGMA = 10.0


def variance_p_value(sample: np.ndarray, sigma: float) -> float:
    """Two-sided chi-squared test of the variance (rounding adds 1/12 to it, to within 1e-800 at sigma 10)."""
    statistic = (sample.astype(float) ** 2).sum() / (sigma**2 + 1 / 12)
    lower = stats.chi2.cdf(statistic, len(sample))
    return 2 * min(lower, 1 - lower)


def probabilities(values: np.ndarray, sigma: float) -> np.ndarray:
    """P(round(N(0, sigma^2)) = value)."""
    outer, inner = -(np.abs(values) - 0.5) / sigma, -(np.abs(values) + 0.5) / sigma
    return stats.norm.cdf(outer) - stats.norm.cdf(inner)


def shape_p_value(sample: np.ndarray, sigma: float) -> float:
    """Chi-squared goodness of fit against the exact probabilities, cells pooled to at least 10 expected."""
    reach = int(6 * sigma)
    values = np.arange(-reach, reach + 1)
    expected = len(sample) * probabilities(values, sigma)
    counts = np.array([(sample == value).sum() for value in values])
    kept = expected >= 10
    observed = np.append(counts[kept], len(sample) - counts[kept].sum())
    wanted = np.append(expected[kept], len(sample) - expected[kept].sum())
    return stats.chisquare(observed, wanted * observed.sum() / wanted.sum()).pvalue


def draw(sigma: float, count: int = DRAWS) -> np.ndarray:
    return SystemNoise().gaussian(np.zeros(count, dtype=np.int64), Fraction(sigma) ** 2)


@pytest.mark.parametrize("sigma", [0.4, 1.0, SIGMA, 250.5, 1e6])
def test_variance_is_right(sigma, full):
    """The largest sigma is drawn without a table."""
    reach = 4000 if sigma < 1000 else 0
    values = np.arange(-reach, reach + 1)
    chances = probabilities(values, sigma)
    second, fourth = (float((values**power * chances).sum()) for power in (2, 4)) if reach else (sigma**2, 3 * sigma**4)
    sample = draw(sigma, (3_000_000 if full else 60_000) if reach else 3000)
    deviation = (sample.astype(float) ** 2).mean() - second
    assert abs(deviation) < stats.norm.isf(ALARM / 2) * np.sqrt((fourth - second**2) / len(sample))
    if 1 <= sigma < 1000:
        assert second == pytest.approx(sigma**2 + 1 / 12, rel=1e-7)


def test_shape_is_right(full):
    assert shape_p_value(draw(SIGMA, 3_000_000 if full else DRAWS), SIGMA) > ALARM


@pytest.mark.parametrize("wrong", [0.95, 1.05])
def test_the_variance_test_rejects_a_scale_five_percent_off(wrong):
    assert variance_p_value(draw(SIGMA), SIGMA) > ALARM
    assert variance_p_value(draw(SIGMA * wrong), SIGMA) < ALARM


@pytest.mark.parametrize("wrong", [0.93, 1.07])
def test_the_shape_test_rejects_a_scale_seven_percent_off(wrong):
    assert shape_p_value(draw(SIGMA * wrong), SIGMA) < ALARM


def test_sign_and_neighbouring_draws_are_independent():
    sample = draw(SIGMA, 200_000).astype(float)
    limit = stats.norm.isf(ALARM / 2) / np.sqrt(len(sample))
    assert abs(np.sign(sample).mean()) < limit
    for lag in (1, 2, 7):
        assert abs(np.corrcoef(sample[lag:], sample[:-lag])[0, 1]) < limit


def test_it_agrees_with_a_rounded_continuous_gaussian():
    theirs = np.rint(np.random.default_rng(12).normal(0.0, SIGMA, 200_000)).astype(np.int64)
    ours = draw(SIGMA, 200_000)
    reach = np.arange(-35, 36)
    table = np.array([[(sample == value).sum() for value in reach] for sample in (ours, theirs)])
    assert stats.chi2_contingency(table).pvalue > ALARM


def test_the_discrete_gaussian_would_have_been_noticed():
    """At sigma 0.4 the two differ; rounding is what the accounting rests on (docs/decisions/0008)."""
    values = np.arange(-3, 4)
    weight = np.exp(-(values**2) / (2 * 0.4**2))
    other = np.random.default_rng(13).choice(values, 40_000, p=weight / weight.sum())
    assert shape_p_value(other, 0.4) < ALARM < shape_p_value(draw(0.4), 0.4)


def test_the_exponential_mechanism_has_its_probabilities():
    source, scores, rate = SystemNoise(), np.array([0, 30, 60, 45], dtype=np.int64), Fraction(1, 30)
    counts = np.bincount([source.exponential(scores, rate) for _ in range(20_000)], minlength=4)
    weight = np.exp(scores / 30)
    assert stats.chisquare(counts, 20_000 * weight / weight.sum()).pvalue > ALARM
    twice = np.exp(scores / 15)  # the coefficient forgotten: this test would have seen it
    assert stats.chisquare(counts, 20_000 * twice / twice.sum()).pvalue < ALARM


def test_the_exponential_mechanism_agrees_with_diffprivlib():
    """Epsilon 1 and sensitivity 1: both choose with probability proportional to exp(score / 2)."""
    from diffprivlib.mechanisms import Exponential

    scores = np.array([0, 1, 3, 2], dtype=np.int64)
    theirs = Exponential(epsilon=1, sensitivity=1, utility=scores.astype(float).tolist(), random_state=7)
    source = SystemNoise()
    table = np.array(
        [
            np.bincount([source.exponential(scores, Fraction(1, 2)) for _ in range(10_000)], minlength=4),
            np.bincount([theirs.randomise() for _ in range(10_000)], minlength=4),
        ]
    )
    assert stats.chi2_contingency(table).pvalue > ALARM
