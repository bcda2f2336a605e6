"""Rare events: sources that are right in all but a few draws."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import ClassVar, final

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from privsynth.conformance import rare
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.privacy.source import AbstractNoiseSource

Int64s = npt.NDArray[np.int64]
Draw = Callable[[Int64s, float, np.random.Generator], Int64s]


def right(exact: Int64s, sigma: float, rng: np.random.Generator) -> Int64s:
    return exact + np.rint(rng.normal(0, sigma, exact.shape)).astype(np.int64)


def cut(exact: Int64s, sigma: float, rng: np.random.Generator) -> Int64s:
    return exact + np.clip(right(np.zeros_like(exact), sigma, rng), -round(4 * sigma), round(4 * sigma))


def cut_above(exact: Int64s, sigma: float, rng: np.random.Generator) -> Int64s:
    return exact + np.minimum(right(np.zeros_like(exact), sigma, rng), round(3.9 * sigma))


def some_bare(exact: Int64s, sigma: float, rng: np.random.Generator) -> Int64s:
    return np.where(rng.random(exact.shape) < 0.001, exact, right(exact, sigma, rng))


def last_bare(exact: Int64s, sigma: float, rng: np.random.Generator) -> Int64s:
    noisy = right(exact, sigma, rng)
    noisy[-1] = exact[-1]
    return noisy


def first_bare(exact: Int64s, sigma: float, rng: np.random.Generator) -> Int64s:
    return last_bare(exact[::-1], sigma, rng)[::-1]


def few_seeds(exact: Int64s, sigma: float, rng: np.random.Generator) -> Int64s:
    return right(exact, sigma, np.random.default_rng(rng.integers(1 << 16)))


def leaning(exact: Int64s, sigma: float, rng: np.random.Generator) -> Int64s:
    noise = right(np.zeros_like(exact), sigma, rng)
    return exact + np.where(rng.random(exact.shape) < 0.01, np.abs(noise), noise)


@final
class Source(AbstractNoiseSource):
    name: ClassVar[str] = "for rare events"
    signable: ClassVar[bool] = False

    def __init__(self, draw: Draw, *, floor: float = 0.0) -> None:
        self._draw, self._floor, self._rng = draw, floor, np.random.default_rng(1)

    def gaussian(self, exact: Int64s, sigma_squared: Fraction) -> Int64s:
        return self._draw(exact, float(sigma_squared) ** 0.5, self._rng)

    def exponential(self, scores: Int64s, rate: Fraction) -> int:
        return int(self.choices(scores, rate, 1)[0])

    def choices(self, scores: Int64s, rate: Fraction, count: int) -> Int64s:
        chances = np.exp((scores - scores.max()) * float(rate))
        chances[chances < self._floor * chances.sum()] = 0.0
        return self._rng.choice(len(scores), count, p=chances / chances.sum())

    def key(self) -> bytes:
        return self._rng.bytes(32)


def p_values(source: AbstractNoiseSource) -> dict[str, float]:
    return {test.check: test.p_value for test in rare.tests(source, rng=np.random.default_rng(2))}


def test_right_sources_pass() -> None:
    assert min(p_values(Source(right)).values()) > 1e-4
    assert min(p_values(UnsafeSeededNoise(3)).values()) > 1e-4


@pytest.mark.parametrize("draw", [cut, cut_above, some_bare, first_bare, last_bare, few_seeds, leaning])
def test_noise_that_is_wrong_in_few_draws_is_seen(draw: Draw) -> None:
    found = p_values(Source(draw))
    assert found["noise: rare events"] < 1e-9
    assert found["selection: rare candidates"] > 1e-4


@pytest.mark.parametrize("floor", [1e-3, 2e-5])
def test_candidates_that_are_never_chosen_are_seen(floor: float) -> None:
    assert p_values(Source(right, floor=floor))["selection: rare candidates"] < 1e-7


@pytest.mark.parametrize(
    ("count", "runs", "rate"), [(0, 50, 0.2), (50, 50, 0.9), (7, 50, 0.2), (20, 50, 0.2), (3, 9, 0.5)]
)
def test_binomial_p_values_are_exact(count: int, runs: int, rate: float) -> None:
    law = stats.binom(runs, rate)
    assert rare.binomial_p_value(count, runs, rate) == pytest.approx(min(1, 2 * min(law.cdf(count), law.sf(count - 1))))
