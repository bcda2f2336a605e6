"""Gradient steps as a mechanism: the Poisson-subsampled Gaussian, taken a number of times that is fixed beforehand.

Must never take a sampling rate, a number of steps or a noise multiplier from data: they are public, and part of the plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import final

from privsynth.errors import MechanismError


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SampledGaussian:
    """`steps` sums of clipped gradients, each over units that are sampled independently with probability `sampling_rate`.

    Units: `noise_multiplier` is the Gaussian's sigma over the L2 sensitivity of one unit.
    """

    sampling_rate: Fraction
    steps: int
    noise_multiplier: Fraction

    def __post_init__(self) -> None:
        if type(self.sampling_rate) is not Fraction or not 0 < self.sampling_rate <= 1:
            raise MechanismError("a sampling rate is an exact fraction above 0 and at most 1")
        if type(self.steps) is not int or self.steps < 1:
            raise MechanismError(f"training takes a whole number of steps, at least one; found {self.steps!r}")
        if type(self.noise_multiplier) is not Fraction or self.noise_multiplier <= 0:
            raise MechanismError("a noise multiplier is an exact fraction above 0")
