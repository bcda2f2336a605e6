"""What has to pass: generators that keep their claim, and releases that carry nobody."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from itertools import product

from privsynth import generators
from privsynth.privacy.noise import SystemNoise
from tests.kill_matrix import black_boxes, sources, training_noise
from tests.kill_matrix.accounting import promised
from tests.kill_matrix.black_boxes import SIGMA, BlackBox
from tests.kill_matrix.defect import PATIENT, REPLACED, RHO, ROW, Conformance, Target
from tests.kill_matrix.generators import Scores
from tests.kill_matrix.histories import BOUGHT, Histories
from tests.kill_matrix.population import Released, independent
from tests.kill_matrix.sources import Drawn
from tests.tiny_training import TinyTraining

TRAINED = ("vae", "gan")
"""Generators that take gradient steps: nothing is claimed for units that are replaced."""

UNITS = {"row": ROW, "patient": PATIENT, "patient, replaced": REPLACED}
BUDGETS = {"hardly any budget": Fraction(1, 5000), "budget": RHO}


def shipped(name: str, unit: str, budget: str) -> Conformance:
    """A generator of ours, with noise as releases draw it."""
    return Conformance(
        generator=lambda: generators.get(name, {}),
        unit=UNITS[unit],
        rho=BUDGETS[budget],
        noise=lambda seed: SystemNoise(),
    )


SHIPPED: Mapping[str, Conformance] = {
    f"{name}, {unit}, {budget}": shipped(name, unit, budget)
    for name, unit, budget in product(generators.NAMES, UNITS, BUDGETS)
    if name not in TRAINED or unit != "patient, replaced"
}

OTHERS: Mapping[str, Target] = {
    "the generator to break, unbroken": Conformance(),
    "the same with the claim of a release": Conformance(promise=promised),
    "the Gaussian generator to break, unbroken": Conformance(generator=Scores),
    "a generator that trains, unbroken": Conformance(generator=TinyTraining),
    "its loop to break, unbroken, for rows": Conformance(generator=training_noise.Loop, unit=ROW),
    "rounded normal noise from floats": Conformance(noise=lambda seed: Drawn(seed, sources.right)),
    "histories in three tables, unbroken": Histories(),
    "histories with a bound that is bought": Histories(schema=BOUGHT),
    "a black box of noisy columns": BlackBox(sample=black_boxes.independent(SIGMA)),
    "a black box of a noisy chain": BlackBox(sample=black_boxes.chain(SIGMA)),
    "a release about other people of the population": Released(release=independent),
}
