"""Noise sources with one defect each. Not private: they are seeded, for tests."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.privacy.source import AbstractNoiseSource

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Draw: TypeAlias = Callable[[np.random.Generator, float, int], Floats]
"""Noise, before it is rounded, from a generator, a sigma and a size."""


class Drawn(AbstractNoiseSource):
    """Gaussian noise by any recipe; choices and keys as they should be."""

    name: ClassVar[str] = "drawn"
    signable: ClassVar[bool] = False

    def __init__(self, seed: int, draw: Draw, *, rate: Fraction = Fraction(1)) -> None:
        self._right, self._rng = UnsafeSeededNoise(seed), np.random.default_rng(seed)
        self._draw, self._rate = draw, rate

    def gaussian(self, exact: Int64s, sigma_squared: Fraction) -> Int64s:
        """Exact counts and rounded noise."""
        noise = self._draw(self._rng, float(sigma_squared) ** 0.5, exact.size)
        return exact + np.rint(noise).astype(np.int64).reshape(exact.shape)

    def exponential(self, scores: Int64s, rate: Fraction) -> int:
        """A choice, at a multiple of the rate."""
        return self._right.exponential(scores, rate * self._rate)

    def choices(self, scores: Int64s, rate: Fraction, count: int) -> Int64s:
        """Many choices, at the same multiple of it."""
        return self._right.choices(scores, rate * self._rate, count)

    def key(self) -> bytes:
        """A key."""
        return self._right.key()


class LargeCounts(Drawn):
    """Adds no noise to counts above a thousand: "it would not matter"."""

    def gaussian(self, exact: Int64s, sigma_squared: Fraction) -> Int64s:
        """Noise for the others."""
        return np.where(exact > 1000, exact, super().gaussian(exact, sigma_squared))


class OneKey(Drawn):
    """Always gives out the same key."""

    def key(self) -> bytes:
        """Thirty-two bytes that everybody knows."""
        return bytes(range(32))


class Chooser(Drawn):
    """Right noise, and choices that subclasses break: many are made one by one."""

    def choices(self, scores: Int64s, rate: Fraction, count: int) -> Int64s:
        """One after the other."""
        return AbstractNoiseSource.choices(self, scores, rate, count)


class Argmax(Chooser):
    """Chooses the best candidate."""

    def exponential(self, scores: Int64s, rate: Fraction) -> int:
        """Without noise."""
        return int(scores.argmax())


class NoisyMax(Chooser):
    """Chooses the largest score after adding Laplace noise of half the scale that it needs."""

    def exponential(self, scores: Int64s, rate: Fraction) -> int:
        """Report noisy max; scores are brought to the noise's scale of 1 first."""
        gaps = (scores - scores.max()).astype(np.float64) * float(rate)
        return int((gaps + self._rng.laplace(0, 0.5, len(scores))).argmax())


class FirstOfEqual(Drawn):
    """Of candidates with the same score only the first can be chosen."""

    def exponential(self, scores: Int64s, rate: Fraction) -> int:
        """A choice, and the first one like it."""
        return int(self.choices(scores, rate, 1)[0])

    def choices(self, scores: Int64s, rate: Fraction, count: int) -> Int64s:
        """Many, each the first one like it."""
        first = (scores[:, None] == scores).argmax(axis=1)
        return first[self._right.choices(scores, rate, count)]


class BestOfMany(Drawn):
    """Chooses the best of more than forty candidates."""

    def exponential(self, scores: Int64s, rate: Fraction) -> int:
        """A choice among few."""
        return int(self.choices(scores, rate, 1)[0])

    def choices(self, scores: Int64s, rate: Fraction, count: int) -> Int64s:
        """Choices among few."""
        chosen = self._right.choices(scores, rate, count)
        return chosen if len(scores) <= 40 else np.full(count, scores.argmax())


class Reseeded(AbstractNoiseSource):
    """Starts from the same seed again, for each draw or for each fit."""

    name: ClassVar[str] = "reseeded"
    signable: ClassVar[bool] = False

    def __init__(self, seed: int, *, each: str) -> None:
        self._seed, self._each, self._source = seed, each, UnsafeSeededNoise(seed)

    def gaussian(self, exact: Int64s, sigma_squared: Fraction) -> Int64s:
        """Right noise, again and again."""
        if self._each == "draw":
            self._source = UnsafeSeededNoise(self._seed)
        return self._source.gaussian(exact, sigma_squared)

    def exponential(self, scores: Int64s, rate: Fraction) -> int:
        """A choice."""
        return self._source.exponential(scores, rate)

    def choices(self, scores: Int64s, rate: Fraction, count: int) -> Int64s:
        """Many choices."""
        return self._source.choices(scores, rate, count)

    def key(self) -> bytes:
        """The first thing that a fit asks for."""
        if self._each == "fit":
            self._source = UnsafeSeededNoise(self._seed)
        return self._source.key()


def right(rng: np.random.Generator, sigma: float, size: int) -> Floats:
    """Normal noise of this sigma."""
    return rng.normal(0, sigma, size)


def a_tenth_less(rng: np.random.Generator, sigma: float, size: int) -> Floats:
    """Nine tenths of the sigma."""
    return right(rng, 0.9 * sigma, size)


def a_tenth_less_in_one_stage(rng: np.random.Generator, sigma: float, size: int) -> Floats:
    """Nine tenths of the sigma, but only between 8 and 16: of the generator `Rounds`, the stages of single pairs."""
    return right(rng, 0.9 * sigma if 8 < sigma < 16 else sigma, size)


def laplace(rng: np.random.Generator, sigma: float, size: int) -> Floats:
    """Laplace noise of the same variance."""
    return rng.laplace(0, sigma / 2**0.5, size)


def truncated(rng: np.random.Generator, sigma: float, size: int) -> Floats:
    """No noise beyond two sigma."""
    return np.clip(right(rng, sigma, size), -2 * sigma, 2 * sigma)


def cut_off(rng: np.random.Generator, sigma: float, size: int) -> Floats:
    """No noise beyond three sigma."""
    return np.clip(right(rng, sigma, size), -3 * sigma, 3 * sigma)


def centred(rng: np.random.Generator, sigma: float, size: int) -> Floats:
    """Adds up to nothing, and has its size in each cell."""
    if size == 1:
        return right(rng, sigma, size)
    noise = right(rng, sigma, size)
    whole = np.rint((noise - noise.mean()) * (size / (size - 1)) ** 0.5)
    beyond = int(whole.sum())
    whole[: abs(beyond)] -= np.sign(beyond)
    return np.asarray(whole)


def half_where_large(rng: np.random.Generator, sigma: float, size: int) -> Floats:
    """Half of the sigma from 200 on."""
    return right(rng, sigma if sigma < 200 else sigma / 2, size)


def never_negative(rng: np.random.Generator, sigma: float, size: int) -> Floats:
    """Only upwards."""
    return np.abs(right(rng, sigma, size))


def in_steps(rng: np.random.Generator, sigma: float, size: int) -> Floats:
    """Even numbers alone: whether a noisy count is odd tells whether the exact one is."""
    return 2 * np.rint(right(rng, sigma / 2, size))


def repeated(rng: np.random.Generator, sigma: float, size: int) -> Floats:
    """The noise of the first half of the cells again for the second."""
    half = right(rng, sigma, (size + 1) // 2)
    return np.concatenate([half, half])[:size]


def off_where_equal(rng: np.random.Generator, sigma: float, size: int) -> Floats:
    """The scale becomes zero in a corner case: tables of as many cells as a pair of the wider columns has."""
    return right(rng, 0.0 if size == 25 else sigma, size)
