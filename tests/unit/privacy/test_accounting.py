"""Accounting: published conversions, an independent library, and never rounding in the spender's favour."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth.errors import MechanismError
from privsynth.privacy.accounting import NANO, ORDERS, Cap, Cost, epsilon_of, rho_for

VECTORS = [
    (0.5, 1e-6, 5.2215),
    (0.1, 1e-6, 2.1419),
    (1, 1e-6, 7.7662),
    (0.02, 1e-6, 0.8999),
    (0.05, 1e-8, 1.7553),
    (2.63, 1e-10, 17.4306),
]


@pytest.mark.parametrize(("rho", "delta", "epsilon"), VECTORS)
def test_conversion_matches_published_vectors(rho, delta, epsilon):
    assert epsilon_of(rho, delta) == pytest.approx(epsilon, abs=6e-5)


@pytest.mark.parametrize(("rho", "delta", "_"), VECTORS)
def test_conversion_is_never_below_dp_accounting_by_more_than_its_grid(rho, delta, _):
    from dp_accounting import GaussianDpEvent
    from dp_accounting.rdp import RdpAccountant

    theirs = RdpAccountant(orders=[1 + 1.01**k / 1000 for k in range(1200)])
    theirs.compose(GaussianDpEvent(noise_multiplier=1 / math.sqrt(2 * rho)))
    assert epsilon_of(rho, delta) == pytest.approx(theirs.get_epsilon(delta), rel=2e-4)


@given(st.floats(0.01, 50), st.floats(1e-12, 1e-3))
def test_rho_for_is_the_largest_that_fits(epsilon, delta):
    rho = rho_for(epsilon, delta)
    assert epsilon_of(rho, delta) <= epsilon
    assert epsilon_of(rho * Fraction(1001, 1000), delta) > epsilon


@pytest.mark.parametrize("epsilon", ["0", "-1", "nan", "inf", 0.0, float("nan"), float("inf"), "", "1e999999", 10**6])
def test_impossible_epsilons_are_refused(epsilon):
    with pytest.raises(MechanismError):
        rho_for(epsilon, "1e-6")


@pytest.mark.parametrize("delta", ["0", "1", "2", "-1e-9", "nan"])
def test_impossible_deltas_are_refused(delta):
    with pytest.raises(MechanismError):
        rho_for("1", delta)


@given(st.fractions(0, 5), st.fractions(0, Fraction(1, 1000)))
def test_a_cost_is_rounded_up_at_every_order(rho, delta):
    cost = Cost.of(rho, delta)
    assert all(charged >= rho * order * NANO for charged, order in zip(cost.nano_rdp, ORDERS, strict=True))
    assert cost.pico_delta >= delta * 10**12


@pytest.mark.parametrize(("epsilon", "delta"), [("0.1", "1e-6"), ("1", "1e-6"), ("10", "1e-6"), ("3", "1e-9")])
def test_a_cap_admits_what_its_epsilon_allows_and_no_more(epsilon, delta):
    cap = Cap.of(epsilon, delta)
    rho = rho_for(epsilon, Fraction(delta) / 2)
    assert cap.admits(Cost.of(rho * Fraction(99, 100)))
    assert not cap.admits(Cost.of(rho * Fraction(10001, 10000)))
    assert cap.epsilon_spent(Cost.of(rho * Fraction(99, 100))) <= Fraction(epsilon)
    assert cap.epsilon_spent(Cost.of(0)) == 0


def test_a_cap_bounds_the_sum_of_failure_probabilities():
    cap = Cap.of("1", "1e-6")
    assert cap.admits(Cost.of(0, "5e-7"))
    assert not cap.admits(Cost.of(0, "5.00001e-7"))


@given(st.lists(st.fractions(0, 1), max_size=6))
def test_costs_add_and_never_undercut_the_cost_of_the_sum(rhos):
    total = Cost.total(Cost.of(rho) for rho in rhos)
    exact = Cost.of(sum(rhos, Fraction(0)))
    assert all(a >= b for a, b in zip(total.nano_rdp, exact.nano_rdp, strict=True))
