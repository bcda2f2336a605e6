"""A fit's plan: how its answers add up is the generator's to say, and nobody else's."""

import numpy as np
import pytest

from privsynth import generators
from privsynth.errors import MechanismError
from privsynth.fitting import FitPlan, measure
from privsynth.privacy.guarantee import Budget, Guarantee
from privsynth.privacy.noise import SystemNoise
from privsynth.privacy.unit import PrivacyUnit
from privsynth.private import Private
from privsynth.records import Records
from privsynth.schema import Schema

ROW = PrivacyUnit(name="row")
GAUSSIAN = Budget.of("1", "1e-6", buys=False, composition="gdp")


@pytest.mark.parametrize("name", [name for name in generators.NAMES if generators.get(name, {}).composition == "zcdp"])
def test_a_generator_that_selects_gets_no_gaussian_budget(name):
    with pytest.raises(MechanismError, match="do not add up"):
        FitPlan(generator=generators.get(name, {}), unit=ROW, budget=GAUSSIAN)


def test_a_gaussian_budget_reaches_the_curator():
    records = Records(schema=Schema.from_domain({"x": 4}), ticks={"x": np.arange(40) % 4})
    plan = FitPlan(generator=generators.get("independent", {}), unit=ROW, budget=GAUSSIAN)
    _, transcript = measure(Private(records), plan, SystemNoise())
    assert [entry.event.rho for entry in transcript] == [GAUSSIAN.rho]
    assert Guarantee.for_budget(GAUSSIAN, ROW, transcript).composition == "gdp"
    either = FitPlan(generator=generators.get("independent", {}), unit=ROW, budget=Budget.of("1", "1e-6", buys=True))
    assert either.budget.composition == "zcdp"
