"""One-run auditing: known limits, and that a true claim is refuted no more often than is said."""

import math

import numpy as np
import pytest

from privsynth import one_run
from privsynth.errors import AuditError
from privsynth.one_run import Guesses


def test_known_values():
    coin = Guesses(canaries=100, made=10, right=10)
    assert one_run.p_value(coin, epsilon=0, delta=0) == pytest.approx(2**-10)
    assert one_run.p_value(Guesses(canaries=10, made=10, right=0), epsilon=3, delta=0) == 1
    of_ten = Guesses(canaries=10, made=10, right=8)
    assert one_run.p_value(of_ten, epsilon=0, delta=0) == pytest.approx(56 / 1024)
    # f(8) + 2 * 10 * 0.001 * max over i of (f(8 - i) - f(8)) / i; here i = 4: P(4 <= B <= 7) / 4
    assert one_run.p_value(of_ten, epsilon=0, delta=0.001) == pytest.approx(
        56 / 1024 + 0.02 * (210 + 252 + 210 + 120) / 1024 / 4
    )
    assert one_run.epsilon_lower(coin, delta=0, alpha=0.05) == pytest.approx(
        math.log(0.05**0.1 / (1 - 0.05**0.1)), rel=1e-6
    )
    assert one_run.epsilon_lower(Guesses(canaries=10, made=10, right=5), delta=0, alpha=0.05) == 0


def test_more_right_guesses_refute_more_and_a_larger_delta_less():
    made = [Guesses(canaries=200, made=100, right=right) for right in range(50, 101, 10)]
    for bound in (
        lambda one: one_run.epsilon_lower(one, delta=1e-5, alpha=0.01),
        lambda one: one_run.mu_lower(one, alpha=0.01),
    ):
        found = [bound(one) for one in made]
        assert found == sorted(found)
        assert found[0] == 0 < found[2]
    deltas = [one_run.epsilon_lower(made[4], delta=delta, alpha=0.01) for delta in (0, 1e-4, 1e-3)]
    assert deltas == sorted(deltas, reverse=True)
    assert deltas[0] > deltas[2]


def test_wrong_counts_are_refused():
    for canaries, made, right in ((10, 11, 1), (10, 5, 6), (0, 0, 0)):
        with pytest.raises(AuditError, match="no more guesses than canaries"):
            Guesses(canaries=canaries, made=made, right=right)
    with pytest.raises(AuditError, match="take more canaries"):
        one_run.guess(np.zeros(1), np.zeros(1, dtype=bool), share=0.5, rng=np.random.default_rng(1))


def test_guesses_go_to_both_ends_and_ties_to_neither():
    rng = np.random.default_rng(2)
    score = np.array([0.0] * 40 + [5.0] * 20 + [9.0] * 40)
    included = score == 9
    assert one_run.guess(score, included, share=0.5, rng=rng) == Guesses(canaries=100, made=50, right=50)
    assert one_run.guess(-score, included, share=0.5, rng=rng).right == 0
    flat = [one_run.guess(np.zeros(100), included, share=1.0, rng=rng).right for _ in range(300)]
    assert 48 < np.mean(flat) < 52
    assert np.std(flat) > 2


@pytest.mark.parametrize("epsilon", [0.5, 2.0])
def test_randomized_response_is_refuted_at_its_own_epsilon_no_more_often_than_alpha(epsilon):
    rng = np.random.default_rng(3)
    chance = 1 / (1 + math.exp(-epsilon))
    found = [Guesses(canaries=400, made=400, right=int(rng.binomial(400, chance))) for _ in range(1000)]
    refuted = sum(one_run.p_value(one, epsilon=epsilon, delta=0) <= 0.05 for one in found)
    assert 20 <= refuted <= 75  # 50 expected: the bound is tight here
    assert sum(one_run.p_value(one, epsilon=epsilon / 2, delta=0) <= 0.05 for one in found) > 700


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_gaussian_noise_is_refuted_at_its_own_mu_no_more_often_than_alpha(share):
    rng = np.random.default_rng(4)
    mu, runs = 1.0, 400
    truly = much_less = 0
    for _ in range(runs):
        included = rng.random(400) < 0.5
        score = mu * included + rng.standard_normal(400)
        found = one_run.guess(score, included, share=share, rng=rng)
        truly += one_run.mu_lower(found, alpha=0.05) > mu
        much_less += one_run.mu_lower(found, alpha=0.05) > mu / 4
    assert truly <= 0.05 * runs + 14
    assert much_less > runs / 2


def test_the_gaussian_bound_agrees_with_its_p_value_and_sees_more_than_epsilon_does():
    found = Guesses(canaries=1000, made=500, right=400)
    mu = one_run.mu_lower(found, alpha=0.01)
    assert one_run.gaussian_p_value(found, mu=mu) == pytest.approx(0.01, rel=0.01)
    assert one_run.gaussian_p_value(found, mu=2 * mu) > 0.01 > one_run.gaussian_p_value(found, mu=mu / 2)
    # epsilon at delta = 1e-5 of mu-GDP is above what guesses alone refute
    epsilon = one_run.epsilon_lower(found, delta=1e-5, alpha=0.01)
    tail = lambda x: 0.5 * math.erfc(x / math.sqrt(2))  # noqa: E731
    assert tail(epsilon / mu - mu / 2) - math.exp(epsilon) * tail(epsilon / mu + mu / 2) > 1e-5


@pytest.mark.parametrize("mu", [0.2, 1.0, 3.0])
def test_one_guess_on_one_canary_is_right_as_often_as_the_curve_allows(mu):
    found = one_run.gaussian_p_value(Guesses(canaries=1, made=1, right=1), mu=mu)
    assert found == pytest.approx(1 - 0.5 * math.erfc(mu / 2 / math.sqrt(2)), rel=2e-3)
