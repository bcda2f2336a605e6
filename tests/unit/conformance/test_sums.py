"""Sums of noise, tails and keys: right ones look right, and each defect shows where it is."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from privsynth.conformance import sums
from privsynth.conformance.fits import Asked
from privsynth.conformance.noise_tests import Sample, keys_p_value, tails_p_value
from privsynth.measurement import Event
from privsynth.replay import Call
from tests.laboratory import Int64s

VARIANCE = Fraction(400)
SHAPES = ((4, 6), (5,))
EVENT = Event(
    stage="pairs", mechanism="rounded-gaussian", rho=Fraction(1), sensitivity_squared=1, sigma_squared=VARIANCE
)


def noise(seed: int) -> Int64s:
    """Of a table of 4 x 6 cells, and of one of 5."""
    return np.rint(np.random.default_rng(seed).normal(0, 20, 29)).astype(np.int64)


def p_value(noises: list[Int64s]) -> float:
    calls = [Call(kind="gaussian", shape=(29,), parameter=VARIANCE, exact=of * 0, noisy=of) for of in noises]
    fits = tuple((Asked(call=call, events=(EVENT, EVENT), shapes=SHAPES),) for call in calls)
    sample = Sample(label="", fits=fits, again=(), more=())
    (found,) = sums.test([sample], rng=np.random.default_rng(1))
    return found.p_value


def centred(of: Int64s, lines: object) -> Int64s:
    """Noise with the mean of some of its cells taken away."""
    changed = of.astype(np.float64)
    for line in lines:  # type: ignore[attr-defined]
        changed[line] -= changed[line].mean()
    return np.rint(changed).astype(np.int64)


TABLE = np.arange(24).reshape(4, 6)


@pytest.mark.parametrize(
    "lines",
    [[np.arange(29)], [np.arange(24)], [np.arange(24, 29)], list(TABLE), list(TABLE.T)],
    ids=["draw", "first table", "second table", "rows", "columns"],
)
def test_noise_that_cancels_in_a_sum_is_seen(lines: list[Int64s]) -> None:
    right = [noise(seed) for seed in range(60)]
    assert p_value(right) > 1e-3
    assert p_value([centred(of, lines) for of in right]) < 1e-6


def test_right_tails_pass_and_others_do_not() -> None:
    normal = np.random.default_rng(2).normal(size=20_000)
    assert tails_p_value(normal) > 1e-3
    assert tails_p_value(np.zeros(0)) == 1.0
    assert tails_p_value(np.clip(normal, -3, 3)) < 1e-8
    assert tails_p_value(np.append(normal, 8.0)) < 1e-8
    assert tails_p_value(np.where(np.abs(normal) > 2.5, 1.2 * normal, normal)) < 1e-8


def test_a_normal_number_by_itself_is_within_its_tails() -> None:
    p_values = [tails_p_value(np.random.default_rng(seed).normal(size=500)) for seed in range(400)]
    assert np.mean([value < 0.05 for value in p_values]) < 0.08


def test_keys_must_differ_and_look_like_coins() -> None:
    rng = np.random.default_rng(3)
    keys = [rng.bytes(32) for _ in range(20)]
    assert keys_p_value(keys) > 1e-3
    assert keys_p_value([]) == 1.0
    assert keys_p_value([*keys, keys[3]]) < 1e-50
    assert keys_p_value([bytes(16) + key[:16] for key in keys]) < 1e-8
