"""Budgets with gradient steps: how they are split, what they promise, and what is refused before anything is touched."""

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from privsynth.errors import MechanismError
from privsynth.fitting import FitPlan
from privsynth.measurement import Event, Selection, Trained
from privsynth.privacy.accounting import (
    CONVERSIONS,
    Cost,
    gaussian_epsilon_of,
    gaussian_rho_for,
    renyi_epsilon_of,
    rho_for,
)
from privsynth.privacy.guarantee import Budget, Guarantee, two_digits_up
from privsynth.privacy.sampled_gaussian import GRID, MOST_MULTIPLIER, Schedule, loss_epsilon
from privsynth.privacy.unit import NeighboringRelation, PrivacyUnit
from tests.tiny_training import TinyTraining

UNIT = PrivacyUnit(name="person")
PLAN = Schedule(sampling_rate=Fraction(1, 50), steps=200, first_share=Fraction(1, 4))


def budget(epsilon=1, delta="1e-6", *, buys=False, composition="pld", plan=PLAN):
    return Budget.of(epsilon, delta, buys=buys, composition=composition, schedule=plan)


def trained(found, **changes):
    event = Event(
        stage="gradients",
        mechanism="sampled-gaussian",
        rho=Fraction(0),
        sensitivity_squared=1,
        sampling_rate=found.training.sampling_rate,
        steps=found.training.steps,
        noise_multiplier=found.training.noise_multiplier,
    )
    return Trained(weights={"w": np.ones(2, dtype=np.float32)}, event=replace(event, **changes))


def selection(mechanism="rounded-gaussian", rho=Fraction(0)):
    return Selection(
        chosen=("a",), candidates=1, event=Event(stage="x", mechanism=mechanism, rho=rho, sensitivity_squared=1)
    )


def test_a_share_goes_to_answers_and_the_rest_to_the_least_noise_that_suffices():
    found = budget()
    assert (found.composition, found.purchase_rho) == ("pld", 0)
    assert found.rho == gaussian_rho_for(Fraction(1), Fraction(1, 10**6)) / 4
    assert found.training is not None and PLAN.allows(found.training)
    less = replace(found.training, noise_multiplier=found.training.noise_multiplier - Fraction(1, GRID))
    promised = Guarantee.for_budget(found, UNIT, (trained(found),))
    assert promised.epsilon == loss_epsilon(found.training, rho=found.rho, delta=found.delta) <= 1
    assert loss_epsilon(less, rho=found.rho, delta=found.delta) > 1
    assert gaussian_epsilon_of(found.rho, found.delta) < promised.epsilon


def test_with_purchases_it_is_renyi_dp():
    found = budget(buys=True)
    whole = rho_for(1, "5e-7")
    assert (found.composition, found.purchase_rho, found.purchase_delta) == ("rdp", whole / 10, Fraction(1, 2 * 10**6))
    assert found.rho == whole / 10 + whole * Fraction(9, 40)
    promised = Guarantee.for_budget(found, UNIT, (selection("stability-threshold"),))
    assert promised.epsilon == renyi_epsilon_of(found.rho, Fraction(1, 2 * 10**6), found.training) <= 1
    assert found.for_answers.rho == found.rho - found.purchase_rho
    assert found.for_answers.training == found.training
    said = promised.statement(noise="n", transcript=())
    assert (said["definition"], said["conversion"]) == ("approximate Renyi DP", CONVERSIONS["rdp"])
    assert budget(buys=False, composition="zcdp").composition == "rdp"
    with pytest.raises(MechanismError, match="bought"):
        replace(found, composition="pld")


def test_the_first_share_may_be_nothing():
    found = budget(plan=replace(PLAN, first_share=Fraction(0)))
    assert found.rho == 0
    said = Guarantee.for_budget(found, UNIT, (trained(found),)).statement(noise="n", transcript=())
    assert said["rho"] == "0"


def test_steps_and_composition_go_together():
    with pytest.raises(MechanismError, match='"pld" or "rdp"'):
        replace(budget(), composition="gdp")
    with pytest.raises(MechanismError, match='"pld" or "rdp"'):
        replace(budget(), training=None)
    assert Budget.of(1, "1e-6", buys=False, composition="pld").composition == "gdp"


@pytest.mark.parametrize("buys", [False, True])
def test_a_budget_too_small_is_refused_with_one_that_is_not(buys):
    plan = Schedule(sampling_rate=Fraction(1, 2), steps=2000, first_share=Fraction(1, 4))
    with pytest.raises(MechanismError, match=r"does not pay for 2,000 gradient steps at sampling rate 0\.5") as refused:
        budget("1/100", buys=buys, plan=plan)
    least = str(refused.value).split("at least ")[1].split(",")[0]
    found = budget(least, buys=buys, plan=plan)
    assert found.training is not None and found.training.noise_multiplier <= MOST_MULTIPLIER
    with pytest.raises(MechanismError, match="does not pay"):
        budget(Fraction(least) * Fraction(8, 10), buys=buys, plan=plan)


def test_two_digits_are_rounded_up():
    assert [two_digits_up(Fraction(text)) for text in ("0.1201", "5", "123", "0.099", "0.0991")] == [
        "0.13",
        "5",
        "130",
        "0.099",
        "0.10",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 201},
        {"steps": 0},
        {"sampling_rate": Fraction(1, 49)},
        {"noise_multiplier": Fraction(1, 2)},
        {"noise_multiplier": None},
    ],
)
def test_a_training_that_is_not_the_budget_s_is_never_promised(changes):
    found = budget()
    with pytest.raises(MechanismError, match="not those of the budget"):
        Guarantee.for_budget(found, UNIT, (trained(found, **changes),))


def test_fewer_steps_are_within_the_budget_and_two_trainings_are_added_up():
    found = budget()
    parts = trained(found, steps=120), trained(found, steps=80)
    assert Guarantee.for_budget(found, UNIT, parts[:1]) == Guarantee.for_budget(found, UNIT, parts)
    with pytest.raises(MechanismError, match="not those of the budget"):
        Guarantee.for_budget(found, UNIT, (*parts, trained(found, steps=1)))
    with pytest.raises(MechanismError, match="not those of the budget"):
        Guarantee.for_budget(Budget.of(1, "1e-6", buys=False, composition="gdp"), UNIT, parts)
    with pytest.raises(MechanismError, match="not all"):
        Guarantee.for_budget(found, UNIT, (selection("exponential"),))
    with pytest.raises(MechanismError, match="more than the budget"):
        Guarantee.for_budget(found, UNIT, (selection(rho=found.rho * 2),))


def test_the_statement_says_what_the_steps_were():
    found = budget()
    transcript = (selection(rho=found.rho), trained(found))
    said = Guarantee.for_budget(found, UNIT, transcript).statement(noise="n", transcript=transcript)
    assert found.training is not None
    assert said["training"] == {
        "mechanism": "Poisson-subsampled Gaussian",
        "samplingRate": "0.02",
        "steps": 200,
        "noiseMultiplier": str(float(found.training.noise_multiplier)),
    }
    assert said["definition"] == "(epsilon, delta)-DP"
    assert said["conversion"] == CONVERSIONS["pld"]
    assert "single precision" in str(said["noise"]) and "1/64" in str(said["noise"])
    stages = json.loads(json.dumps(said["stages"]))
    assert stages[1] == {"stage": "gradients", "mechanism": "Poisson-subsampled Gaussian", "rho": "0", "delta": "0"}
    assert "training" not in Guarantee.for_budget(
        Budget.of(1, "1e-6", buys=False, composition="gdp"), UNIT, ()
    ).statement(noise="n", transcript=())


def test_a_plan_needs_a_budget_for_its_generator_s_steps_and_units_that_are_added_or_removed():
    generator = TinyTraining(steps=200, sampling_rate=Fraction(1, 50), first_share=Fraction(1, 4))
    assert FitPlan(generator=generator, unit=UNIT, budget=budget()).budget.training is not None
    other = replace(generator, steps=201)
    with pytest.raises(MechanismError, match="does not pay for the gradient steps that tiny_training takes"):
        FitPlan(generator=other, unit=UNIT, budget=budget())
    with pytest.raises(MechanismError, match="does not pay for the gradient steps"):
        FitPlan(generator=generator, unit=UNIT, budget=Budget.of(1, "1e-6", buys=False, composition="gdp"))
    swapped = PrivacyUnit(name="person", relation=NeighboringRelation.REPLACE_ONE)
    with pytest.raises(MechanismError, match="nothing tight is proved for replacing one under Poisson sampling"):
        FitPlan(generator=generator, unit=swapped, budget=budget())


def test_the_ledger_is_charged_for_the_steps():
    found = budget()
    whole = Cost.of(found.rho, 0, found.training)
    alone = Cost.of(found.rho)
    assert all(a < b for a, b in zip(alone.nano_rdp, whole.nano_rdp, strict=True))
    gaussian = Cost.of(gaussian_rho_for(Fraction(1), Fraction(1, 10**6)))
    assert all(whole.nano_rdp[at] < 1.5 * gaussian.nano_rdp[at] for at in range(24))  # up to an order of 9
