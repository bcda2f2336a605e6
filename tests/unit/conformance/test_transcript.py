"""Telling tables apart: the simulated ratios have the distribution that the exact answers imply."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from privsynth.conformance.canary_fit import scores
from privsynth.conformance.choices import log_chances, pearson_p_value, score_of
from privsynth.conformance.fits import Asked
from privsynth.conformance.tables import Laboratory
from privsynth.conformance.transcript import FEW, Stage, simulate, stages_of
from privsynth.domain import Domain
from privsynth.measurement import Event, Measurement
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.privacy.unit import PrivacyUnit
from privsynth.replay import Call
from tests.laboratory import PATIENT, REPLACED, ROW

RHO = Fraction(1, 50)
NOISE = UnsafeSeededNoise(1)


def gaussian(exact: list[int], other: list[int], variance: Fraction, stage: str = "tables") -> tuple[Asked, Call]:
    event = Event(stage=stage, mechanism="rounded-gaussian", rho=RHO, sensitivity_squared=1, sigma_squared=variance)
    return Asked(call=call("gaussian", exact, variance), events=(event,), shapes=((len(exact),),)), call(
        "gaussian", other, variance
    )


def choice(exact: list[int], other: list[int], rate: Fraction) -> tuple[Asked, Call]:
    event = Event(stage="select", mechanism="exponential", rho=RHO, sensitivity_squared=1, epsilon=2 * rate)
    return Asked(call=call("exponential", exact, rate), events=(event,), shapes=((len(exact),),)), call(
        "exponential", other, rate
    )


def call(kind: str, exact: list[int], parameter: Fraction) -> Call:
    values = np.array(exact, dtype=np.int64)
    return Call(kind=kind, shape=values.shape, parameter=parameter, exact=values, noisy=values)  # type: ignore[arg-type]


def stage(*questions: tuple[Asked, Call], units: int = 1) -> Stage:
    (found,) = stages_of([asked for asked, _ in questions], [other for _, other in questions], units)
    return found


def test_gaussian_ratios_are_normal_with_the_mu_of_the_shift() -> None:
    found = stage(
        gaussian([5, 0, 9], [7, 0, 8], Fraction(25)),
        gaussian([3], [6], Fraction(100)),
    )
    mu = math.sqrt(5 / 25 + 9 / 100)
    assert found.reach == pytest.approx(mu)
    assert found.cells == 3
    seen = simulate([found], NOISE, 40_000)
    for ratios, mean in ((seen.one, -(mu**2) / 2), (seen.other, mu**2 / 2)):
        assert ratios.mean() == pytest.approx(mean, abs=5 * mu / 200)
        assert ratios.std() == pytest.approx(mu, rel=0.03)
    low, high = seen.errors().mu_between(0.005)
    assert low < mu < high


def test_ratios_of_choices_are_those_of_their_probabilities() -> None:
    rate = Fraction(1, 5)
    question = choice([0, 4, 9], [2, 2, 8], rate)
    before, after = (log_chances(side.exact, rate) for side in (question[0].call, question[1]))
    seen = simulate([stage(question)], NOISE, 40_000)
    assert seen.one.mean() == pytest.approx(float(np.exp(before) @ (after - before)), abs=0.02)
    assert seen.other.mean() == pytest.approx(float(np.exp(after) @ (after - before)), abs=0.02)
    assert abs(seen.score.z) < 5
    assert seen.score.variance > 1000
    (first, *_, last) = seen.curve()
    assert (first, last) == ((0.0, 0.0), (1.0, 1.0))
    assert all(hit >= miss - 0.02 for miss, hit in seen.curve())


def test_noise_that_is_slow_to_draw_is_drawn_seldom() -> None:
    huge = Fraction(1 << 40)
    found = stage(gaussian([0] * 9, [1 << 20] * 9, huge))
    assert found.slow
    assert found.thinned().cells == FEW
    assert len(simulate([found.thinned()], NOISE, 10**6).one) <= 4096


def test_the_score_sees_a_rate_that_is_a_little_too_large() -> None:
    values, rate = np.arange(9) * 10, Fraction(1, 20)
    right, wrong = (
        score_of(values, rate, np.bincount(NOISE.choices(values, rate * factor, 20_000), minlength=9))
        for factor in (Fraction(1), Fraction(11, 10))
    )
    assert abs(right.z) < 5
    assert wrong.z > 8
    both = right + wrong
    assert both.total == right.total + wrong.total
    assert both.variance == right.variance + wrong.variance


def test_pearson_s_test_takes_rare_candidates_together() -> None:
    chances = np.array([0.9, 0.05, 0.03, 0.015, 0.005])
    rng = np.random.default_rng(1)
    p_values = [pearson_p_value(rng.multinomial(2000, chances), chances) for _ in range(300)]
    assert 3 <= sum(p <= 0.05 for p in p_values) <= 32
    assert pearson_p_value(rng.multinomial(2000, [0.85, 0.1, 0.03, 0.015, 0.005]), chances) < 1e-9
    assert pearson_p_value(np.array([3, 2]), np.array([0.5, 0.5])) == 1


@pytest.mark.parametrize("unit", [ROW, PATIENT, REPLACED], ids=["row", "patient", "replaced"])
def test_canaries_move_every_table_by_the_same_and_pairs_of_two_camps_apart(unit: PrivacyUnit) -> None:
    laboratory = Laboratory(Domain(tuple("abcdef"), (5, 4, 6, 5, 4, 6)), unit, columns=6, levels=6)
    pair = laboratory.camps(400, 3)
    before, after = (np.stack(list(table.ticks.values()), axis=1) for table in (pair.table, pair.other))
    new = after[400:]
    assert (new == new[0]).all()
    assert len(new) == 3 * unit.max_rows
    assert len(before) - 400 == (len(new) if unit is REPLACED else 0)
    full = [[(before[:400, i] == new[0, i]) & (before[:400, j] == new[0, j]) for j in range(6)] for i in range(6)]
    counts = np.array([[int(both.sum()) for both in row] for row in full])
    first_half = np.arange(6) < 3
    inside = first_half[:, None] == first_half[None, :]
    assert set(counts[inside]) == {200}
    assert set(counts[~inside]) == {0}


def test_a_canary_s_score_is_what_its_cells_hold_beyond_what_is_known() -> None:
    event = Event(
        stage="pairs", mechanism="rounded-gaussian", rho=RHO, sensitivity_squared=1, sigma_squared=Fraction(4)
    )
    values = np.array([[10, 0], [3, 7]], dtype=np.int64)
    grouped = Measurement(clique=("a", "b"), values=values, event=event, groups={"b": (0, 1, 1)})
    alone = Measurement(clique=("a",), values=np.array([4, 4]), event=event)
    base = np.array([[0, 0], [1, 2], [1, 1]])
    found = scores((alone, grouped), ("a", "b"), base, np.array([[0, 0], [1, 2], [0, 1]]))
    assert found is not None
    assert found == pytest.approx(np.array([9, 5, 0]) / (4 + 1 / 12))
    assert scores((alone,), ("a", "b"), base, base) is None
