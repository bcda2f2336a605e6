"""`vae`: a variational autoencoder that starts from noisy tables and goes on by noisy gradients.

Must never see a record but through the curator; torch is imported where a network is built, not with this file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
import numpy.typing as npt

from privsynth.domain import Domain
from privsynth.errors import FitError, MechanismError, PolicyError, SchemaError
from privsynth.generator import AbstractDistribution, AbstractGenerator
from privsynth.latent.distribution import LatentClassDistribution
from privsynth.latent.estimation import fit
from privsynth.latent.measuring import measure_tables
from privsynth.latent.observed import observe
from privsynth.measurement import Trained, Transcript, measurements
from privsynth.nn.device import enough_memory, require_torch
from privsynth.privacy.accounting import Composition
from privsynth.privacy.gradient import MOST_WIDE
from privsynth.privacy.sampled_gaussian import MOST_STEPS, Schedule

if TYPE_CHECKING:
    from privsynth.nn.record_network import Shape
    from privsynth.nn.vae import Learning
    from privsynth.privacy.curator import Curator

_GRADIENTS = "gradients"
"""The stage of the gradient steps."""

_CLASSES = 2000
"""Most classes of the mixture that is fitted to the tables."""

_MOST_COLUMNS = 511
"""Each has two weight matrices, and a gradient step takes at most 1,024."""

_WALK = 0.02
"""How far noise alone may carry a weight in all steps together: where there are few records, steps are made smaller."""

_MOST_NUMBERS = 10**7
"""Records and weights, at most, that a setting may ask for."""

_SEED = 20_250_103
"""Of those draws."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class VAE(AbstractGenerator):
    """One-way tables and pairs, a mixture fitted to them, a network that learns from its records, then DP-SGD.

    The network is a latent vector with a mixture prior, and a decoder that draws column after column (`nn/record_network.py`).
    Where dependence shows in pairs, `latent_class` with all of the budget is as good or better and a hundred times faster;
    the gradient steps are for what only three columns or more together show.

    Args: `first_share` of the budget measures tables, `table_share` of that one-way tables first. `steps` gradient steps, each
        on a part `sampling_rate` of the records; gradients are clipped to `clip`, `rate` is the first step's learning rate in
        units of the clip. `hidden` units a column, `latent` numbers with a prior of `components` Gaussians, about `parameters`
        weights. `pretraining_steps` on `start_records` records of the tables' model, `own_draws` records that each gradient
        step is compared with.
    Privacy: the tables' answers are Gaussian; all else is Poisson-sampled Gaussian sums of clipped gradients.
    Source: Kingma, Welling 2014; DP-SGD: Abadi et al. 2016. Measured choices: docs/decisions/0018.
    """

    name: ClassVar[str] = "vae"
    composition: ClassVar[Composition] = "gdp"
    brief: ClassVar[Mapping[str, int | Fraction]] = {
        "pretraining_steps": 2,
        "own_draws": 64,
        "hidden": 4,
        "start_records": 500,
    }
    pretrains: ClassVar[str | None] = "pretraining_steps"

    first_share: Fraction = Fraction(1, 2)
    table_share: Fraction = Fraction(1, 10)
    sampling_rate: Fraction = Fraction(1, 20)
    steps: int = 200
    clip: Fraction = Fraction(4)
    rate: Fraction = Fraction(3, 5)
    hidden: int = 16
    latent: int = 4
    components: int = 16
    parameters: int = 200_000
    pretraining_steps: int = 800
    own_draws: int = 512
    start_records: int = 40_000

    def __post_init__(self) -> None:
        if not 0 < self.first_share < 1 or not 0 < self.table_share < 1:
            raise PolicyError("vae: first_share and table_share must be above 0 and below 1")
        if not 0 < self.sampling_rate <= 1 or not 1 <= self.steps <= MOST_STEPS:
            raise PolicyError(f"vae: sampling_rate must be above 0 and at most 1, and steps from 1 to {MOST_STEPS:,}")
        if not Fraction(1, 1000) <= self.clip <= 1000 or not 0 < self.rate <= 100:
            raise PolicyError("vae: clip must be from 1/1000 to 1000, and rate above 0 and at most 100")
        if not 1 <= self.hidden <= 1024 or not 0 <= self.latent <= 256 or not 1 <= self.components <= 1024:
            raise PolicyError("vae: hidden and components must be from 1 to 1024, and latent from 0 to 256")
        if self.components * (2 * self.latent + 1) > MOST_WIDE:
            raise PolicyError(
                f"vae: components * (2 * latent + 1) must be at most {MOST_WIDE:,}; take fewer of one of them"
            )
        if max(self.parameters, self.own_draws, self.start_records) > _MOST_NUMBERS:
            raise PolicyError(f"vae: parameters, own_draws and start_records must be at most {_MOST_NUMBERS:,}")
        if min(self.parameters, self.own_draws, self.start_records) < 1 or self.pretraining_steps < 0:
            raise PolicyError(
                "vae: parameters, own_draws and start_records must be at least 1, and pretraining_steps at least 0"
            )
        require_torch("the generator vae")

    @property
    def schedule(self) -> Schedule:
        """The gradient steps."""
        return Schedule(sampling_rate=self.sampling_rate, steps=self.steps, first_share=self.first_share)

    def require_domain(self, domain: Domain) -> None:
        """Refuse more columns than there may be matrices, or more levels than a matrix may have rows. Raises: SchemaError."""
        if len(domain) > _MOST_COLUMNS or max(domain.sizes, default=0) > MOST_WIDE:
            raise SchemaError(
                f"vae takes at most {_MOST_COLUMNS} columns, of at most {MOST_WIDE:,} levels; declare groups or fewer bins, "
                'drop columns, or take the generator "latent_class"'
            )

    def measure(self, curator: Curator) -> None:
        """Tables; a start from them, which is free; the gradient steps.

        As many steps as the curator's plan holds: that they are those of the settings is for who plans (`fitting.FitPlan`).
        Raises: MechanismError, before anything is spent, when the curator's budget has no part for gradient steps; SchemaError,
            before it too, for a domain that is too wide.
        """
        from privsynth.nn import vae

        plan = curator.training
        if plan is None:
            raise MechanismError("vae: the budget has no part for gradient steps; make it for the generator's schedule")
        domain = curator.domain
        if not domain.attributes:
            return
        self.require_domain(domain)
        measure_tables(curator, curator.budget, self.table_share)
        seen = observe(domain, measurements(curator.transcript))
        with enough_memory("for the records to start from", f"take start_records = {max(1, self.start_records // 4)}"):
            model = LatentClassDistribution(seen, fit(seen, components=_CLASSES, predicting=False))
            drawn = model.draw(self.start_records, np.random.default_rng(_SEED))
            codes = np.stack([column.astype(np.int64) for column in drawn.columns], axis=1)
            counts = [model.project((name,)) for name in domain.attributes]
        network = vae.new_network(domain, self._shape, counts, codes)
        if curator.training_state()[1] is None:
            vae.pretrain(network, codes, self._learning)
        rows = max(float(plan.sampling_rate) * model.total, 1.0)
        walk = float(plan.noise_multiplier) * curator.unit.max_rows * math.sqrt(plan.steps) / rows
        vae.train(network, curator, replace(self._learning, rate=min(float(self.rate), _WALK / walk)), rows)
        curator.conclude(vae.stored(network, model.total), stage=_GRADIENTS)

    def estimate(self, domain: Domain, transcript: Transcript) -> AbstractDistribution:
        """The network whose weights the transcript ends with. Raises: FitError when there are none, or they do not fit."""
        from privsynth.nn import vae

        trained = [entry for entry in transcript if isinstance(entry, Trained)]
        if domain.attributes and len(trained) != 1:
            raise FitError("this transcript does not hold one network's weights; it was not measured by vae")
        return vae.distribution(domain, self._shape, trained[0].weights if trained else {})

    def restore(
        self, domain: Domain, transcript: Transcript, arrays: Mapping[str, npt.NDArray[np.float64]]
    ) -> AbstractDistribution:
        """The distribution whose `arrays()` these are. Raises: FitError when they do not belong to this transcript."""
        found = self.estimate(domain, transcript)
        if set(arrays) != {"total"} or arrays["total"].shape != (1,) or arrays["total"][0] != found.total:
            raise FitError("a stored vae does not belong to its transcript; was a file replaced?")
        return found

    @property
    def _shape(self) -> Shape:
        from privsynth.nn.record_network import Shape

        return Shape(hidden=self.hidden, latent=self.latent, components=self.components, parameters=self.parameters)

    @property
    def _learning(self) -> Learning:
        from privsynth.nn.vae import Learning

        return Learning(
            clip=self.clip,
            rate=float(self.rate),
            pretraining_steps=self.pretraining_steps,
            own_draws=self.own_draws,
        )
