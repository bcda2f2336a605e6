"""Gradient steps are accounted as tightly as is known, never below, against other libraries and brute force."""

import builtins
import itertools
import json
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from privsynth.errors import InputError, MechanismError
from privsynth.privacy import renyi
from privsynth.privacy import sampled_gaussian as sg
from privsynth.privacy.accounting import (
    ORDERS,
    Cost,
    epsilon_for,
    gaussian_epsilon_of,
    gaussian_rho_for,
    renyi_epsilon_of,
)
from privsynth.privacy.sampled_gaussian import GRID, SampledGaussian, Schedule, loss_delta, loss_epsilon

MILLIONTH = Fraction(1, 10**6)
NONE = Fraction(0)


def steps(rate="1/100", count=2000, multiplier=2):
    return SampledGaussian(sampling_rate=Fraction(rate), steps=count, noise_multiplier=Fraction(multiplier))


def epsilon(training, delta=MILLIONTH, rho=NONE):
    return loss_epsilon(training, rho=Fraction(rho), delta=Fraction(delta))


# ---- privacy loss distributions --------------------------------------------------------------------------------------


def test_the_known_case():
    assert epsilon(steps()) == pytest.approx(1.035, abs=1e-3)
    assert renyi_epsilon_of(0, MILLIONTH, steps()) == pytest.approx(1.120, abs=3e-3)


@pytest.mark.parametrize(
    ("training", "delta"),
    [
        (steps(), 1e-6),
        (steps("1/20", 1000, 8), 1e-9),
        (steps("1/50", 1000, "29/10"), 1e-5),
        (steps("1/10", 50, 1), 1e-5),
    ],
)
def test_opacus_agrees(training, delta):
    accountants = pytest.importorskip("opacus.accountants")
    rate, multiplier = float(training.sampling_rate), float(training.noise_multiplier)
    found, history = epsilon(training, Fraction(delta)), [(multiplier, rate, training.steps)]
    other = accountants.PRVAccountant()
    other.history = history
    assert found == pytest.approx(other.get_epsilon(delta, eps_error=0.01), abs=0.011)
    renyi_one = accountants.RDPAccountant()
    renyi_one.history = history
    bound = renyi_one.get_epsilon(delta)
    assert found < bound
    assert renyi_epsilon_of(0, delta, training) == pytest.approx(bound, rel=0.01)


@pytest.mark.parametrize(
    ("count", "multiplier", "rho", "delta"),
    [(1, 1, 0, 1e-6), (10, 5, 0, 1e-9), (100, 20, "1/10", 1e-9), (1, 100, "1/2", 1e-10), (1000, 50, "1/1000", 1e-5)],
)
def test_without_sampling_it_is_the_gaussian_curve_and_not_below(count, multiplier, rho, delta):
    exact = gaussian_epsilon_of(Fraction(rho) + Fraction(count, 2 * multiplier**2), Fraction(delta))
    assert exact <= epsilon(steps(1, count, multiplier), delta, rho) <= exact * (1 + 2e-4)


@pytest.mark.parametrize(("rate", "multiplier"), [(0.01, 2.0), (0.1, 1.0), (0.3, 0.5), (0.05, 8.0), (0.9, 1.5)])
@pytest.mark.parametrize("at", [0.0, 0.01, 0.3, 1.0])
def test_one_step_is_the_larger_direction_by_direct_integration(rate, multiplier, at):
    def direction(removed):
        def gap(x):
            out = stats.norm.pdf(x, 0, multiplier)
            mixed = (1 - rate) * out + rate * stats.norm.pdf(x, 1, multiplier)
            one, other = (mixed, out) if removed else (out, mixed)
            return max(0.0, one - math.exp(at) * other)

        turns = [-30 * multiplier, -4 * multiplier, 0, 0.5, 1, 1 + 4 * multiplier, 1 + 30 * multiplier]
        inside = (math.exp(at) - 1 + rate) / rate, (math.exp(-at) - 1 + rate) / rate
        turns += [multiplier**2 * math.log(each) + 0.5 for each in inside if each > 0]
        edges = sorted(turns)
        return sum(integrate.quad(gap, a, b, epsabs=1e-14, limit=200)[0] for a, b in itertools.pairwise(edges))

    both = direction(removed=True), direction(removed=False)
    found = loss_delta(steps(Fraction(rate), 1, Fraction(multiplier)), rho=NONE, epsilon=at)
    assert found >= max(both) - 1e-13
    assert found == pytest.approx(max(both), rel=5e-3, abs=1e-11)


def test_answers_beside_the_steps_are_composed_as_by_brute_force():
    """Losses of the steps, each convolved with the Gaussian curve."""
    training, rho = steps("1/10", 3, "3/2"), Fraction(1, 10)
    rate, sigma, mu = 0.1, 1.5, math.sqrt(0.2)
    x = np.linspace(-9 * sigma, 9 * sigma + 1, 641)
    out = stats.norm.pdf(x, 0, sigma) * (x[1] - x[0])
    ratio = 1 - rate + rate * np.exp((2 * x - 1) / (2 * sigma**2))
    for at in (0.2, 1.0):
        found = []
        for chances, losses in ((out * ratio, np.log(ratio)), (out, -np.log(ratio))):
            pairs, weights = np.add.outer(losses, losses).reshape(-1), np.outer(chances, chances).reshape(-1)
            total, known = (
                np.histogram(pairs, 4000, weights=weights)[0],
                np.histogram(pairs, 4000, weights=weights * pairs),
            )
            means = np.divide(known[0], total, where=total > 0, out=np.zeros_like(total))
            rest = at - np.add.outer(losses, means)
            gap = stats.norm.sf(rest / mu - mu / 2) - np.exp(rest) * stats.norm.sf(rest / mu + mu / 2)
            found.append(float(chances @ gap @ total))
        assert loss_delta(training, rho=rho, epsilon=at) == pytest.approx(max(found), rel=1e-3)


def test_rounding_in_transforms_is_within_what_is_set_aside():
    """At an epsilon far beyond what is likely nothing is left of delta but rounding."""
    for count, multiplier in ((1, 1), (2000, 2), (100_000, 15)):
        training = steps("1/100", count, multiplier)
        known = sg._composed(training, NONE, coarse=False)
        assert abs(known.get_delta_for_epsilon(9.0)) < sg._lost(training)


@given(
    rate=st.fractions(Fraction(1, 1000), Fraction(1, 5), max_denominator=1000),
    count=st.integers(1, 500),
    multiplier=st.fractions(1, 10, max_denominator=64),
    more=st.sampled_from(["rate", "steps", "noise", "answers", "delta"]),
)
@settings(max_examples=10, deadline=None)
def test_more_of_anything_costs_more_and_more_noise_less(rate, count, multiplier, more):
    changed = {
        "rate": (rate * 2, count, multiplier),
        "steps": (rate, count * 2, multiplier),
        "noise": (rate, count, multiplier / 2),
    }
    answers, delta = Fraction(1, 50 if more == "answers" else 100), MILLIONTH / (2 if more == "delta" else 1)
    before = loss_epsilon(steps(rate, count, multiplier), rho=Fraction(1, 100), delta=MILLIONTH, coarse=True)
    after = loss_epsilon(steps(*changed.get(more, (rate, count, multiplier))), rho=answers, delta=delta, coarse=True)
    assert after >= before * (1 - 1e-3)


def test_the_curve_and_epsilon_agree():
    training, rho = steps(), Fraction(1, 20)
    found = epsilon(training, rho=rho)
    assert loss_delta(training, rho=rho, epsilon=found) == pytest.approx(1e-6, rel=1e-3)
    assert loss_delta(training, rho=rho, epsilon=0.0) < 1


def test_a_coarse_answer_is_near_and_not_below():
    for training in (steps(), steps("1/20", 500, 4), steps("1/10", 100, 1)):
        fine, coarse = epsilon(training), loss_epsilon(training, rho=NONE, delta=MILLIONTH, coarse=True)
        assert fine * (1 - 1e-5) <= coarse <= fine * 1.01


def test_a_delta_below_rounding_is_refused():
    with pytest.raises(
        MechanismError, match=r"cannot be told from rounding over 2,000 gradient steps; ask for at least"
    ):
        epsilon(steps(), Fraction(1, 10**13))


def test_without_dp_accounting_the_extra_is_named(monkeypatch):
    plain = builtins.__import__

    def missing(name, *rest, **more):
        if name.startswith("dp_accounting"):
            raise ImportError(name)
        return plain(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(InputError, match=r'pip install "privsynth\[deep\]"'):
        epsilon(steps("1/77", 7, 7))


# ---- Renyi divergences -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "sigma"),
    [(0.01, 2.0), (0.1, 1.0), (0.05, 8.0), (0.5, 20.0), (0.01, 0.5), (1e-5, 100.0), (0.999, 4.0), (0.3, 0.25)],
)
def test_divergences_against_thirty_digits(rate, sigma):
    mpmath.mp.dps = 30
    q, s = mpmath.mpf(rate), mpmath.mpf(sigma)

    def exact(order):
        def moment(x):
            return mpmath.npdf(x, 0, s) * (1 - q + q * mpmath.e ** ((2 * x - 1) / (2 * s * s))) ** mpmath.mpf(order)

        edges = sorted({-20 * s, -5 * s, mpmath.mpf(0), 5 * s, mpmath.mpf(order) / 2, order + 5 * s, order + 20 * s})
        return mpmath.log(mpmath.quad(moment, edges)) / (mpmath.mpf(order) - 1)

    for order in (1.125, 3.7, 70.0):
        found = renyi.divergence(rate, sigma, order)
        assert 1 <= found / exact(order) <= 1 + 1.2e-8, order
    between = renyi.divergence(rate, sigma, 70.5)
    assert 1 <= between / exact(70.5) <= 1 + 2e-4


def test_divergences_grow_with_the_order_and_meet_the_other_library():
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
    from dp_accounting.rdp import RdpAccountant

    whole = [2.0, 3.0, 5.0, 17.0, 64.0, 300.0]
    for rate, sigma in ((0.01, 2.0), (0.1, 1.0), (0.02, 0.7)):
        found = [renyi.divergence(rate, sigma, float(order)) for order in ORDERS]
        assert all(a <= b for a, b in itertools.pairwise(found))
        theirs = RdpAccountant(whole).compose(PoissonSampledDpEvent(rate, GaussianDpEvent(sigma)), 1)
        assert [renyi.divergence(rate, sigma, order) for order in whole] == pytest.approx(list(theirs._rdp), rel=1e-6)
    assert renyi.divergence(1.0, 2.0, 8.0) == pytest.approx(1.0)


@given(st.fractions(0, 2), st.fractions(0, 2), st.integers(1, 500), st.integers(1, 500))
@settings(max_examples=20, deadline=None)
def test_the_ledger_adds_trainings_up(rho, other, count, more):
    one, two = steps("1/64", count, 2), steps("1/64", more, 2)
    together = Cost.of(rho + other, 0, steps("1/64", count + more, 2))
    apart = Cost.of(rho, 0, one) + Cost.of(other, 0, two)
    slack = [a - b for a, b in zip(apart.nano_rdp, together.nano_rdp, strict=True)]
    assert min(slack) >= -1 and max(slack) <= 3
    alone = Cost.of(rho)
    assert all(a < b for a, b in zip(alone.nano_rdp, Cost.of(rho, 0, one).nano_rdp, strict=True))


def test_renyi_is_never_below_losses_and_the_parts_must_fit():
    for training in (steps(), steps("1/20", 500, 4), steps("1/10", 100, 1)):
        rho = Fraction(1, 40)
        loose, tight = (epsilon_for(rho, MILLIONTH, kind, training) for kind in ("rdp", "pld"))
        assert tight < loose < 1.3 * tight
    with pytest.raises(MechanismError, match="gradient steps add up"):
        epsilon_for(rho, MILLIONTH, "gdp", steps())
    with pytest.raises(MechanismError, match="answers alone add up"):
        epsilon_for(rho, MILLIONTH, "pld")


# ---- calibration, and what is declared -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "count", "share", "target", "delta"),
    [("1/50", 200, "1/4", 1, 1e-5), ("1/50", 200, "1/4", 10, 1e-5), ("1/20", 50, 0, Fraction(1, 10), 1e-9)],
)
def test_the_least_noise_suffices_and_a_step_of_the_grid_less_does_not(rate, count, share, target, delta):
    plan = Schedule(sampling_rate=Fraction(rate), steps=count, first_share=Fraction(share))
    rho = plan.first_share * gaussian_rho_for(target, Fraction(delta))

    def costs(training, coarse):
        return loss_epsilon(training, rho=rho, delta=Fraction(delta), coarse=coarse)

    found = sg.smallest_multiplier(plan, lambda training, coarse: costs(training, coarse) <= target)
    assert found is not None and (found * GRID).denominator == 1
    assert costs(plan.training(found), False) <= target < costs(plan.training(found - Fraction(1, GRID)), False)


@pytest.mark.parametrize("threshold", [256, 257, 300, 5000, 204_799, 204_800])
@pytest.mark.parametrize("off", [-9, -1, 0, 1, 9])
def test_the_search_finds_the_place_wherever_the_coarse_one_was(threshold, off):
    plan = Schedule(sampling_rate=Fraction(1, 2), steps=1, first_share=NONE)

    def enough(training, coarse):
        return training.noise_multiplier * GRID >= threshold + (off if coarse else 0)

    assert sg.smallest_multiplier(plan, enough) == Fraction(threshold, GRID)


def test_the_search_says_when_nothing_suffices_or_anything_does():
    plan = Schedule(sampling_rate=Fraction(1, 2), steps=1, first_share=NONE)
    assert sg.smallest_multiplier(plan, lambda *_: False) is None
    assert sg.smallest_multiplier(plan, lambda _, coarse: coarse) is None
    assert sg.smallest_multiplier(plan, lambda *_: True) == sg.LEAST_MULTIPLIER


def test_numbers_out_of_range_are_refused():
    for rate in (0, Fraction(0), Fraction(3, 2), 0.1):
        with pytest.raises(MechanismError, match="sampling rate"):
            SampledGaussian(sampling_rate=rate, steps=1, noise_multiplier=Fraction(1))
    for count in (0, 1.0, True):
        with pytest.raises(MechanismError, match="whole number of steps"):
            steps(count=count)
    for multiplier in (NONE, Fraction(-1)):
        with pytest.raises(MechanismError, match="noise multiplier"):
            steps(multiplier=multiplier)
    for share in (Fraction(1), Fraction(-1, 9), 0.5):
        with pytest.raises(MechanismError, match="first share"):
            Schedule(sampling_rate=Fraction(1), steps=1, first_share=share)


def test_json_both_ways():
    training = steps("1/3", 7, "5/7")
    assert SampledGaussian.from_json(json.loads(json.dumps(training.to_json()))) == training
    assert Schedule(sampling_rate=Fraction(1, 3), steps=7, first_share=NONE).allows(training)
    assert not Schedule(sampling_rate=Fraction(1, 3), steps=8, first_share=NONE).allows(training)
