"""Broken gradient steps: who takes part in them, and how far one unit can move them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from privsynth.privacy import gradient, gradient_step, sampling
from privsynth.privacy.gradient import AbstractLoss, Factors, GradientSum
from tests import tiny_training
from tests.kill_matrix import references
from tests.kill_matrix.defect import Break, Conformance, Defect
from tests.tiny_training import ChainLoss, TinyTraining

Int64s = npt.NDArray[np.int64]
Positions = npt.NDArray[np.intp]


# ---- who takes part --------------------------------------------------------------------------------------------------


def sampled_by(patch: pytest.MonkeyPatch, choose: Callable[[int, Fraction, bytes], Int64s]) -> None:
    """Units that `choose` picks, of so many, at a rate, with a step's key."""

    def poisson(units: Int64s | None, rows: int, rate: Fraction, key: bytes) -> Positions:
        owner = np.arange(rows) if units is None else units
        return np.flatnonzero(np.isin(owner, choose(int(owner.max(initial=-1)) + 1, rate, key)))

    patch.setattr(sampling, "poisson", poisson)


def fixed_size(patch: pytest.MonkeyPatch) -> None:
    def choose(units: int, rate: Fraction, key: bytes) -> Int64s:
        return np.random.default_rng(list(key)).permutation(units)[: round(units * rate)]

    sampled_by(patch, choose)


def shuffled(patch: pytest.MonkeyPatch) -> None:
    """An order of all units, cut into batches, and then another one."""
    left: list[Int64s] = []

    def choose(units: int, rate: Fraction, key: bytes) -> Int64s:
        if not left or sum(map(len, left)) > units:
            left[:] = np.array_split(np.random.default_rng(list(key)).permutation(units), round(1 / rate))
        return left.pop()

    sampled_by(patch, choose)


def more_often(patch: pytest.MonkeyPatch) -> None:
    right = sampling.poisson
    patch.setattr(
        sampling, "poisson", lambda units, rows, rate, key: right(units, rows, min(Fraction(1), rate * 6 / 5), key)
    )


def same_coins(patch: pytest.MonkeyPatch) -> None:
    right = gradient_step.exact_sum
    patch.setattr(
        gradient_step, "exact_sum", lambda query, data, plan, key, rows: right(query, data, plan, bytes(32), rows)
    )


# ---- clipping --------------------------------------------------------------------------------------------------------


def clipped_by(patch: pytest.MonkeyPatch, clipped: Callable[[Factors, float], list[Any]]) -> None:
    def sums(factors: Factors, clip: float, present: int | None = None) -> list[Any]:
        return clipped([(inputs[:present], slopes[:present]) for inputs, slopes in factors], clip)

    patch.setattr(gradient, "clipped_sums", sums)


def one_unclipped(patch: pytest.MonkeyPatch) -> None:
    right = gradient.clipped_sums

    def sums(factors: Factors, clip: float) -> list[Any]:
        inputs, slopes = factors[0]
        return [slopes.T @ inputs, *right(factors, clip)[1:]]

    clipped_by(patch, sums)


def each_by_itself(patch: pytest.MonkeyPatch) -> None:
    right = gradient.clipped_sums
    clipped_by(patch, lambda factors, clip: [right([pair], clip)[0] for pair in factors])


def batch_clipped(patch: pytest.MonkeyPatch) -> None:
    """The sum is clipped, and not each record's gradient."""

    def sums(factors: Factors, clip: float) -> list[Any]:
        found = [slopes.T @ inputs for inputs, slopes in factors]
        size = sum(float((part**2).sum()) for part in found) ** 0.5
        return [part * np.float32(len(factors[0][0]) * clip / max(size, clip)) for part in found]

    clipped_by(patch, sums)


def nan_passes(patch: pytest.MonkeyPatch) -> None:
    """A norm that is not a number is not above the limit."""

    def sums(factors: Factors, clip: float) -> list[Any]:
        norms = sum((x * x).sum(1) * (s * s).sum(1) for x, s in factors) ** 0.5
        scale = np.where(norms > clip, clip / norms, np.float32(1)).astype(np.float32)
        return [(s * scale[:, None]).T @ x for x, s in factors]

    clipped_by(patch, sums)


def one_row_of_a_unit(patch: pytest.MonkeyPatch) -> None:
    right = GradientSum.sensitivity
    patch.setattr(GradientSum, "sensitivity", lambda query, unit: right(query, replace(unit, max_rows=1)))


class Centred(AbstractLoss):
    """Subtracts the mean of a chunk's slopes: batch normalisation."""

    def __init__(self, weights: Sequence[npt.NDArray[np.float32]]) -> None:
        self._right = ChainLoss(weights)
        self.weights = self._right.weights

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        return self._right.shapes

    def factors(self, codes: Int64s, key: bytes) -> Factors:
        return [(x, s - s.mean(axis=0)) for x, s in self._right.factors(codes, key)]

    def host(self, array: Any) -> npt.NDArray[np.floating]:
        return np.asarray(array)


def centred(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(tiny_training, "ChainLoss", Centred)


def step(name: str, drawn_from: str, what: str, broken: Break, caught_by: str) -> Defect:
    """A defect of gradient steps."""
    target = Conformance(generator=TinyTraining, broken=broken)
    return Defect(name=name, drawn_from=drawn_from, what=what, target=target, caught_by=caught_by)


SAMPLING, CLIPPING, ALONE = "gradients: sampling", "replay: sensitivity", "gradients: single records"

DEFECTS = (
    step(
        "shuffled epochs",
        references.SHUFFLED,
        "An order of all units is cut into batches, and then another one; Poisson sampling is accounted for.",
        shuffled,
        SAMPLING,
    ),
    step(
        "batches of one size",
        references.SHUFFLED,
        "Every batch has as many units as are expected; Poisson sampling is accounted for.",
        fixed_size,
        SAMPLING,
    ),
    step(
        "units sampled too often",
        references.SYNTHCITY_276,
        "Units take part 1.2 times as often as is accounted for.",
        more_often,
        SAMPLING,
    ),
    step(
        "the same coins in every step",
        references.SYNTHCITY_275,
        "A key that everybody knows decides who takes part, always the same.",
        same_coins,
        SAMPLING,
    ),
    step(
        "a layer that is not clipped",
        references.SMARTNOISE_622,
        "The gradients of the first weight matrix go past the clipping.",
        one_unclipped,
        CLIPPING,
    ),
    step(
        "every layer clipped by itself",
        references.DEBUGGING,
        "Each weight matrix's gradient is clipped to the norm that is meant for all of them together.",
        each_by_itself,
        CLIPPING,
    ),
    step(
        "the batch clipped, not its records",
        references.DEBUGGING,
        "The sum of a batch is clipped to so many times the norm: one record can take all of it.",
        batch_clipped,
        CLIPPING,
    ),
    step(
        "NaN through the clip",
        references.OPACUS_80,
        "A norm that is not a number is not above the limit: the record's gradient is left as it is.",
        nan_passes,
        CLIPPING,
    ),
    step(
        "one row of a person with three",
        references.USER_LEVEL,
        "The sensitivity of a sum of gradients is one row's, where a person has up to three.",
        one_row_of_a_unit,
        CLIPPING,
    ),
    step(
        "batch normalisation",
        references.OPACUS_FAQ,
        "A record's gradient is centred by the mean of its batch.",
        centred,
        ALONE,
    ),
)
