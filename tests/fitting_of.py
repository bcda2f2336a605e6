"""A curator for any generator, and generators that train made short: what the laws of all generators are tested with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from privsynth import generators
from privsynth.conformance.fits import composition_of
from privsynth.dataset import Dataset
from privsynth.generator import AbstractGenerator
from privsynth.generators.gan import GAN
from privsynth.generators.vae import VAE
from privsynth.privacy.curator import Curator, make_curator
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.privacy.sampled_gaussian import GRID, LEAST_MULTIPLIER, MOST_MULTIPLIER, SampledGaussian, Schedule
from privsynth.privacy.unit import PrivacyUnit

Settings = Mapping[str, int | Fraction]

_FEW: Settings = {"steps": 4, "sampling_rate": Fraction(1, 4)}

SHORT: Mapping[str, Settings] = {"vae": {**VAE.brief, **_FEW}, "gan": {**GAN.brief, **_FEW}}
"""Of the generators that train, settings for laws of what a fit may and must do."""

ABLE: Mapping[str, Settings] = {
    "vae": {
        "steps": 20,
        "sampling_rate": Fraction(1, 4),
        "pretraining_steps": 120,
        "start_records": 4000,
        "own_draws": 256,
        "hidden": 8,
    },
    "gan": {"steps": 20, "free_steps": 2, "batch": 256, "classes": 60, "pool": 4096},
}
"""Settings for laws of how well a small table is learned."""


def short(name: str) -> AbstractGenerator:
    """The generator; one that trains takes few and small steps."""
    return generators.get(name, SHORT.get(name, {}))


def able(name: str) -> AbstractGenerator:
    """The generator; one that trains takes as many steps as a small table needs."""
    return generators.get(name, ABLE.get(name, {}))


def curator_of(
    generator: AbstractGenerator,
    data: Dataset,
    rho: Fraction,
    *,
    unit: PrivacyUnit = PrivacyUnit(name="row"),  # noqa: B008
    seed: int = 1,
) -> Curator:
    """A curator with rho for the whole fit: where the generator trains, the first share for answers, the rest for its steps."""
    schedule = generator.schedule
    return make_curator(
        data,
        unit=unit,
        rho=rho if schedule is None else rho * schedule.first_share,
        noise=UnsafeSeededNoise(seed),
        composition=composition_of(generator),
        training=None if schedule is None else steps_for(schedule, rho * (1 - schedule.first_share)),
    )


def steps_for(schedule: Schedule, rho: Fraction) -> SampledGaussian:
    """The schedule's steps with about as much noise as this rho pays for, within the bounds of every budget.

    By the limit of many steps, mu^2 = rate^2 steps (e^(1/sigma^2) - 1) (Bu et al. 2020): near enough to see what is learned.
    """
    share = 2 * float(rho) / (float(schedule.sampling_rate) ** 2 * schedule.steps)
    sigma = Fraction(round(GRID / math.sqrt(math.log1p(share))), GRID)
    return schedule.training(min(max(sigma, LEAST_MULTIPLIER), MOST_MULTIPLIER))
