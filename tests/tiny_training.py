"""A small network that trains under DP-SGD, in numpy: what the tests of training run on, without torch.

One softmax layer a column: the first column's head sees nothing but a constant, every other one the one-hot record of the
column before it. The heads make a chain, so tables and records of it are exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np
import numpy.typing as npt

from privsynth import progress
from privsynth.domain import Domain
from privsynth.errors import FitError
from privsynth.generator import AbstractDistribution, AbstractGenerator
from privsynth.graphical import GraphicalDistribution
from privsynth.measurement import Trained, Transcript, measurements
from privsynth.pgm.clique_vector import CliqueVector
from privsynth.pgm.estimation import estimate_total
from privsynth.pgm.markov_random_field import MarkovRandomField
from privsynth.privacy.accounting import Composition
from privsynth.privacy.curator import Curator
from privsynth.privacy.gradient import AbstractLoss, Factors

if TYPE_CHECKING:
    from privsynth.privacy.sampled_gaussian import Schedule

Floats = npt.NDArray[np.float32]
GRADIENTS = "gradients"


def shapes(domain: Domain) -> tuple[tuple[int, int], ...]:
    """(levels, levels of the column before + 1) of each column's head."""
    sizes = domain.sizes
    return tuple((size, (0 if at == 0 else sizes[at - 1]) + 1) for at, size in enumerate(sizes))


def one_hot(codes: npt.NDArray[np.int64], size: int) -> Floats:
    return np.eye(size, dtype=np.float32)[codes]


def softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@final
class ChainLoss(AbstractLoss):
    """The negative log-likelihood of a record under the heads at these weights."""

    def __init__(self, weights: Sequence[Floats]) -> None:
        self.weights = [each.astype(np.float32) for each in weights]

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        return tuple((len(each), each.shape[1]) for each in self.weights)

    def factors(self, codes: npt.NDArray[np.int64], key: bytes) -> Factors:
        """Inputs and slopes; nothing here is random, so that `key` is left alone."""
        constant = np.ones((len(codes), 1), dtype=np.float32)
        out = []
        for at, matrix in enumerate(self.weights):
            before = [one_hot(codes[:, at - 1], matrix.shape[1] - 1)] if at else []
            inputs = np.concatenate([*before, constant], axis=1)
            out.append((inputs, softmax(inputs @ matrix.T) - one_hot(codes[:, at], len(matrix))))
        return out

    def host(self, array: Any) -> npt.NDArray[np.floating]:
        return np.asarray(array)


@final
@dataclass(slots=True, eq=False)
class Training:
    """Weights, their momentum and the mean of the last half of them: all that the next step depends on."""

    weights: list[Floats]
    momentum: list[Floats]
    mean: list[Floats]

    @classmethod
    def fresh(cls, domain: Domain) -> Training:
        return cls(*([np.zeros(shape, dtype=np.float32) for shape in shapes(domain)] for _ in range(3)))

    @classmethod
    def of(cls, state: Mapping[str, npt.NDArray[Any]], domain: Domain) -> Training:
        """What `arrays` made; shapes are checked."""
        count = len(shapes(domain))
        found = cls(*([state[f"{part}.{at}"] for at in range(count)] for part in ("weights", "momentum", "mean")))
        if [each.shape for each in found.weights] != list(shapes(domain)):
            raise FitError("the state that was kept is another network's")
        return found

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        parts = {"weights": self.weights, "momentum": self.momentum, "mean": self.mean}
        return {f"{part}.{at}": each for part, several in parts.items() for at, each in enumerate(several)}

    def step(self, gradients: Sequence[npt.NDArray[np.float64]], rate: float, keep: float) -> None:
        for at, gradient in enumerate(gradients):
            self.momentum[at] = (0.8 * self.momentum[at] + gradient).astype(np.float32)
            self.weights[at] = (self.weights[at] - rate * self.momentum[at]).astype(np.float32)
            self.mean[at] = (keep * self.mean[at] + (1 - keep) * self.weights[at]).astype(np.float32)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TinyTraining(AbstractGenerator):
    """One-way tables with the first part of the budget, then `steps` gradient steps over the heads."""

    steps: int = 60
    sampling_rate: Fraction = Fraction(1, 10)
    first_share: Fraction = Fraction(1, 5)
    clip: Fraction = Fraction(1)
    learning_rate: Fraction = Fraction(1, 2)

    name: ClassVar[str] = "tiny_training"
    composition: ClassVar[Composition] = "pld"  # type: ignore[assignment,unused-ignore]

    @property
    def schedule(self) -> Schedule:
        from privsynth.privacy.sampled_gaussian import Schedule

        return Schedule(sampling_rate=self.sampling_rate, steps=self.steps, first_share=self.first_share)

    def loss(self, domain: Domain) -> ChainLoss:
        """The loss at the weights that training starts from."""
        return ChainLoss(Training.fresh(domain).weights)

    def measure(self, curator: Curator) -> None:
        names = curator.domain.attributes
        found = curator.measure([(name,) for name in names], rho=curator.remaining, stage="one-way")
        plan = curator.training
        assert plan is not None
        rows = float(plan.sampling_rate) * estimate_total(found)
        taken, state = curator.training_state()
        training = Training.fresh(curator.domain) if state is None else Training.of(state, curator.domain)
        for step in range(taken, plan.steps):
            noisy = curator.gradient_sum(ChainLoss(training.weights), clip=self.clip)
            keep = 0.0 if 2 * step <= plan.steps else 0.9
            training.step([each / rows for each in noisy], float(self.learning_rate), keep)
            progress.report(GRADIENTS, step + 1, plan.steps, lambda: progress.on_training(None, curator.epsilon_so_far))
            if curator.claim_used:
                curator.keep(training.arrays())
        weights = {f"head {name}": matrix for name, matrix in zip(names, training.mean, strict=True)}
        curator.conclude(weights, stage=GRADIENTS)

    def estimate(self, domain: Domain, transcript: Transcript) -> AbstractDistribution:
        """The chain of the trained heads, scaled to the number of records that the one-way tables say."""
        (trained,) = [entry for entry in transcript if isinstance(entry, Trained)]
        tables: dict[tuple[str, ...], npt.NDArray[np.float64]] = {}
        for at, name in enumerate(domain.attributes):
            matrix = trained.weights[f"head {name}"]
            inputs = np.ones((1, 1), dtype=np.float32)
            if at:
                before = domain.sizes[at - 1]
                inputs = np.concatenate([np.eye(before, dtype=np.float32), np.ones((before, 1), np.float32)], axis=1)
            logarithms = np.log(softmax(inputs @ matrix.T).astype(np.float64))
            tables[(domain.attributes[at - 1], name) if at else (name,)] = logarithms if at else logarithms[0]
        total = estimate_total(measurements(transcript))
        return GraphicalDistribution(MarkovRandomField(CliqueVector.of(domain, tables), total))

    def restore(
        self, domain: Domain, transcript: Transcript, arrays: Mapping[str, npt.NDArray[np.float64]]
    ) -> AbstractDistribution:
        """Nothing is fitted after training: the same distribution as `estimate`."""
        found = self.estimate(domain, transcript)
        for name, array in found.arrays().items():
            if name not in arrays or arrays[name].shape != array.shape:
                raise FitError("a stored model of this transcript has other arrays; was a file replaced?")
        return found
