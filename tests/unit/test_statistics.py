"""statistics.py against scipy, against brute force over all tables, and against the figures it is meant to give."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference

from privsynth import statistics
from privsynth.errors import AuditError
from privsynth.statistics import Comparison


def counts(members: int, member_attempts: int, controls: int, control_attempts: int) -> Comparison:
    return Comparison(
        members=members, member_attempts=member_attempts, controls=controls, control_attempts=control_attempts
    )


@pytest.mark.parametrize("x", [-30.0, -8.0, -1.5, 0.0, 0.3, 6.0])
def test_normal_cdf_agrees_with_scipy(x: float) -> None:
    assert statistics.normal_cdf(x) == pytest.approx(reference.norm.cdf(x), rel=1e-9)


@pytest.mark.parametrize("p", [1e-12, 0.025, 0.5, 0.999])
def test_normal_quantile_agrees_with_scipy(p: float) -> None:
    assert statistics.normal_quantile(p) == pytest.approx(reference.norm.ppf(p), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("p", [0.0, 1.0, math.nan])
def test_normal_quantile_refuses_what_has_none(p: float) -> None:
    with pytest.raises(AuditError):
        statistics.normal_quantile(p)


def test_beta_cdf_agrees_with_scipy() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        a, b = 10 ** rng.uniform(-0.3, 4.3, 2)
        x = float(np.clip(rng.beta(a, b), 1e-12, 1 - 1e-12))
        assert statistics.beta_cdf(x, a, b) == pytest.approx(reference.beta.cdf(x, a, b), rel=1e-9)
    assert statistics.beta_cdf(0.0, 2, 3) == 0.0
    assert statistics.beta_cdf(1.0, 2, 3) == 1.0


def test_chi_squared_tails_agree_with_scipy() -> None:
    rng = np.random.default_rng(2)
    for degrees in (1, 2, 7, 100, 3001, 40_000):
        for x in (*rng.chisquare(degrees, 5), 0.5 * degrees, 1.7 * degrees):
            upper, lower = reference.chi2.sf(x, degrees), reference.chi2.cdf(x, degrees)
            assert statistics.chi_squared_tail(x, degrees) == pytest.approx(upper, rel=1e-9, abs=1e-250)
            assert statistics.chi_squared_lower(x, degrees) == pytest.approx(lower, rel=1e-9, abs=1e-250)
    assert statistics.chi_squared_tail(0.0, 3) == 1.0
    assert statistics.chi_squared_lower(0.0, 3) == 0.0


@pytest.mark.parametrize(("successes", "attempts"), [(0, 10), (10, 10), (3, 50), (500, 10_000), (1, 1)])
def test_proportion_bounds_agree_with_scipy(successes: int, attempts: int) -> None:
    expected = reference.binomtest(successes, attempts).proportion_ci(0.95, "exact")
    assert statistics.proportion_lower(successes, attempts, 0.025) == pytest.approx(expected.low, abs=1e-9)
    assert statistics.proportion_upper(successes, attempts, 0.025) == pytest.approx(expected.high, abs=1e-9)


@pytest.mark.parametrize("table", [(5, 20, 1, 20), (0, 5, 0, 5), (700, 4000, 600, 4000), (3, 3, 0, 9), (0, 7, 7, 7)])
def test_fisher_agrees_with_scipy(table: tuple[int, int, int, int]) -> None:
    a, n1, b, n2 = table
    expected = reference.fisher_exact([[a, n1 - a], [b, n2 - b]], alternative="greater").pvalue
    assert statistics.fisher_p_value(counts(*table)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("n1", "n2", "alpha"), [(8, 8, 0.025), (6, 11, 0.1)])
def test_excess_bounds_cover_for_every_pair_of_rates(n1: int, n2: int, alpha: float) -> None:
    """Exact coverage, summed over all tables: never below 1 - alpha, and not so far above that the bound says nothing."""
    upper = np.array(
        [[statistics.excess_upper(counts(a, n1, b, n2), alpha) for b in range(n2 + 1)] for a in range(n1 + 1)]
    )
    rates = np.linspace(0, 1, 51)
    coverage = np.array(
        [
            reference.binom.pmf(range(n1 + 1), n1, p)
            @ (upper >= p - q - 1e-9)
            @ reference.binom.pmf(range(n2 + 1), n2, q)
            for p in rates
            for q in rates
        ]
    )
    assert coverage.min() >= 1 - alpha
    assert coverage.min() <= 1 - alpha / 2


def test_lower_bound_is_the_upper_bound_of_the_exchanged_arms() -> None:
    table = counts(40, 200, 20, 150)
    assert statistics.excess_lower(table, 0.025) == -statistics.excess_upper(table.swapped, 0.025)
    assert statistics.excess_lower(table, 0.025) < table.excess < statistics.excess_upper(table, 0.025)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), st.sampled_from([0.0, 0.05, 0.2]))
def test_p_value_and_lower_bound_agree(members: int, controls: int, threshold: float) -> None:
    table = counts(members, 60, controls, 60)
    rejected = statistics.above_p_value(table, threshold, alpha=0.01) <= 0.01
    lower = statistics.excess_lower(table, 0.01)
    assert rejected == (lower >= threshold) or abs(lower - threshold) < 1e-6


def test_a_p_value_pays_for_the_interval_that_it_searched() -> None:
    assert statistics.excess_p_value(counts(0, 500, 400, 500), 0.3, alpha=0.01) >= 0.04 * 0.01


def test_excess_upper_is_close_to_the_normal_bound_where_that_is_good() -> None:
    for rate in (0.1, 0.5):
        table = counts(int(2000 * rate), 2000, int(2000 * rate), 2000)
        normal = 1.96 * math.sqrt(2 * rate * (1 - rate) / 2000)
        assert normal < statistics.excess_upper(table, 0.025) < 1.06 * normal


@pytest.mark.parametrize("table", [(1, 0, 0, 4), (5, 4, 0, 4), (-1, 4, 0, 4), (0, 4, 1, 0)])
def test_comparison_refuses_impossible_counts(table: tuple[int, int, int, int]) -> None:
    with pytest.raises(AuditError, match="at least one attempt"):
        counts(*table)


def test_holm_gives_the_textbook_values() -> None:
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert statistics.holm([0.9, 0.8]) == (1.0, 1.0)
    assert statistics.holm([]) == ()


@pytest.mark.parametrize(("rate", "attempts"), [(0.1, 565), (0.25, 1180), (0.5, 1570)])
def test_detectable_excess_at_the_design_sizes_is_five_points(rate: float, attempts: int) -> None:
    found = statistics.detectable_excess(attempts, alpha=0.025, power=0.8, rate=rate)
    assert found == pytest.approx(0.05, abs=0.006)


def test_detectable_excess_is_detected_with_its_power() -> None:
    n, alpha = 400, 0.01
    excess = statistics.detectable_excess(n, alpha=alpha)
    control = (1 - excess) / 2
    members, controls = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    pooled = np.clip((members + controls) / (2 * n), 1e-9, 1 - 1e-9)
    z = (members - controls) / n / np.sqrt(2 * pooled * (1 - pooled) / n)
    chance = np.outer(
        reference.binom.pmf(range(n + 1), n, control + excess), reference.binom.pmf(range(n + 1), n, control)
    )
    assert chance[z > reference.norm.isf(alpha)].sum() == pytest.approx(0.95, abs=0.01)
    assert statistics.detectable_excess(2, alpha=alpha) == 1.0
    assert statistics.detectable_excess(n, alpha=alpha, rate=0.02) < excess


def test_detectable_noise_share_is_detected_with_its_power() -> None:
    share = statistics.detectable_noise_share(800, alpha=0.01)
    assert share == pytest.approx(0.905, abs=0.002)
    critical = reference.chi2.ppf(0.01, 800)
    assert reference.chi2.cdf(critical / share**2, 800) == pytest.approx(0.95, abs=1e-6)


def test_ceilings_are_the_total_variation_of_their_worst_pairs() -> None:
    assert statistics.advantage_ceiling(1.0, 0.0) == pytest.approx(math.tanh(0.5))
    assert statistics.advantage_ceiling(0.0, 0.1) == pytest.approx(0.1)
    assert statistics.advantage_ceiling(1e6, 0.0) == 1.0
    mu = 0.7
    assert statistics.gaussian_advantage_ceiling(mu) == pytest.approx(2 * reference.norm.cdf(mu / 2) - 1)
    assert statistics.gaussian_advantage_ceiling(mu) < statistics.zcdp_advantage_ceiling(mu**2 / 2)
    assert statistics.zcdp_advantage_ceiling(50.0) <= 1.0


@pytest.mark.parametrize(("slope", "threshold"), [(2.0, 0.05), (math.e, 1e-6), (0.4, 0.5)])
def test_a_sloped_limit_is_rejected_wrongly_no_more_often_than_alpha(slope: float, threshold: float) -> None:
    """All tables of 14 and 14, at many control rates: exact."""
    n, alpha = 14, 0.05
    above = np.array(
        [
            [statistics.above_p_value(counts(m, n, c, n), threshold, alpha=alpha, slope=slope) for c in range(n + 1)]
            for m in range(n + 1)
        ]
    )
    below = np.array(
        [
            [statistics.excess_p_value(counts(m, n, c, n), threshold, alpha=alpha, slope=slope) for c in range(n + 1)]
            for m in range(n + 1)
        ]
    )
    assert (above <= alpha).any()
    assert (below <= alpha).any()
    successes = np.arange(n + 1)
    for rate in np.linspace(0, (1 - threshold) / slope, 60).clip(max=1.0):
        member, control = (reference.binom.pmf(successes, n, p) for p in (min(1.0, slope * rate + threshold), rate))
        both = np.outer(member, control)
        assert both[above <= alpha].sum() <= alpha
        assert both[below <= alpha].sum() <= alpha


def test_as_many_people_as_are_said_to_be_enough_are() -> None:
    rng, passed = np.random.default_rng(0), 0
    tried = next(n for n in range(100, 10_000, 50) if statistics.tells_apart(n, 0.02, times=2.0, alpha=0.025))
    assert not statistics.tells_apart(tried // 2, 0.02, times=2.0, alpha=0.025)
    for _ in range(150):
        table = counts(int(rng.binomial(tried, 0.01)), tried, int(rng.binomial(tried, 0.01)), tried)
        passed += statistics.excess_p_value(table, 0.02, alpha=0.025, slope=2.0) <= 0.025
    assert passed >= 0.87 * 150
