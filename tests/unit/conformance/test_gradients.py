"""Canaries of a training: what they show of its sampling, and of its noise.

False alarms: each p-value of what is right is below 1e-4 once in 10,000 seeds. Power: of 25 simulated fits with a fifth too
little noise, none had a p-value above 4e-6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy as np
import pytest

from privsynth.audit_plan import AuditPlan
from privsynth.conformance import gradients, planted
from privsynth.conformance.hypothesis import Hypothesis
from privsynth.conformance.planted import Planted
from privsynth.conformance.watching import Trained
from privsynth.errors import MechanismError
from privsynth.generators.independent import Independent
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.privacy.unit import PrivacyUnit
from tests.kill_matrix import sources, training
from tests.kill_matrix.defect import PATIENT, REPLACED, RHO, ROW
from tests.kill_matrix.sources import Drawn
from tests.tiny_training import TinyTraining

TERMS = AuditPlan.load("quick").conformance


def trained(unit: PrivacyUnit = ROW) -> Trained:
    found = Trained.of(TinyTraining(), unit, RHO, None)
    assert found is not None
    return found


def shown(noise: AbstractNoiseSource, unit: PrivacyUnit = ROW) -> Mapping[str, Hypothesis]:
    tests = gradients.tests(TERMS, trained(unit), 1e-5, noise, np.random.default_rng(1))
    return {test.check: test for test in tests}


@pytest.mark.parametrize("unit", [ROW, PATIENT], ids=["row", "patient"])
def test_what_is_right_passes_and_its_bound_is_near(unit: PrivacyUnit) -> None:
    found = shown(UnsafeSeededNoise(1), unit)
    assert list(found) == ["sampling: rate", "sampling: independence", "gradients: canaries"]
    assert min(test.p_value for test in found.values()) > 1e-4
    low, nominal = found["gradients: canaries"].interval or (0.0, 0.0)
    assert 0.7 * nominal < low < nominal
    assert found["gradients: canaries"].figures["epsilon, any mechanism"] > 0.15 * nominal  # type: ignore[operator]


@pytest.mark.parametrize(
    ("broken", "caught_by"),
    [
        (training.more_often, "sampling: rate"),
        (training.fixed_size, "sampling: independence"),
        (training.shuffled, "sampling: independence"),
        (training.same_coins, "sampling: independence"),
    ],
)
def test_wrong_sampling_shows_without_knowing_the_coins(
    broken: Callable[[pytest.MonkeyPatch], None], caught_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch)
    assert shown(UnsafeSeededNoise(1))[caught_by].p_value < 1e-5


def test_a_fifth_too_little_noise_shows_and_a_fifth_too_much_does_not() -> None:
    less, more = (
        shown(Drawn(1, lambda rng, sigma, size, by=by: sources.right(rng, by * sigma, size)))["gradients: canaries"]  # type: ignore[misc]
        for by in (0.8, 1.2)
    )
    assert less.p_value < 1e-6
    assert (less.estimate or 0.0) > 5.458
    assert more.p_value > 0.5


def test_canaries_are_in_by_fair_coins_and_every_one_has_its_cell() -> None:
    found = planted.plant(trained(), 1000, UnsafeSeededNoise(1), np.random.default_rng(1))
    assert isinstance(found, Planted)
    assert 400 < found.included.sum() < 600
    assert not found.took_part[:, ~found.included].any()
    moved = found.noisy[found.took_part].mean(), found.noisy[~found.took_part].mean()
    assert moved[0] == pytest.approx(found.shift, abs=0.15)
    assert moved[1] == pytest.approx(0, abs=0.06)


def test_a_brief_fit_has_the_claimed_noise_and_few_steps() -> None:
    plan = trained().plan
    assert (plan.sampling_rate, plan.steps, plan.noise_multiplier) == (Fraction(1, 4), 8, Fraction(1))
    assert Trained.of(Independent(), ROW, RHO, None) is None
    with pytest.raises(MechanismError, match="add"):
        Trained.of(TinyTraining(), REPLACED, RHO, None)
