"""Combining rules: the published formulas, their degrees of freedom, what they refuse, and what they cover."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import privsynth as ps
from privsynth.combining.rules import t_quantile
from privsynth.errors import InputError

ESTIMATES, VARIANCES = [1.0, 1.4, 0.9, 1.5, 0.7], [0.01, 0.02, 0.01, 0.03, 0.01]
Q, B, U, M = np.mean(ESTIMATES), np.var(ESTIMATES, ddof=1), np.mean(VARIANCES), 5


@pytest.mark.parametrize(
    ("rule", "variance", "degrees"),
    [
        ("synthetic", (1 + 1 / M) * B - U, (M - 1) * (1 - U / ((1 + 1 / M) * B)) ** 2),
        ("partly_synthetic", B / M + U, (M - 1) * (1 + U / (B / M)) ** 2),
        ("missing", U + (1 + 1 / M) * B, (M - 1) * (1 + U / ((1 + 1 / M) * B)) ** 2),
    ],
)
def test_each_rule_is_the_published_one(rule, variance, degrees):
    found = ps.combine(ESTIMATES, VARIANCES, rule=rule, level=0.95)
    half = stats.t.ppf(0.975, degrees) * np.sqrt(variance)
    assert found.estimate == pytest.approx(Q)
    assert found.standard_error == pytest.approx(np.sqrt(variance))
    assert found.degrees == pytest.approx(degrees)
    assert (found.lower, found.upper) == (pytest.approx(Q - half), pytest.approx(Q + half))
    assert found.to_json()["copies"] == M
    assert len(found.lines()) == 1


@pytest.mark.parametrize("degrees", [0.3, 1, 2.5, 9, 50, 1e5])
@pytest.mark.parametrize("p", [0.6, 0.95, 0.995])
def test_student_s_quantiles_are_scipy_s(p, degrees):
    assert t_quantile(p, degrees) == pytest.approx(stats.t.ppf(p, degrees), rel=1e-9)


def test_copies_dealt_evenly_keep_all_that_they_are_apart_by():
    found = ps.combine(ESTIMATES, VARIANCES, rule="dealt", size=0.001)
    assert found.standard_error == pytest.approx(np.sqrt(max((1 + 1 / M) * B, 0.001 * U)))
    assert found.degrees == M - 1
    agreeing = ps.combine([2.0, 2.0], [0.04, 0.04], rule="dealt", size=2)
    assert agreeing.standard_error == pytest.approx(np.sqrt(0.08)), "never below the people's own analysis"


def test_student_s_quantiles_end_in_the_normal_one_and_in_infinity():
    assert t_quantile(0.95, np.inf) == pytest.approx(stats.norm.ppf(0.95))
    assert t_quantile(0.95, 0.0) == np.inf


def test_several_coefficients_are_combined_one_by_one():
    values, within = np.column_stack([ESTIMATES, np.zeros(M)]), np.column_stack([VARIANCES, VARIANCES])
    found = ps.combine(values, within, size=2)
    assert found.estimate.shape == (2,)
    assert found.standard_error[0] == pytest.approx(ps.combine(ESTIMATES, VARIANCES).standard_error)
    assert found.standard_error[1] == pytest.approx(np.sqrt(2 * U)), (
        "never below the variance of the people's own analysis"
    )
    assert found.degrees[1] == M - 1


@pytest.mark.parametrize("rule", ["partly_synthetic", "missing"])
def test_copies_that_agree_leave_the_variance_within(rule):
    found = ps.combine([2.0, 2.0], [0.04, 0.04], rule=rule)
    assert found.standard_error == pytest.approx(0.2)
    assert found.upper == pytest.approx(2 + 0.2 * stats.norm.ppf(0.95))


@pytest.mark.parametrize(
    ("estimates", "variances", "found"),
    [
        ([1.0], [1.0], "at least 2"),
        ([1.0, 2.0], [1.0], "same shape"),
        ([[[1.0]], [[2.0]]], [[[1.0]], [[2.0]]], "same shape"),
        ([], [], "same shape"),
        ([1.0, float("nan")], [1.0, 1.0], "missing or infinite"),
        ([1.0, 2.0], [1.0, float("inf")], "missing or infinite"),
        ([1.0, 2.0], [1.0, -1.0], "below zero"),
        (["a", "b"], [1.0, 1.0], "are numbers"),
        ([[1.0], [1.0, 2.0]], [1.0, 1.0], "are numbers"),
    ],
)
def test_what_cannot_be_combined_is_refused(estimates, variances, found):
    with pytest.raises(InputError, match=found):
        ps.combine(estimates, variances)


@pytest.mark.parametrize(
    "options", [{"rule": "rubin"}, {"level": 1.0}, {"level": 0}, {"size": 0}, {"size": float("nan")}]
)
def test_options_that_are_none_are_refused(options):
    with pytest.raises(InputError):
        ps.combine(ESTIMATES, VARIANCES, **options)


@settings(max_examples=30, deadline=None)
@given(
    shift=st.floats(-100, 100),
    factor=st.floats(0.01, 100),
    rule=st.sampled_from(["synthetic", "partly_synthetic", "missing"]),
)
def test_intervals_move_and_stretch_with_the_unit(shift, factor, rule):
    plain = ps.combine(ESTIMATES, VARIANCES, rule=rule)
    moved = ps.combine(np.array(ESTIMATES) * factor + shift, np.array(VARIANCES) * factor**2, rule=rule)
    assert moved.lower == pytest.approx(plain.lower * factor + shift, rel=1e-6, abs=1e-6)
    assert moved.upper == pytest.approx(plain.upper * factor + shift, rel=1e-6, abs=1e-6)


def _coverage(rule: str, size: int = 300, m: int = 10) -> float:
    """Share of 90 % intervals that hold the mean of a normal population, where tables are made as the theory has it: people
    are drawn, noise is added to their mean, and each copy has its own draw of the mean that is left open."""
    rng = np.random.default_rng(0)
    people, noise = 50, 0.2
    sampling = 1 / people
    known = rng.normal(0, np.sqrt(sampling + noise**2), size)
    means = known + rng.normal(0, np.sqrt(sampling + noise**2), (m, size))
    copies = means + rng.normal(0, np.sqrt(sampling), (m, size))
    found = ps.combine(copies, np.full((m, size), sampling), rule=rule)
    return float(np.mean((found.lower <= 0) & (found.upper >= 0)))


def test_the_rule_for_synthetic_tables_covers_and_the_one_for_partly_synthetic_ones_does_not():
    """300 intervals at 90 %: a standard error of .017; the other rules forget most of the noise, or count people twice."""
    assert 0.84 <= _coverage("synthetic") <= 0.95
    assert _coverage("partly_synthetic") < 0.8
    assert _coverage("missing") > _coverage("synthetic") + 0.02
