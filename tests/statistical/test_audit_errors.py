"""False alarms and power of the audit: what its levels promise, on sources that are right and on sources that are wrong."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from privsynth import attacks, conformance_noise, statistics
from privsynth.attack import Target
from privsynth.audit_plan import AuditPlan
from privsynth.findings import Finding
from privsynth.privacy.noise import SystemNoise
from privsynth.private import Private
from privsynth.records import Records
from privsynth.replay import Call, RecordingNoise
from privsynth.schema import Schema

TERMS = AuditPlan.load("quick").conformance
VARIANCES = (Fraction(2), Fraction(9), Fraction(12345, 7))
TINY = (Fraction(1, 5), Fraction(1, 3), Fraction(1, 2))


def recorded(seed: int, scale: float = 1.0, variances: tuple[Fraction, ...] = VARIANCES) -> list[list[Call]]:
    """Ten fits of three draws of 100 values each, from three sigmas; exact integers, off by `scale`."""
    rng = np.random.default_rng(seed)
    return [[_draw(rng, variance, scale) for variance in variances] for _ in range(10)]


def _draw(rng: np.random.Generator, variance: Fraction, scale: float) -> Call:
    exact = rng.integers(0, 50, 100)
    noisy = exact + np.rint(rng.normal(0.0, float(variance) ** 0.5 * scale, 100)).astype(np.int64)
    return Call(kind="gaussian", shape=(100,), parameter=variance, exact=exact, noisy=noisy)


def noise_rows(seed: int, scale: float = 1.0, variances: tuple[Fraction, ...] = VARIANCES) -> dict[str, Finding]:
    calls = recorded(seed, scale, variances)
    rows = conformance_noise.rows(TERMS, calls, SystemNoise(), rng=np.random.default_rng(seed))
    return {row.check: row for row in rows}


def test_false_alarms_of_the_noise_tests_stay_within_their_level() -> None:
    """At 5 % over all tests, of 100 right recordings 17 or more would alarm with probability below 1e-4."""
    terms = TERMS.model_copy(update={"alpha": 0.05})
    alarms = 0
    for seed in range(100):
        rows = conformance_noise.rows(terms, recorded(seed), SystemNoise(), rng=np.random.default_rng(seed))
        alarms += any(row.verdict == "FAIL" for row in rows)
    assert alarms <= 16


@pytest.mark.parametrize("scale", [0.9, 1.1])
def test_a_tenth_too_little_or_too_much_noise_is_seen(scale: float) -> None:
    """3,000 values: power above 99.9 % at this level (chi-squared), so 20 of 20."""
    assert all(noise_rows(seed, scale)["noise: scale"].verdict == "FAIL" for seed in range(20))


@pytest.mark.parametrize("variances", [VARIANCES, TINY])
def test_what_the_plan_says_it_would_have_seen_it_sees(variances: tuple[Fraction, ...]) -> None:
    """At the stated shortfall, 95 % power or more: of 60, fewer than 48 would be seen with probability below 1e-4."""
    shortfall = noise_rows(0, variances=variances)["noise: scale"].detectable
    assert shortfall is not None
    seen = sum(noise_rows(seed, 1 - shortfall, variances)["noise: scale"].verdict == "FAIL" for seed in range(60))
    assert seen >= 48


def test_uniform_numbers_are_uniform_even_where_noise_is_mostly_zero() -> None:
    rng = np.random.default_rng(4)
    values = np.concatenate([conformance_noise._normal(_draw(rng, TINY[0], 1.0), rng) for _ in range(300)])
    assert abs(values.mean()) < 5 / len(values) ** 0.5
    assert abs((values**2).mean() - 1) < 5 * (2 / len(values)) ** 0.5


def test_the_system_s_choices_have_their_probabilities() -> None:
    recording = RecordingNoise(SystemNoise())
    for _ in range(2000):
        recording.exponential(np.array([3, 3, 0, 1], dtype=np.int64), Fraction(1, 3))
    rng = np.random.default_rng(5)
    uniform = np.array([conformance_noise._choice(call, rng) for call in recording.calls])
    assert abs(uniform.mean() - 0.5) < 5 / (12 * 2000) ** 0.5


@pytest.mark.parametrize("name", attacks.NAMES)
def test_attacks_on_an_independent_release_alarm_no_more_often_than_their_level(name: str) -> None:
    """At 5 %, of 60 independent worlds 13 or more would alarm with probability below 1e-5 (Fisher's test is exact)."""
    schema = Schema.from_domain({"a": 9, "b": 4, "c": 60, "d": 2})
    attack = attacks.get(name, {"orders": 4} if name == "singling_out" else {})
    alarms = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        release, members, controls = (_people(schema, rows, rng) for rows in (400, 120, 120))
        aim = Target(schema=schema, synthetic=release, members=Private(members), controls=Private(controls))
        alarms += statistics.fisher_p_value(attack.run(aim, rng=rng)[0].comparison) <= 0.05
    assert alarms <= 12


def _people(schema: Schema, rows: int, rng: np.random.Generator) -> Records:
    kind = rng.integers(0, 2, rows)
    columns = kind * 4 + rng.integers(0, 5, rows), rng.integers(0, 4, rows), rng.integers(0, 60, rows), kind
    return Records(schema=schema, ticks=dict(zip(("a", "b", "c", "d"), columns, strict=True)))
