"""`gan`: a generator that learns from a discriminator under DP-SGD, starting from a cheap model of noisy tables.

Must never look at records but through the curator: tables first, then the discriminator's noisy steps.

What is private, and what is not. The discriminator's gradients on real records are clipped and noised in the curator. On
generated records they are free: they are clipped the same way, so that equal rows cancel, and no noise is added to them. The
generator learns from the discriminator alone, as often as it likes. Conditions (a column, and one of its levels) come from
noisy one-way tables for generated records and from the record itself for real ones: no record is asked how frequent its
levels are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, Final, final

import numpy as np
import numpy.typing as npt

from privsynth.domain import Domain
from privsynth.errors import FitError, MechanismError, PolicyError, SchemaError
from privsynth.generator import AbstractDistribution, AbstractGenerator
from privsynth.latent.distribution import LatentClassDistribution
from privsynth.latent.estimation import fit
from privsynth.latent.measuring import affords, measure_again, measure_pairs, measure_tables
from privsynth.latent.observed import observe
from privsynth.latent.planning import one_way_weights
from privsynth.measurement import Trained, Transcript, measurements
from privsynth.nn.device import require_torch
from privsynth.privacy.accounting import Composition
from privsynth.privacy.gradient import MOST_WIDE, SMALLEST_CLIP
from privsynth.privacy.sampled_gaussian import MOST_STEPS, Schedule

if TYPE_CHECKING:
    from privsynth.privacy.curator import Curator

GRADIENTS: Final = "gradients"

_FIRST_TABLES: Final = Fraction(1, 10)
"""Part of the tables' budget for the one-way tables that the rest is planned from."""

_POOL_NUMBERS: Final = 1 << 25
_MOST_ROWS: Final = 1 << 20
"""Heads' numbers that the pool may hold: 128 MB."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class GAN(AbstractGenerator):
    """A conditional GAN whose discriminator trains under DP-SGD and whose generator starts from all pairs' noisy tables.

    Args: `steps` noisy steps of the discriminator, at `sampling_rate`, after `first_share` of the budget went to tables;
        `clip` bounds a record's gradient; `discriminator_units` and `generator_units` are widths; `free_steps` of the
        generator are taken after each noisy one, on `batch` records; rates are per mille; `classes` bounds the cheap model;
        `fresh` is how often a level is drawn afresh in its class at the start; `pool` bounds the latents kept for drawing.
    Privacy: Gaussian answers and a Poisson-subsampled Gaussian, together: see the head of this file.
    Raises: PolicyError for settings out of range; InputError where PyTorch is not installed.
    Source: Goodfellow et al. 2014; conditions by column and level: Xu et al. 2019 (CTGAN), whose frequencies are not private
        there; DP-SGD: Abadi et al. 2016; the discriminator alone under it: Xie et al. 2018.
    """

    name: ClassVar[str] = "gan"
    composition: ClassVar[Composition] = "gdp"
    brief: ClassVar[Mapping[str, int | Fraction]] = {"free_steps": 1, "batch": 64, "pool": 256, "classes": 4}

    steps: int = 220
    sampling_rate: Fraction = Fraction(1, 4)
    first_share: Fraction = Fraction(1, 2)
    clip: Fraction = Fraction(1)
    discriminator_units: int = 48
    generator_units: int = 64
    free_steps: int = 4
    batch: int = 1024
    discriminator_rate: int = 25_000
    generator_rate: int = 3
    classes: int = 400
    fresh: Fraction = Fraction(1, 10)
    pool: int = 32_768

    def __post_init__(self) -> None:
        if not 0 < self.first_share < 1:
            raise PolicyError(
                "gan: first_share must be above 0 and below 1: tables come first, gradient steps after them"
            )
        if not 0 < self.sampling_rate <= 1 or not 1 <= self.steps <= MOST_STEPS:
            raise PolicyError(f"gan: sampling_rate must be above 0 and at most 1, and steps from 1 to {MOST_STEPS:,}")
        if not SMALLEST_CLIP <= self.clip <= 1 / SMALLEST_CLIP:
            raise PolicyError("gan: clip must be from 1/1024 to 1024")
        if not 0 < self.fresh <= 1:
            raise PolicyError("gan: fresh must be above 0 and at most 1")
        counts = (self.steps, self.discriminator_units, self.generator_units, self.free_steps, self.batch)
        if min(*counts, self.discriminator_rate, self.generator_rate, self.classes, self.pool) < 1:
            raise PolicyError("gan: steps, units, batch, rates, classes and pool must be at least 1")
        if max(self.discriminator_units, self.generator_units) > MOST_WIDE or max(self.batch, self.pool) > _MOST_ROWS:
            raise PolicyError(f"gan: units must be at most {MOST_WIDE:,}, and batch and pool at most {_MOST_ROWS:,}")
        require_torch("the generator gan")

    @property
    def schedule(self) -> Schedule:
        """The gradient steps of the discriminator."""
        return Schedule(sampling_rate=self.sampling_rate, steps=self.steps, first_share=self.first_share)

    def require_domain(self, domain: Domain) -> None:
        """Refuse more levels than a weight matrix may have columns. Raises: SchemaError."""
        if sum(domain.sizes) + len(domain) + 1 > MOST_WIDE:
            raise SchemaError(
                f"gan takes at most {MOST_WIDE:,} levels of all columns together; declare groups or fewer bins, drop columns, "
                'or take the generator "latent_class"'
            )

    def measure(self, curator: Curator) -> None:
        """All pairs as planned, with the first part of the budget; then the discriminator's steps against the generator.

        As many steps as the curator's plan holds: that they are those of the settings is for who plans (`fitting.FitPlan`).
        Raises: MechanismError, before anything is spent, when the curator's budget has no part for gradient steps; SchemaError,
            before it too, for a domain that is too wide.
        """
        if curator.training is None:
            raise MechanismError("gan: the budget has no part for gradient steps; make it for the generator's schedule")
        domain = curator.domain
        if not domain.attributes:
            return
        self.require_domain(domain)
        plan = measure_tables(curator, curator.budget, _FIRST_TABLES)
        if plan is not None and curator.remaining > 0:
            if affords(curator, plan, curator.remaining):
                measure_pairs(curator, plan, curator.remaining, "pairs-again")
            else:
                one_way = [(name,) for name in domain.attributes]
                measure_again(curator, one_way, one_way_weights(domain.sizes), curator.remaining)
        from privsynth.nn.gan_training import train

        model = self._cheap(domain, curator.transcript)
        curator.conclude(train(curator, model, self._settings(domain)), stage=GRADIENTS)

    def estimate(self, domain: Domain, transcript: Transcript) -> AbstractDistribution:
        """The trained generator at a fixed pool of latents; where nothing was trained, the cheap model."""
        model = self._cheap(domain, transcript)
        trained = _trained(transcript)
        if trained is None:
            return model
        from privsynth.nn.gan_training import distribution_of, start_for

        settings = self._settings(domain)
        return distribution_of(domain, model.total, start_for(model, settings), trained.weights, settings)

    def restore(
        self, domain: Domain, transcript: Transcript, arrays: Mapping[str, npt.NDArray[np.float64]]
    ) -> AbstractDistribution:
        """The distribution whose `arrays()` these are: the heads are computed again, the cheap model is not fitted again."""
        trained = _trained(transcript)
        if trained is None:
            return self.estimate(domain, transcript)
        from privsynth.nn.gan_training import distribution_of, start_from

        total, start = start_from(domain, arrays)
        return distribution_of(domain, total, start, trained.weights, self._settings(domain))

    def _cheap(self, domain: Domain, transcript: Transcript) -> LatentClassDistribution:
        seen = observe(domain, measurements(transcript))
        return LatentClassDistribution(seen, fit(seen, components=self.classes, predicting=False))

    def _settings(self, domain: Domain) -> Any:
        from privsynth.nn.gan_training import Settings

        room = _POOL_NUMBERS // max(1, sum(domain.sizes))
        return Settings(
            clip=self.clip,
            discriminator_units=self.discriminator_units,
            generator_units=self.generator_units,
            free_steps=self.free_steps,
            batch=self.batch,
            discriminator_rate=self.discriminator_rate / 1000,
            generator_rate=self.generator_rate / 1000,
            fresh=float(self.fresh),
            pool=min(self.pool, max(256, 1 << int(math.log2(max(1, room))))),
        )


def _trained(transcript: Transcript) -> Trained | None:
    found = [entry for entry in transcript if isinstance(entry, Trained)]
    if len(found) > 1:
        raise FitError("a transcript holds one training, not several; was a file replaced?")
    return found[0] if found else None
