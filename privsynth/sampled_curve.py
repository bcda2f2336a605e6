"""The trade-off curve of gradient steps, in floats: Poisson-subsampled Gaussians, composed by Fourier transforms.

Must never be what a release is accounted with: it recomputes, in another way, what `privacy/sampled_gaussian.py` proves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth import statistics
from privsynth.privacy.sampled_gaussian import SampledGaussian

Floats = npt.NDArray[np.float64]

_POINTS = 1 << 16
_REACH = 9.0
"""How far noise is followed, in standard deviations: beyond it lies 1e-18."""

_SPREAD = 16.0
_STEPS = 60


@final
@dataclass(frozen=True, kw_only=True)
class SampledCurve:
    """`steps` sums of which one unit moves each by `shift` standard deviations, if it takes part, with chance `rate`.

    Units: `mu` is that of Gaussian answers beside them.
    Source: Koskela, Jälkö, Honkela 2020; losses are rounded to the nearest point of a grid, so that deltas are estimates, and
        no bounds: epsilons are good to a part in ten thousand.
    """

    rate: float
    steps: int
    shift: float
    mu: float = 0.0

    @classmethod
    def of(cls, training: SampledGaussian, rho: Fraction | float = 0) -> SampledCurve:
        """The curve of a plan for training, and of Gaussian answers whose rhos add up to `rho`."""
        return cls(
            rate=float(training.sampling_rate),
            steps=training.steps,
            shift=1 / float(training.noise_multiplier),
            mu=math.sqrt(2 * rho),
        )

    def delta(self, epsilon: float) -> float:
        """Hockey-stick divergence at epsilon, in the direction (adding or removing) in which it is larger."""
        return max(_hockey_stick(losses, chances, epsilon) for losses, chances in (self._taken, self._left))

    def epsilon(self, delta: float) -> float:
        """The smallest epsilon >= 0 at which this delta is reached."""
        if self.delta(0.0) <= delta:
            return 0.0
        low, high = 0.0, max(1.0, float(self._taken[0][-1]), float(self._left[0][-1]))
        for _ in range(_STEPS):
            middle = (low + high) / 2
            low, high = (middle, high) if self.delta(middle) > delta else (low, middle)
        return high

    def errors_at(self, threshold: float) -> tuple[float, float]:
        """Rates of error of "the unit is in" where the log-likelihood ratio is above a threshold: (false, missed)."""
        losses, chances = self._taken
        above = losses > threshold
        return float((chances[above] * np.exp(-losses[above])).sum()), float(chances[~above].sum())

    def least_missed(self, rate: float) -> float:
        """The least rate of missed units at a rate of false ones, of any test: the trade-off curve."""
        false, missed = self._curve
        return float(np.interp(rate, false, missed))

    @cached_property
    def _curve(self) -> tuple[Floats, Floats]:
        losses, chances = self._taken
        false = np.cumsum((chances * np.exp(-np.clip(losses, -700, 700)))[::-1])
        missed = np.maximum(0.0, 1 - np.cumsum(chances[::-1]))
        return np.concatenate([[0.0], np.minimum(1.0, false)]), np.concatenate([[1.0], missed])

    @cached_property
    def _taken(self) -> tuple[Floats, Floats]:
        """The loss log(with / without), of answers about the table with the unit."""
        return self._composed(self._up_to)

    @cached_property
    def _left(self) -> tuple[Floats, Floats]:
        """The loss log(without / with), of answers about the table without it."""
        return self._composed(lambda losses: 1 - _normal_cdf(self._answer(-losses)))

    def _answer(self, losses: Floats) -> Floats:
        """The answer, in standard deviations, that has this loss log(with / without); minus infinity where none is so low."""
        inside = (np.exp(np.clip(losses, -700, 700)) - (1 - self.rate)) / self.rate
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(np.maximum(inside, 0.0)) / self.shift + self.shift / 2)

    def _up_to(self, losses: Floats) -> Floats:
        x = self._answer(losses)
        return (1 - self.rate) * _normal_cdf(x) + self.rate * _normal_cdf(x - self.shift)

    def _loss(self, answer: float) -> float:
        return float(np.logaddexp(math.log1p(-self.rate) if self.rate < 1 else -math.inf,
                                  math.log(self.rate) + self.shift * answer - self.shift**2 / 2))  # fmt: skip

    def _composed(self, up_to: Callable[[Floats], Floats]) -> tuple[Floats, Floats]:
        """All steps together: (losses, chances), on an even grid, from one step's distribution function of the loss."""
        reach = max(abs(self._loss(-_REACH)), abs(self._loss(_REACH + self.shift))) + 1e-9
        fine = reach / 4096
        edges = (np.arange(-4096, 4097) + 0.5) * fine
        chances = np.diff(up_to(np.asarray(edges, dtype=np.float64)), prepend=0.0)
        middles = edges - fine / 2
        mean = float(chances @ middles)
        spread = math.sqrt(self.steps * float(chances @ (middles - mean) ** 2) + self.mu**2)
        centre = self.steps * mean + self.mu**2 / 2
        width = 2 * _SPREAD * spread + 2 * reach
        step = width / _POINTS
        first = math.floor((centre - width / 2) / step)
        most = math.ceil(reach / step) + 1
        places = np.arange(-most, most + 1)
        single = np.diff(up_to(np.asarray((places + 0.5) * step, dtype=np.float64)), prepend=0.0)
        wheel = np.zeros(_POINTS)
        np.add.at(wheel, places % _POINTS, single)
        found = np.fft.rfft(wheel) ** self.steps
        if self.mu:
            found *= np.fft.rfft(_gaussian_wheel(self.mu, step))
        whole = np.maximum(0.0, np.fft.irfft(found, _POINTS))
        grid = first + np.arange(_POINTS)
        return np.asarray(grid * step, dtype=np.float64), np.asarray(whole[grid % _POINTS], dtype=np.float64)


def _gaussian_wheel(mu: float, step: float) -> Floats:
    """The loss of Gaussian answers, N(mu^2 / 2, mu^2), on the same grid."""
    reach = math.ceil((mu**2 / 2 + 12 * mu) / step) + 1
    places = np.arange(-reach, reach + 1)
    edges = np.asarray(((places + 0.5) * step - mu**2 / 2) / mu, dtype=np.float64)
    chances = np.diff(_normal_cdf(edges), prepend=0.0)
    wheel = np.zeros(_POINTS)
    np.add.at(wheel, places % _POINTS, chances)
    return wheel


def _hockey_stick(losses: Floats, chances: Floats, epsilon: float) -> float:
    above = losses > epsilon
    return float((chances[above] * -np.expm1(epsilon - losses[above])).sum())


def _normal_cdf(x: Floats) -> Floats:
    return np.array([statistics.normal_cdf(float(value)) for value in x])
