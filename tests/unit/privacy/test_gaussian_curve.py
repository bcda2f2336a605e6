"""The Gaussian's privacy curve: against high precision, an independent library, and never in the spender's favour."""

import math
from fractions import Fraction

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth.errors import MechanismError
from privsynth.privacy import gaussian_curve
from privsynth.privacy.accounting import (
    budget_for,
    epsilon_of,
    gaussian_epsilon_of,
    gaussian_rho_for,
    rho_for,
)
from privsynth.privacy.gaussian_curve import curve, suffices


def delta_of(rho, epsilon):
    """The curve; erfc is relatively accurate at any size, and 800 bits outlast what cancels."""
    with mpmath.workprec(800):
        mu = mpmath.sqrt(2 * mpmath.mpf(rho.numerator) / rho.denominator)
        exact = mpmath.mpf(epsilon.numerator) / epsilon.denominator
        near, far = exact / mu - mu / 2, exact / mu + mu / 2
        return (mpmath.erfc(near / mpmath.sqrt(2)) - mpmath.exp(exact) * mpmath.erfc(far / mpmath.sqrt(2))) / 2


@given(st.fractions(Fraction(1, 10**6), 40), st.fractions(0, 60), st.integers(10, 300))
def test_the_curve_is_enclosed(rho, epsilon, precision):
    found = curve(rho, epsilon, precision)
    exact = delta_of(rho, epsilon)
    with mpmath.workprec(800):
        assert found.low <= exact * mpmath.mpf(2) ** precision <= found.high
    assert found.high - found.low <= 4


@given(st.fractions(16, 5000), st.integers(1, 60))
def test_the_parts_of_the_curve_are_enclosed_at_any_precision(x_squared, precision):
    with mpmath.workprec(800):
        x = mpmath.sqrt(mpmath.mpf(x_squared.numerator) / x_squared.denominator)
        tail, unit = mpmath.erfc(x / mpmath.sqrt(2)) / 2, mpmath.mpf(2) ** precision
        found = gaussian_curve._mills(x_squared, precision)
        assert found.low <= tail * mpmath.exp(x**2 / 2) * unit <= found.high
        for positive, exact in ((True, tail), (False, 1 - tail)):
            found = gaussian_curve._beyond(x_squared, precision, positive=positive)
            assert found.low <= exact * unit <= found.high


CASES = [
    ("1", "1e-9"),
    ("0.1", "1e-9"),
    ("10", "1e-9"),
    ("1e-4", "1e-6"),
    ("1", "1e-300"),
    ("300", "1e-12"),
    ("10000", "1e-9"),
    ("1", "0.9"),
    ("0.01", "0.3"),
]


@pytest.mark.parametrize(("epsilon", "delta"), CASES)
def test_a_budget_keeps_its_epsilon_and_wastes_nothing(epsilon, delta):
    rho = gaussian_rho_for(epsilon, delta)
    assert delta_of(rho, Fraction(epsilon)) <= mpmath.mpf(delta)
    more = rho * (1 + Fraction(1, 10**8)) + Fraction(1, 2**59)
    assert delta_of(more, Fraction(epsilon)) > mpmath.mpf(delta)
    shown = gaussian_epsilon_of(rho, delta)
    assert Fraction(epsilon) * (1 - Fraction(1, 10**8)) < shown <= Fraction(epsilon)
    assert rho > rho_for(epsilon, delta)


@given(st.floats(1e-6, 200), st.floats(1e-12, 0.5))
def test_epsilon_is_rounded_up_and_below_that_of_zcdp(rho, delta):
    found = gaussian_epsilon_of(rho, delta)
    if found:
        assert delta_of(Fraction(rho), Fraction(found)) <= mpmath.mpf(delta)
        assert delta_of(Fraction(rho), Fraction(found) * (1 - Fraction(1, 10**9))) > mpmath.mpf(delta)
    else:
        assert delta_of(Fraction(rho), Fraction(0)) <= mpmath.mpf(delta)
    assert found <= epsilon_of(rho, delta)


@pytest.mark.parametrize(("rho", "delta"), [(0.5, 1e-6), (0.02, 1e-6), (2.63, 1e-10), (0.01, 1e-9), (12.5, 1e-5)])
def test_it_agrees_with_dp_accounting(rho, delta):
    from dp_accounting import GaussianDpEvent
    from dp_accounting.pld import PLDAccountant

    theirs = PLDAccountant(value_discretization_interval=1e-4)
    theirs.compose(GaussianDpEvent(noise_multiplier=1 / math.sqrt(2 * rho)))
    assert gaussian_epsilon_of(rho, delta) == pytest.approx(theirs.get_epsilon(delta), rel=1e-3)


def test_adaptive_parts_add_up_to_the_whole_in_dp_accounting():
    """Three Gaussian releases of rho 1/2, 1/4 and 1/4 are one of rho 1."""
    from dp_accounting import GaussianDpEvent
    from dp_accounting.pld import PLDAccountant

    theirs = PLDAccountant(value_discretization_interval=1e-4)
    for rho in (0.5, 0.25, 0.25):
        theirs.compose(GaussianDpEvent(noise_multiplier=1 / math.sqrt(2 * rho)))
    assert gaussian_epsilon_of(1, 1e-6) == pytest.approx(theirs.get_epsilon(1e-6), rel=1e-3)


def test_less_noise_is_needed_than_by_zcdp():
    """The figures of docs/decisions/0008: noise scales as rho^(-1/2)."""
    saved = {
        epsilon: 1 - math.sqrt(rho_for(epsilon, "1e-9") / gaussian_rho_for(epsilon, "1e-9"))
        for epsilon in ("0.1", "1", "10")
    }
    assert saved == {
        "0.1": pytest.approx(0.055, abs=5e-4),
        "1": pytest.approx(0.049, abs=5e-4),
        "10": pytest.approx(0.0396, abs=5e-4),
    }


def test_within_the_enclosure_s_width_nothing_is_granted():
    with mpmath.workprec(400):
        exact = delta_of(Fraction(1, 50), Fraction(1))
        at = Fraction(int(mpmath.floor(exact * mpmath.mpf(2) ** 300)), 2**300)
    assert not suffices(Fraction(1, 50), Fraction(1), at)
    assert suffices(Fraction(1, 50), Fraction(1), at * (1 + Fraction(1, 10**10)))


@pytest.mark.parametrize("epsilon", ["0", "-1", "nan", "inf", float("nan"), "", "1e999999", 10**6])
def test_impossible_epsilons_are_refused(epsilon):
    with pytest.raises(MechanismError):
        gaussian_rho_for(epsilon, "1e-6")


@pytest.mark.parametrize("delta", ["0", "1", "2", "-1e-9", "nan", "1e-301"])
def test_impossible_deltas_are_refused(delta):
    with pytest.raises(MechanismError):
        gaussian_rho_for("1", delta)
    with pytest.raises(MechanismError):
        gaussian_epsilon_of("1", delta)


def test_ends_of_the_range():
    assert gaussian_epsilon_of(0, "1e-6") == 0
    assert gaussian_epsilon_of(10**9, "1e-6") == epsilon_of(10**9, "1e-6")
    with pytest.raises(MechanismError, match="leaves no budget"):
        gaussian_rho_for("1e-9", "1e-290")
    assert budget_for("1", "1e-9", "gdp") == gaussian_rho_for("1", "1e-9")
    assert budget_for("1", "1e-9", "zcdp") == rho_for("1", "1e-9")
