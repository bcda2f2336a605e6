"""What a fit promises: by the curve of how its answers add up, and only where they do."""

from dataclasses import replace
from fractions import Fraction

import pytest

from privsynth.errors import MechanismError
from privsynth.measurement import Event, Selection
from privsynth.privacy.accounting import gaussian_epsilon_of, gaussian_rho_for, rho_for
from privsynth.privacy.guarantee import Budget, Guarantee
from privsynth.privacy.unit import PrivacyUnit

UNIT = PrivacyUnit(name="person")


def answer(mechanism, rho):
    event = Event(stage="x", mechanism=mechanism, rho=rho, sensitivity_squared=1)
    return Selection(chosen=("a",), candidates=1, event=event)


def test_gaussian_answers_get_the_gaussian_s_budget_and_its_epsilon():
    budget = Budget.of("1", "1e-9", buys=False, composition="gdp")
    assert (budget.composition, budget.rho) == ("gdp", gaussian_rho_for("1", "1e-9"))
    promised = Guarantee.for_budget(budget, UNIT, (answer("rounded-gaussian", budget.rho),))
    assert promised.epsilon == gaussian_epsilon_of(budget.rho, "1e-9")
    said = promised.statement(noise="n", transcript=())
    assert (said["definition"], said["epsilon"], said["delta"]) == ("Gaussian DP", "1", "0.000000001")
    assert "own curve" in str(said["conversion"])
    assert "exponential" not in str(said["noise"])
    assert Fraction(str(said["rho"])) >= budget.rho


def test_where_something_is_bought_the_budget_is_zcdp():
    budget = Budget.of("1", "1e-9", buys=True, composition="gdp")
    assert (budget.composition, budget.rho) == ("zcdp", rho_for("1", "5e-10"))
    with pytest.raises(MechanismError, match="bought"):
        replace(budget, composition="gdp")
    said = Guarantee.for_budget(budget, UNIT, ()).statement(
        noise="n", transcript=(answer("stability-threshold", budget.rho),)
    )
    assert said["definition"] == "approximate zCDP"
    assert "exponential" not in str(said["noise"])


@pytest.mark.parametrize("mechanism", ["exponential", "stability-threshold", "discrete-gaussian"])
def test_other_mechanisms_are_never_promised_the_gaussian_s_epsilon(mechanism):
    budget = Budget.of("1", "1e-9", buys=False, composition="gdp")
    with pytest.raises(MechanismError, match="not all"):
        Guarantee.for_budget(budget, UNIT, (answer("rounded-gaussian", Fraction(0)), answer(mechanism, Fraction(0))))


def test_by_default_answers_add_up_as_zcdp():
    budget = Budget.of("1", "1e-9", buys=False)
    assert (budget.composition, budget.rho) == ("zcdp", rho_for("1", "1e-9"))
    answers = (answer("exponential", budget.rho),)
    said = Guarantee.for_budget(budget, UNIT, answers).statement(noise="n", transcript=answers)
    assert said["definition"] == "zCDP"
    assert "proposition 12" in str(said["conversion"])
    assert "rounded Gaussian and exponential" in str(said["noise"])
