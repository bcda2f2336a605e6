"""False alarms and power of the conformance checks: what their levels promise, on sources that are right and on wrong ones."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest

from privsynth import generators
from privsynth.audit_plan import AuditPlan
from privsynth.conformance import choices, noise_tests, probing, residuals, sums
from privsynth.conformance.fits import Asked
from privsynth.conformance.hypothesis import Hypothesis, judged
from privsynth.conformance.noise_tests import Sample
from privsynth.findings import Finding
from privsynth.measurement import Event
from privsynth.privacy.noise import SystemNoise
from privsynth.replay import Call, RecordingNoise
from tests.fitting_of import SHORT
from tests.laboratory import RHO, checked, failing

TERMS = AuditPlan.load("quick").conformance
VARIANCES = (Fraction(2), Fraction(9), Fraction(12345, 7))
TINY = (Fraction(1, 5), Fraction(1, 3), Fraction(1, 2))


def sample(seed: int, scale: float = 1.0, variances: Sequence[Fraction] = VARIANCES) -> Sample:
    """Thirty fits of three stages of 100 answers each; exact integers, the last stage's noise off by `scale`."""
    rng = np.random.default_rng(seed)
    scales = [1.0] * (len(variances) - 1) + [scale]
    fits = tuple(
        tuple(_asked(rng, f"stage {turn}", *of) for turn, of in enumerate(zip(variances, scales, strict=True)))
        for _ in range(30)
    )
    return Sample(label="", fits=fits, again=(), more=())


def _asked(rng: np.random.Generator, stage: str, variance: Fraction, scale: float) -> Asked:
    event = Event(stage=stage, mechanism="rounded-gaussian", rho=RHO, sensitivity_squared=1, sigma_squared=variance)
    return Asked(call=_draw(rng, variance, scale), events=(event,), shapes=((4, 5), (8, 10)))


def _draw(rng: np.random.Generator, variance: Fraction, scale: float) -> Call:
    exact = rng.integers(0, 50, 100)
    noisy = exact + np.rint(rng.normal(0.0, float(variance) ** 0.5 * scale, 100)).astype(np.int64)
    return Call(kind="gaussian", shape=(100,), parameter=variance, exact=exact, noisy=noisy)


def hypotheses_of(seed: int, scale: float = 1.0, variances: Sequence[Fraction] = VARIANCES) -> list[Hypothesis]:
    terms = TERMS.model_copy(update={"residuals_min": 3000})
    samples, rng = [sample(seed, scale, variances)], np.random.default_rng(seed)
    return [
        *noise_tests.tests(terms, samples, SystemNoise(), rng=rng),
        *sums.test(samples, rng=rng),
        *choices.tests(terms, samples, SystemNoise(), rng=rng),
    ]


def scale_row(seed: int, scale: float, variances: Sequence[Fraction] = VARIANCES) -> Finding:
    return judged(hypotheses_of(seed, scale, variances), TERMS.alpha)[0]


def test_false_alarms_of_the_noise_tests_stay_within_their_level(full: bool) -> None:
    """At 5 % over all tests: of 30 right recordings 8 or more would alarm with probability below 1e-4, of 1,000 77."""
    count, most = (1000, 76) if full else (30, 7)
    alarms = 0
    for seed in range(count):
        alarms += any(row.verdict == "FAIL" for row in judged(hypotheses_of(seed), 0.05))
    assert alarms <= most


def test_false_alarms_of_the_source_s_probes_stay_within_their_level(full: bool) -> None:
    """At 5 % each: of 12 probes of a right source 6 or more would alarm with probability below 1e-4, of 600 53 or more."""
    count, most = (300, 52) if full else (6, 5)
    rng = np.random.default_rng(6)
    assert sum(row.p_value < 0.05 for _ in range(count) for row in probing.tests(SystemNoise(), rng=rng)) <= most


@pytest.mark.parametrize("scale", [0.9, 1.1])
def test_a_tenth_too_little_or_too_much_noise_in_one_stage_is_seen_and_named(scale: float) -> None:
    """3,000 values a stage: power above 99.9 % at this level (chi-squared), so 12 of 12."""
    rows = [scale_row(seed, scale) for seed in range(12)]
    assert all(row.verdict == "FAIL" and '"stage 2"' in row.meaning for row in rows)


@pytest.mark.parametrize("variances", [VARIANCES, TINY])
def test_what_the_plan_says_it_would_have_seen_it_sees(variances: tuple[Fraction, ...]) -> None:
    """At the stated shortfall, 95 % power or more: of 20, fewer than 14 would be seen with probability below 1e-4."""
    shortfall = scale_row(0, 1.0, variances).detectable
    assert shortfall is not None
    assert sum(scale_row(seed, 1 - shortfall, variances).verdict == "FAIL" for seed in range(20)) >= 14


def test_normal_numbers_are_normal_even_where_noise_is_mostly_zero() -> None:
    rng = np.random.default_rng(4)
    values = np.concatenate([residuals.normal(_draw(rng, TINY[0], 1.0), rng) for _ in range(300)])
    assert abs(values.mean()) < 5 / len(values) ** 0.5
    assert abs((values**2).mean() - 1) < 5 * (2 / len(values)) ** 0.5


def test_the_system_s_choices_have_their_probabilities() -> None:
    recording = RecordingNoise(SystemNoise())
    for _ in range(2000):
        recording.exponential(np.array([3, 3, 0, 1], dtype=np.int64), Fraction(1, 3))
    rng = np.random.default_rng(5)
    uniform = np.array([residuals.choice(call, rng) for call in recording.calls])
    assert abs(uniform.mean() - 0.5) < 5 / (12 * 2000) ** 0.5


@pytest.mark.full_only
@pytest.mark.parametrize("name", [name for name in generators.NAMES if name not in SHORT])
def test_right_generators_of_ours_fail_no_more_often_than_the_level(name: str) -> None:
    """At 1 % over all checks: of 300 right runs 12 or more would fail with probability below 1e-4."""
    fails = [bool(failing(checked(generators.get(name, {}), seed=seed, alpha=0.01))) for seed in range(300)]
    assert sum(fails) <= 11
