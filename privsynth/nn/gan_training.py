"""How the GAN trains, and what it leaves: the loop of noisy steps, and the distribution of a trained generator.

Must never see a record, or decide anything by what no noisy answer says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, TypeAlias, final

import numpy as np
import numpy.typing as npt
import torch

from privsynth.domain import Domain
from privsynth.errors import FitError
from privsynth.generator import AbstractDistribution
from privsynth.nn.device import compute_device, enough_memory, single_precision
from privsynth.nn.discriminator import LARGEST, Discriminator, DiscriminatorLoss
from privsynth.nn.gan import Adversary, Conditions, GeneratorNet, Start
from privsynth.nn.gan_start import start_of
from privsynth.nn.pool import PoolDistribution
from privsynth.nn.record_input import RecordLayout
from privsynth.nn.training import gradient_steps, noisy_gradients

if TYPE_CHECKING:
    from privsynth.privacy.curator import Curator
    from privsynth.privacy.sampled_gaussian import SampledGaussian

Floats: TypeAlias = npt.NDArray[np.float64]
Stored: TypeAlias = Mapping[str, npt.NDArray[np.float32]]

_SEED: Final = 20_240_502
"""Of first weights, latents and batches: public, and no noise comes from it."""

_FAKE_BATCHES: Final = 4
"""The discriminator sees so many batches of generated records at each step: they cost nothing but time."""

_FADE: Final = 0.99
_WALK: Final = 0.15
"""How far noise alone may carry the discriminator in a whole training, in units of its inputs' gradients."""

_BLOCK_NUMBERS: Final = 1 << 22


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What decides a training and its pool: public. Rates are plain learning rates."""

    clip: Fraction
    discriminator_units: int
    generator_units: int
    free_steps: int
    batch: int
    discriminator_rate: float
    generator_rate: float
    fresh: float
    pool: int


def train(curator: Curator, model: AbstractDistribution, settings: Settings) -> dict[str, npt.NDArray[np.float32]]:
    """Take the plan's steps and give the generator's averaged weights.

    Privacy: spends the curator's gradient steps; the generator's own steps are post-processing.
    Raises: FitError when memory runs out: a smaller batch goes on from the state that was kept.
    """
    plan = curator.training
    if plan is None:
        raise FitError("this fit's budget has no part for gradient steps; make it for the generator's schedule")
    fits = f"take batch = {max(1, settings.batch // 4)}, or declare fewer levels for the widest columns"
    with single_precision(), enough_memory(f"to train the gan on batches of {settings.batch:,} records", fits):
        return _trained(curator, plan, model, settings)


def _trained(
    curator: Curator, plan: SampledGaussian, model: AbstractDistribution, settings: Settings
) -> dict[str, npt.NDArray[np.float32]]:
    device = compute_device()
    layout, start = RecordLayout(model.domain.sizes), start_for(model, settings)
    rows = float(plan.sampling_rate) * model.total
    discriminator = Discriminator(layout, settings.discriminator_units, np.random.default_rng((_SEED, 0)), device)
    conditions = conditions_of(model, start, layout, device)
    net = _net(layout, start, settings, device)
    adversary = Adversary(net, discriminator, conditions, fade=_FADE)
    clip, told = float(settings.clip), [math.nan]
    walk = float(plan.noise_multiplier) * curator.unit.max_rows * clip * math.sqrt(plan.steps) / rows
    rate = min(settings.discriminator_rate, _WALK / walk)
    memory = {
        "discriminator": discriminator.weights,
        "generator": net.weights,
        "optimiser": adversary.optimiser,
        "average": adversary.average,
    }
    for step, _ in gradient_steps(curator, memory, told=lambda: f", loss {told[0]:.2f}"):
        rng = np.random.default_rng((_SEED, 1, step))
        loss = DiscriminatorLoss(discriminator, clip)
        real, told[0] = noisy_gradients(curator, loss, clip=settings.clip, rows=rows, largest=LARGEST, device=device)
        fake = adversary.mean_gradients(_FAKE_BATCHES * settings.batch, clip, rng)
        discriminator.move([mine - its for mine, its in zip(real, fake, strict=True)], rate)
        for _ in range(settings.free_steps):
            adversary.step(settings.batch, settings.generator_rate, rng)
    return adversary.average.arrays()


def start_for(model: AbstractDistribution, settings: Settings) -> Start:
    """The records that the pool is made of."""
    return start_of(model, settings.pool)


def conditions_of(model: AbstractDistribution, start: Start, layout: RecordLayout, device: Any) -> Conditions:
    """Conditions by the model's one-way tables, which follow the noisy ones."""
    shares = [np.maximum(model.project((name,)), 0.0) + 1e-9 for name in model.domain.attributes]
    return Conditions(layout, start, shares, device)


def distribution_of(
    domain: Domain, total: float, start: Start, weights: Stored, settings: Settings
) -> PoolDistribution:
    """What the trained generator says at the pool's latents.

    Raises: FitError where weights or records do not belong to this network.
    """
    device, layout = compute_device(), RecordLayout(domain.sizes)
    net = _net(layout, start, settings, device)
    net.weights.load(weights)
    shares = [np.ones(size) for size in domain.sizes]
    latents = Conditions(layout, start, shares, device).all(np.random.default_rng((_SEED, 2)))
    members, block = len(start.codes), max(1, _BLOCK_NUMBERS // max(1, layout.total))
    heads = [np.empty((members, size), dtype=np.float32) for size in domain.sizes]
    fits = f"take pool = {max(256, settings.pool // 4)}"
    with single_precision(), torch.no_grad(), enough_memory(f"for a pool of {members:,} records", fits):
        for at in range(0, members, block):
            rows = slice(at, min(members, at + block))
            parts = net.heads(net.logits(latents.part(rows)))
            for column, part in zip(layout.order, parts, strict=True):
                heads[column][rows] = part.exp().cpu().numpy()
    stored = {
        "codes": start.codes.astype(np.float64),
        "classes": start.classes.astype(np.float64),
        "given": start.given,
        "total": np.array([total]),
    }
    return PoolDistribution(domain, total, heads, stored)


def start_from(domain: Domain, arrays: Mapping[str, Floats]) -> tuple[float, Start]:
    """The number of records and the start that `PoolDistribution.arrays` stored. Raises: FitError when they do not fit."""
    if set(arrays) != {"codes", "classes", "given", "total"} or not all(np.isfinite(a).all() for a in arrays.values()):
        raise FitError("a stored GAN does not belong to its measurements; was a file replaced?")
    codes, classes, given = arrays["codes"], arrays["classes"], arrays["given"]
    fits = (
        codes.ndim == given.ndim == len(("rows", "attributes"))
        and codes.shape[1] == len(domain)
        and classes.shape == (len(codes),)
        and len(given) == sum(domain.sizes)
        and arrays["total"].shape == (1,)
        and len(codes) > 0
    )
    if not fits or (codes < 0).any() or (codes >= np.array(domain.sizes)).any() or (given < 0).any():
        raise FitError("a stored GAN does not belong to its measurements; was a file replaced?")
    if (classes < 0).any() or (classes >= given.shape[1]).any() or not arrays["total"][0] >= 1:
        raise FitError("a stored GAN does not belong to its measurements; was a file replaced?")
    start = Start(codes=codes.astype(np.int64), classes=classes.astype(np.int64), given=given)
    return float(arrays["total"][0]), start


def _net(layout: RecordLayout, start: Start, settings: Settings, device: Any) -> GeneratorNet:
    rng = np.random.default_rng((_SEED, 3))
    return GeneratorNet(layout, start, units=settings.generator_units, fresh=settings.fresh, rng=rng, device=device)
