"""The trade-off curve of gradient steps, in floats: Poisson-subsampled Gaussians, composed by Fourier transforms.

Must never be what a release is accounted with: it recomputes, in another way, what `privacy/sampled_gaussian.py` proves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.privacy.sampled_gaussian import SampledGaussian

Floats = npt.NDArray[np.float64]

_POINTS_LEAST, _POINTS_MOST = 1 << 14, 1 << 18
_NODES = 1 << 14
_REACH = 9.0
"""How far noise is followed, in standard deviations: beyond it lies 1e-18."""

_LEFT_OUT = 1e-16
_FINE = 1 / 48
_STEPS = 48


@final
@dataclass(frozen=True, kw_only=True)
class SampledCurve:
    """`steps` sums of which one unit moves each by `shift` standard deviations, if it takes part, with chance `rate`.

    Units: `mu` is that of Gaussian answers beside them.
    Source: Koskela, Jälkö, Honkela 2020, with losses split between two neighbouring points of a grid as by Doroshenko et al.
        2022: both distributions keep their mass, so that deltas and epsilons err upwards alone, and missed units downwards,
        up to rounding (1e-13 of delta). An audit that holds a release to them accuses no honest one. A grid that is coarse
        against one step's losses moves neither their mean nor, by more than a part in a thousand, their spread.
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
        losses, without, into = self._one_step
        return self._composed(losses, (1 - self.rate) * without + self.rate * into)

    @cached_property
    def _left(self) -> tuple[Floats, Floats]:
        """The loss log(without / with), of answers about the table without it."""
        losses, without, _ = self._one_step
        return self._composed(-losses, without)

    @cached_property
    def _one_step(self) -> tuple[Floats, Floats, Floats]:
        """Losses log(with / without) of one step, and their chances without the unit and where it takes part."""
        answers = np.linspace(-_REACH, self.shift + _REACH, _NODES)
        tilt = answers * self.shift - self.shift**2 / 2
        steep = math.log(self.rate) + tilt
        losses = (
            np.where(tilt > 30, steep, np.log1p(self.rate * np.expm1(np.minimum(30, tilt)))) if self.rate < 1 else tilt
        )
        return np.asarray(losses, dtype=np.float64), _normal(answers), _normal(answers - self.shift)

    def _composed(self, losses: Floats, chances: Floats) -> tuple[Floats, Floats]:
        """All steps and the answers beside them together: (losses, chances), on an even grid."""
        ends = np.linspace(-_REACH, _REACH, _NODES if self.mu else 1)
        beside, weights = self.mu * ends + self.mu**2 / 2, _normal(ends)
        mean = float(losses @ chances)
        single = float((losses - mean) ** 2 @ chances)
        spread = math.sqrt(self.steps * single + self.mu**2)
        low, high = self._range(losses, chances, spread)
        wanted = (high - low) / (_FINE * math.sqrt(single))
        points = min(_POINTS_MOST, max(_POINTS_LEAST, 1 << math.ceil(math.log2(wanted))))
        step = (high - low) / (points - 2)
        found = np.fft.rfft(_wheel(losses, chances, step, points)) ** self.steps
        if self.mu:
            found *= np.fft.rfft(_wheel(beside, weights, step, points))
        whole = np.maximum(0.0, np.fft.irfft(found, points))
        grid = math.floor(low / step) + np.arange(points)
        return np.asarray(grid * step, dtype=np.float64), np.asarray(whole[grid % points], dtype=np.float64)

    def _range(self, losses: Floats, chances: Floats, spread: float) -> tuple[float, float]:
        """Where the whole loss lies but for a chance of 1e-16 at each end, by Chernoff's bound."""
        ends = []
        for sign in (-1.0, 1.0):
            reaches = []
            for order in np.exp(np.linspace(math.log(0.1), math.log(1000), 31)) / spread:
                raised = sign * order * losses
                most = float(raised.max())
                grown = self.steps * (most + math.log(float(np.exp(raised - most) @ chances)))
                grown += sign * order * self.mu**2 / 2 + (order * self.mu) ** 2 / 2
                reaches.append((grown - math.log(_LEFT_OUT)) / order)
            ends.append(sign * min(reaches))
        return ends[0], ends[1]


def _normal(x: Floats) -> Floats:
    """Chances of evenly spaced answers under standard noise, by the trapezoidal rule; one alone has them all."""
    density = np.exp(-(x**2) / 2)
    return np.asarray(density * ((x[1] - x[0]) / math.sqrt(2 * math.pi) if len(x) > 1 else 1.0), dtype=np.float64)


def _wheel(losses: Floats, chances: Floats, step: float, points: int) -> Floats:
    """Losses on a grid that is closed to a ring, each split between its two neighbours so that E[exp(-loss)] stays too."""
    places = np.floor(losses / step)
    upper = np.expm1(places * step - losses) / math.expm1(-step)
    left = places.astype(np.int64)
    found = np.bincount(left % points, chances * (1 - upper), points)
    return np.asarray(found + np.bincount((left + 1) % points, chances * upper, points), dtype=np.float64)


def _hockey_stick(losses: Floats, chances: Floats, epsilon: float) -> float:
    first = int(np.searchsorted(losses, epsilon, side="right"))
    return float(chances[first:] @ -np.expm1(epsilon - losses[first:]))
