"""The enclosures that exact sampling rests on, against 400-bit arithmetic and by exhausting small random streams."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth.privacy import exact_cdf
from privsynth.privacy.enclosure import exp_minus, normal_within, pi
from privsynth.privacy.exact_cdf import MagnitudeCdf, pick_exactly


@given(st.fractions(0, 800))
def test_exp_is_enclosed(x):
    found = exp_minus(x, 256)
    with mpmath.workprec(2000):
        exact = mpmath.exp(-mpmath.mpf(x.numerator) / x.denominator) * mpmath.mpf(2) ** 256
        assert found.low <= exact <= found.high
    assert found.high - found.low <= 16


def within(x_squared, precision=2000):
    with mpmath.workprec(precision):
        return mpmath.erf(mpmath.sqrt(mpmath.mpf(x_squared.numerator) / x_squared.denominator / 2))


@given(st.integers(0, 600))
def test_pi_is_enclosed(precision):
    found = pi(precision)
    with mpmath.workprec(precision + 100):
        assert found.low < mpmath.pi * mpmath.mpf(2) ** precision < found.high
    assert found.high - found.low <= 2


@given(st.fractions(0, 300), st.integers(1, 400))
def test_the_normal_distribution_is_enclosed(x_squared, precision):
    found = normal_within(x_squared, precision)
    with mpmath.workprec(2000):
        assert found.low <= within(x_squared) * mpmath.mpf(2) ** precision <= found.high
    assert found.precision == precision
    assert found.high - found.low <= 2
    assert 0 <= found.low <= found.high <= 1 << precision


def floor_at(sigma_squared, m, bits):
    with mpmath.workprec(2000):
        exact = within(Fraction((2 * m + 1) ** 2) / (4 * sigma_squared)) * mpmath.mpf(2) ** bits
        return min(int(mpmath.floor(exact)), (1 << bits) - 1)


SIGMAS_SQUARED = [Fraction(1, 10**6), Fraction(1, 100), Fraction(1, 2), Fraction(12345, 7), Fraction(10**6)]


@pytest.mark.parametrize(
    "sigma_squared", [*SIGMAS_SQUARED, Fraction(159, 10), Fraction(16), Fraction(2**20 * 100 + 1, 2**20)]
)
def test_thresholds_are_the_floors_of_the_distribution_function(sigma_squared):
    thresholds = MagnitudeCdf(sigma_squared).thresholds(63)
    for m in [*range(0, len(thresholds), max(1, len(thresholds) // 150)), len(thresholds) - 1]:
        assert thresholds[m] == floor_at(sigma_squared, m, 63)
    assert sorted(thresholds) == thresholds
    assert thresholds[-1] == 2**63 - 1
    assert 2**63 - 1 not in thresholds[:-1]


def test_both_ways_to_thresholds_agree():
    """Series for each one, and recurrences over all of them, share no step but exp and pi."""
    for sigma_squared in (Fraction(16), Fraction(1000003, 7919)):
        cdf = MagnitudeCdf(sigma_squared)
        assert cdf.thresholds(63) == cdf._one_by_one(63)


@pytest.mark.parametrize("bits", [3, 20])
def test_too_little_precision_decides_nothing_rather_than_something_wrong(bits):
    exact = MagnitudeCdf(Fraction(81)).thresholds(bits)
    tables = [exact_cdf._Table(Fraction(81), precision).floors(bits) for precision in range(bits, bits + 40)]
    assert all(found is None or found == exact for found in tables)
    assert tables[0] is None
    assert tables[-1] == exact


@pytest.mark.parametrize("sigma_squared", [Fraction(1, 4), Fraction(7, 3), Fraction(10**6), Fraction(2**80)])
@pytest.mark.parametrize("off", [-(10**6), -1, 0, 1, 10**6])
def test_inversion_does_not_depend_on_the_guess(sigma_squared, off):
    rng = np.random.default_rng(8)
    cdf = MagnitudeCdf(sigma_squared)
    for uniform in (0, 1, 2**62, 2**63 - 1, *rng.integers(0, 2**63, 5).tolist()):
        further = []

        def draw(bits, further=further):
            further.append(int.from_bytes(np.random.default_rng(len(further)).bytes(bits // 8), "big"))
            return further[-1]

        with mpmath.workprec(2000):
            about = mpmath.erfinv((uniform + mpmath.mpf(1) / 2) / 2**63) * mpmath.sqrt(2 * sigma_squared.numerator)
            about = int(mpmath.nint(about / mpmath.sqrt(sigma_squared.denominator)))
        found = cdf.invert(uniform, 63, about + off, draw)
        number = uniform
        for part in further:
            number = number << 128 | part
        bits = 63 + 128 * len(further)
        assert number <= floor_at(sigma_squared, found, bits)
        assert not found or number >= floor_at(sigma_squared, found - 1, bits)


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
    upto = np.array([float(within(Fraction((2 * m + 1) ** 2, 8))) for m in range(12)])
    expected = 4000 * np.diff(upto, prepend=0.0)
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
