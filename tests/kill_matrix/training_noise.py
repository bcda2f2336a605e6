"""Broken training: noise that is missing, weak or used twice, steps that nobody paid for, and weights that know the records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from privsynth.epsilon_bounds import implied_epsilon
from privsynth.findings import Claim
from privsynth.measurement import measurements
from privsynth.pgm.estimation import estimate_total
from privsynth.privacy import mechanism, sampling
from privsynth.privacy.curator import Curator
from privsynth.privacy.sampled_gaussian import SampledGaussian
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.privacy.unit import PrivacyUnit
from tests.kill_matrix import references, sources
from tests.kill_matrix.defect import Break, Conformance, Defect
from tests.kill_matrix.sources import Drawn
from tests.tiny_training import GRADIENTS, ChainLoss, Floats, TinyTraining, Training

Int64s = npt.NDArray[np.int64]
Sums = list[npt.NDArray[np.float64]]
LARGE = 2000.0
"""No table's noise has so large a sigma here, and every gradient step's has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop(TinyTraining):  # type: ignore[misc]
    """The small network's training, right as it stands, with places to break it at."""

    def measure(self, curator: Curator) -> None:
        """One-way tables, gradient steps, weights."""
        names = curator.domain.attributes
        curator.measure([(name,) for name in names], rho=curator.remaining, stage="one-way")
        training = Training.fresh(curator.domain)
        plan = curator.training
        assert plan is not None
        taken = 0
        while taken < plan.steps and not self.stop(curator, training):
            sums = self.sums(curator, ChainLoss(training.weights), taken)
            training.step([each / self.rows(curator) for each in sums], 0.5, 0.0)
            taken += 1
        weights = {f"head {name}": matrix for name, matrix in zip(names, training.weights, strict=True)}
        curator.conclude(weights, stage=GRADIENTS)

    def rows(self, curator: Curator) -> float:
        """What sums are divided by: the records that a step is expected to hold, from noisy tables."""
        assert curator.training is not None
        return float(curator.training.sampling_rate) * estimate_total(measurements(curator.transcript))

    def stop(self, curator: Curator, training: Training) -> bool:
        """Whether to stop early."""
        return False

    def sums(self, curator: Curator, loss: ChainLoss, taken: int) -> Sums:
        """The noisy sums of one step."""
        return curator.gradient_sum(loss, clip=self.clip)


def exact_loss(curator: Curator, weights: list[Floats]) -> float:
    """The mean size of the slopes of all records: what nobody may know."""
    data = curator._data.open()
    codes = data.codes(np.arange(data.rows))
    return sum(float(np.abs(slopes).sum()) for _, slopes in ChainLoss(weights).factors(codes, b"")) / max(1, data.rows)


class PerRecord(Loop):
    """Divides by the number of records."""

    def rows(self, curator: Curator) -> float:
        return 0.25 * max(1, curator._data.open().rows)


class Stops(Loop):
    """Stops when the loss on the records is small enough."""

    def stop(self, curator: Curator, training: Training) -> bool:
        return curator._steps > 2 and exact_loss(curator, training.weights) < 4.2


class KnowsItsLoss(Loop):
    """Takes smaller steps where the loss on the records is small."""

    def sums(self, curator: Curator, loss: ChainLoss, taken: int) -> Sums:
        step = exact_loss(curator, loss.weights)
        return [each * (1 + step) for each in super().sums(curator, loss, taken)]


class OneMore(Loop):
    """Takes a step to warm up that it does not count."""

    def sums(self, curator: Curator, loss: ChainLoss, taken: int) -> Sums:
        if not taken:
            super().sums(curator, loss, taken)
            curator._steps = 0
        return super().sums(curator, loss, taken)


class Refunds(Loop):
    """Goes on after a break as if the steps before it had not been taken."""

    def sums(self, curator: Curator, loss: ChainLoss, taken: int) -> Sums:
        if taken == 4:
            for _ in range(2):
                super().sums(curator, loss, taken)
            curator._steps = 4
        return super().sums(curator, loss, taken)


class SometimesNone(AbstractNoiseSource):
    """Right noise but in three steps of four, which get none."""

    name: ClassVar[str] = "sometimes none"
    signable: ClassVar[bool] = False

    def __init__(self, source: AbstractNoiseSource, step: int) -> None:
        self._source, self._step = source, step

    def gaussian(self, exact: Int64s, sigma_squared: Fraction) -> Int64s:
        return exact if self._step % 4 else self._source.gaussian(exact, sigma_squared)

    def exponential(self, scores: Int64s, rate: Fraction) -> int:
        return self._source.exponential(scores, rate)

    def key(self) -> bytes:
        return self._source.key()


class Seeded(SometimesNone):
    """Noise of a generator with a seed, as of torch, in place of the source's."""

    def gaussian(self, exact: Int64s, sigma_squared: Fraction) -> Int64s:
        noise = np.random.default_rng(self._step).normal(0, float(sigma_squared) ** 0.5, exact.shape)
        return exact + np.rint(noise).astype(np.int64)


def drawn_from(source: type[SometimesNone]) -> Break:
    """Gradient steps take their noise from another source."""

    def broken(patch: pytest.MonkeyPatch) -> None:
        right: Callable[..., Sums] = Curator.gradient_sum

        def gradient_sum(curator: Curator, loss: Any, **named: Any) -> Sums:
            kept = curator._noise
            curator._noise = source(kept, curator._steps)
            try:
                return right(curator, loss, **named)
            finally:
                curator._noise = kept

        patch.setattr(Curator, "gradient_sum", gradient_sum)

    return broken


def per_batch(patch: pytest.MonkeyPatch) -> None:
    """Sums are divided by the number of records that took part, and multiplied by that expected."""
    right, choose, sizes = Curator.gradient_sum, sampling.poisson, [1]

    def poisson(units: Int64s | None, rows: int, rate: Fraction, key: bytes) -> npt.NDArray[np.intp]:
        found = choose(units, rows, rate, key)
        sizes[0] = max(1, len(found))
        return found

    def gradient_sum(curator: Curator, loss: Any, **named: Any) -> Sums:
        return [each * 50 / sizes[0] for each in right(curator, loss, **named)]

    patch.setattr(sampling, "poisson", poisson)
    patch.setattr(Curator, "gradient_sum", gradient_sum)


def less_noise(share: Fraction) -> Break:
    """The noise multiplier is smaller by this factor than the one that is stated."""

    def broken(patch: pytest.MonkeyPatch) -> None:
        right = mechanism.sampled_variance
        patch.setattr(mechanism, "sampled_variance", lambda *args: right(*args) * share**2)

    return broken


class UsedAgain(Drawn):
    """The noise of one gradient step again in the next one."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, sources.right)
        self._kept: dict[int, Int64s] = {}

    def gaussian(self, exact: Int64s, sigma_squared: Fraction) -> Int64s:
        drawn = super().gaussian(np.zeros_like(exact), sigma_squared)
        if float(sigma_squared) ** 0.5 < LARGE:
            return exact + drawn
        again = self._kept.pop(exact.size, None)
        if again is None:
            self._kept[exact.size] = again = drawn
        return exact + again.reshape(exact.shape)


def a_fifth_less(rng: np.random.Generator, sigma: float, size: int) -> npt.NDArray[np.float64]:
    """Four fifths of the sigma in gradient steps of many weights."""
    return sources.right(rng, 0.8 * sigma if sigma > LARGE and size > 5000 else sigma, size)


def of_a_tenth(rho: Fraction, unit: PrivacyUnit) -> Claim:
    """What a thousand steps are said to cost: as much as a hundred."""
    steps = [
        SampledGaussian(sampling_rate=Fraction(1, 100), steps=count, noise_multiplier=Fraction(1))
        for count in (100, 1000)
    ]
    epsilon = implied_epsilon(float(rho), 1e-5, "pld", steps[0])
    return Claim(epsilon=epsilon, delta=1e-5, rho=float(rho), unit=unit.name, composition="pld", training=steps[1])


def noise(name: str, drawn: str, what: str, target: Conformance, caught_by: str) -> Defect:
    """A defect of training."""
    return Defect(name=name, drawn_from=drawn, what=what, target=target, caught_by=caught_by)


INVARIANCE, LEDGER, MOVED = "replay: invariance", "ledger", "replay: sensitivity"

DEFECTS = (
    noise(
        "sums divided by the number of records",
        references.OPACUS_571,
        "Sums of gradients are divided by the exact number of records.",
        Conformance(generator=PerRecord),
        INVARIANCE,
    ),
    noise(
        "sums divided by the batch's size",
        references.OPACUS_571,
        "Sums of gradients are divided by the number of records that took part.",
        Conformance(generator=TinyTraining, broken=per_batch),
        INVARIANCE,
    ),
    noise(
        "stopping on the loss",
        references.THEORY_ALONE,
        "Training stops when the exact loss on the records is small enough.",
        Conformance(generator=Stops),
        INVARIANCE,
    ),
    noise(
        "steps as long as the loss",
        references.THEORY_ALONE,
        "The learning rate follows the exact loss on the records.",
        Conformance(generator=KnowsItsLoss),
        INVARIANCE,
    ),
    noise(
        "a step more than planned",
        references.SYNTHCITY_276,
        "A first step is not counted.",
        Conformance(generator=OneMore),
        LEDGER,
    ),
    noise(
        "steps given back",
        references.THEORY_ALONE,
        "After an interruption, steps that were taken are counted as not taken, and taken again.",
        Conformance(generator=Refunds),
        LEDGER,
    ),
    noise(
        "noise once an epoch",
        references.PATE_GAN_29,
        "Of four steps, one has noise.",
        Conformance(generator=TinyTraining, broken=drawn_from(SometimesNone)),
        LEDGER,
    ),
    noise(
        "noise with a seed",
        references.OPACUS_346,
        "Noise of gradient steps comes from a generator with a seed, and not from the source.",
        Conformance(generator=TinyTraining, broken=drawn_from(Seeded)),
        LEDGER,
    ),
    noise(
        "a tenth too small a noise multiplier",
        references.DEBUGGING,
        "Steps have nine tenths of the noise that is accounted for.",
        Conformance(generator=TinyTraining, broken=less_noise(Fraction(9, 10))),
        MOVED,
    ),
    noise(
        "half of the noise multiplier",
        references.DEBUGGING,
        "Steps have half of the noise that is accounted for.",
        Conformance(generator=TinyTraining, broken=less_noise(Fraction(1, 2))),
        MOVED,
    ),
    noise(
        "a step's noise again in the next",
        references.DP_RECORDER,
        "The difference of two steps is free of noise.",
        Conformance(generator=TinyTraining, noise=UsedAgain),
        "noise: independence of draws",
    ),
    noise(
        "a fifth too little noise for large networks",
        references.OPACUS_346,
        "Of steps with more than 5,000 weights only: canaries tell more than the plan allows.",
        Conformance(generator=TinyTraining, noise=lambda seed: Drawn(seed, a_fifth_less)),
        "gradients: canaries",
    ),
    noise(
        "epochs counted as steps",
        references.SYNTHCITY_276,
        "A thousand gradient steps are accounted for as a hundred.",
        Conformance(generator=TinyTraining, promise=of_a_tenth),
        "claim: accounting",
    ),
)
