"""A noise source that draws a little too little noise, or follows scores a little too closely, in one stage of a fit alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, ClassVar
from unittest import mock

import numpy as np
import numpy.typing as npt

from privsynth.privacy import mechanism
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.privacy.source import AbstractNoiseSource

Int64s = npt.NDArray[np.int64]


class Short(AbstractNoiseSource):
    """Right but where it is asked at a sigma, or a rate, of one stage: there it has `share` of the standard deviation."""

    name: ClassVar[str] = "short"
    signable: ClassVar[bool] = False

    def __init__(self, seed: int, stage: str, share: float = 0.9) -> None:
        self._right, self._rng = UnsafeSeededNoise(seed), np.random.default_rng(seed)
        self.stage, self._share = stage, share
        self.known: set[Fraction] = set()

    def gaussian(self, exact: Int64s, sigma_squared: Fraction) -> Int64s:
        if sigma_squared not in self.known:
            return self._right.gaussian(exact, sigma_squared)
        noise = self._rng.normal(0, float(sigma_squared) ** 0.5 * self._share, exact.shape)
        return exact + np.rint(noise).astype(np.int64)

    def exponential(self, scores: Int64s, rate: Fraction) -> int:
        return int(self.choices(scores, rate, 1)[0])

    def choices(self, scores: Int64s, rate: Fraction, count: int) -> Int64s:
        return self._right.choices(scores, rate / Fraction(self._share) if rate in self.known else rate, count)

    def key(self) -> bytes:
        return self._right.key()


@contextmanager
def noting(source: Short) -> Iterator[Short]:
    """While fits run, the source learns the sigmas and rates of its stage from what the mechanisms are asked for."""
    gaussian, exponential = mechanism.gaussian, mechanism.exponential

    def of_counts(answers: Any, **named: Any) -> Any:
        if named["stage"] == source.stage:
            most = {"most": named["most"]} if "most" in named else {}
            each = (mechanism.gaussian_variance(named["sensitivity_squared"], rho, **most) for rho in named["shares"])
            source.known.update(each)
        return gaussian(answers, **named)

    def of_scores(scores: Any, **named: Any) -> Any:
        if named["stage"] == source.stage:
            source.known.add(mechanism.exponential_epsilon(named["rho"]) / (2 * named["sensitivity"]))
        return exponential(scores, **named)

    with mock.patch.object(mechanism, "gaussian", of_counts), mock.patch.object(mechanism, "exponential", of_scores):
        yield source
