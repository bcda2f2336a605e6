"""Coefficients: as scikit-learn and least squares have them, and none where there are none."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from privsynth.combining.likelihood import chances, linear, logistic

RNG = np.random.default_rng(3)
X = np.column_stack([np.ones(2000), RNG.normal(size=2000), RNG.integers(0, 2, 2000), RNG.exponential(size=2000)])
TRUTH = np.array([-1.0, 0.7, -0.5, 0.3])


def _outcome(x, truth):
    return (RNG.random(len(x)) < 1 / (1 + np.exp(-x @ truth))).astype(float)


def test_a_logistic_regression_is_scikit_learn_s_without_penalty():
    y = _outcome(X, TRUTH)
    found = logistic(X, X.T @ y / len(y))
    theirs = LogisticRegression(penalty=None, fit_intercept=False, tol=1e-10, max_iter=10_000).fit(X, y)
    assert found is not None
    assert found.coefficients == pytest.approx(theirs.coef_[0], abs=1e-5)
    chance = chances(X, found.coefficients)
    assert found.information == pytest.approx((X * (chance * (1 - chance))[:, None]).T @ X / len(X))


def test_a_start_elsewhere_leads_to_the_same_place():
    y = _outcome(X, TRUTH)
    moments = X.T @ y / len(y)
    near, far = logistic(X, moments), logistic(X, moments, np.array([3.0, -3.0, 2.0, -2.0]))
    assert near is not None
    assert far is not None
    assert far.coefficients == pytest.approx(near.coefficients, abs=1e-7)


def test_an_outcome_that_an_input_tells_has_no_coefficients():
    y = (X[:, 1] > 0).astype(float)
    assert logistic(X, X.T @ y / len(y)) is None


def test_moments_that_no_chances_have_give_no_coefficients():
    assert logistic(X, np.array([0.5, 5.0, 0.2, 0.5])) is None


@pytest.mark.parametrize("extra", [X[:, 1] + X[:, 2], np.zeros(len(X)), np.ones(len(X))])
def test_inputs_that_say_the_same_have_no_coefficients(extra):
    wide = np.column_stack([X, extra])
    y = _outcome(X, TRUTH)
    assert logistic(wide, wide.T @ y / len(y)) is None
    assert linear(wide.T @ wide / len(y), wide.T @ y / len(y)) is None


def test_a_linear_regression_is_least_squares():
    y = X @ TRUTH + RNG.normal(size=len(X))
    found = linear(X.T @ X / len(y), X.T @ y / len(y))
    assert found is not None
    assert found.coefficients == pytest.approx(np.linalg.lstsq(X, y, rcond=None)[0], abs=1e-9)
