"""One training that audits itself: thousands of canaries, each in or out by a fair coin, each with a weight of its own.

Must never be mixed with real records: its table is made up, and its canaries' gradients are too.

Between the generator and its curator the loss gets one weight matrix more, in which every canary has a cell: its gradient is
the clipping norm there and nothing elsewhere, and nobody else's gradient reaches it. That is the worst that a unit can do (a
Dirac canary), through the library's own sampling, clipping and noise; the generator never sees the answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.conformance.events import payments
from privsynth.conformance.fits import recorded
from privsynth.conformance.tables import Laboratory
from privsynth.conformance.watching import Trained
from privsynth.domain import Domain
from privsynth.encoding import encode_public
from privsynth.privacy.gradient import AbstractLoss, Array, Factors
from privsynth.privacy.sampled_gaussian import SampledGaussian
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.replay import DivergedError

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_COLUMNS = 4
_OTHERS = 64
"""Records that are no canaries: a generator may need some."""

_LARGE = 1e3
"""A canary's gradient before it is clipped, over the clipping norm: at most 1,024."""

_ROOM = 1 + 1 / 64
"""The sensitivity, over the clipping norm."""

_MULTIPLIER = Fraction(1)
"""With it, canaries of a short training are told apart as well as some thousand of them can be."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Planted:
    """What became of the canaries.

    Shapes: `included` is (canaries,); `took_part` and `noisy` are (steps, canaries), `took_part` as the loss saw it.
    Units: `noisy` is in standard deviations of the noise, of which a canary that takes part moves it by `shift`.
    """

    plan: SampledGaussian
    included: Flags
    took_part: Flags
    noisy: Floats
    shift: float

    def scores(self) -> Floats:
        """Each canary's log-likelihood ratio of "in" to "out", under the claimed plan. Shapes: (canaries,)."""
        rate = float(self.plan.sampling_rate)
        sampled = np.log(rate) + self.shift * self.noisy - self.shift**2 / 2
        with np.errstate(divide="ignore"):
            return np.asarray(np.logaddexp(np.log1p(-rate), sampled).sum(axis=0))


def plant(trained: Trained, canaries: int, noise: AbstractNoiseSource, rng: np.random.Generator) -> Planted:
    """One fit on a table with about half of the canaries, at a noise multiplier of 1.

    Raises: DivergedError when the fit breaks off, or did not take the steps of its plan.
    """
    side = next(size for size in range(2, 64) if size**_COLUMNS > canaries + size ** (_COLUMNS - 1))
    names = tuple(f"column {place}" for place in range(_COLUMNS))
    domain = Domain(names, (size_with_last := side + 1,) * _COLUMNS)
    laboratory = Laboratory(domain, trained.unit, columns=_COLUMNS, levels=size_with_last, trained=True)
    # None is in the first level of every column, as rows that stand in for nobody are, and none in the last of the first.
    values = np.stack(np.unravel_index(1 + np.arange(canaries), (side,) * _COLUMNS), axis=1)
    others = rng.integers(0, side, (_OTHERS, _COLUMNS))
    others[:, 0] = side - 1
    included = rng.random(canaries) < 0.5
    codes = _codes(laboratory, values)
    plan = SampledGaussian(
        sampling_rate=trained.plan.sampling_rate, steps=trained.plan.steps, noise_multiplier=_MULTIPLIER
    )
    losses: list[_PlantedLoss] = []

    def wrap(loss: AbstractLoss, clip: Fraction) -> AbstractLoss:
        losses.append(_PlantedLoss(loss, clip, codes))
        return losses[-1]

    run = recorded(trained.watched(wrap, plan), laboratory.among(others, values[included], canaries), noise)
    steps = payments(run.noise.calls, run.transcript).steps
    if len(steps) != plan.steps or len(losses) != plan.steps:
        raise DivergedError("a training with canaries did not take the gradient steps of its plan")
    sigma = float(run.noise.calls[steps[0].call].parameter) ** 0.5
    return Planted(
        plan=plan,
        included=included,
        took_part=np.array([loss.took_part for loss in losses]),
        noisy=np.array([run.noise.calls[step.call].noisy[-codes.cells :][:canaries] for step in steps]) / sigma,
        shift=1 / (float(_MULTIPLIER) * _ROOM),
    )


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Codes:
    """Which record is which canary: `canary` holds, for each record numbered by its codes, a canary's number or -1."""

    sizes: tuple[int, ...]
    canary: Codes
    count: int

    def numbers(self, codes: Codes) -> Codes:
        found: Codes = self.canary[np.ravel_multi_index(tuple(codes.T), self.sizes)]
        return found

    @property
    def wide(self) -> int:
        return 1 << (max(1, self.count - 1).bit_length() // 2)

    @property
    def high(self) -> int:
        return -(-self.count // self.wide)

    @property
    def cells(self) -> int:
        return self.high * self.wide


def _codes(laboratory: Laboratory, values: Codes) -> _Codes:
    """The codes that canaries' values are encoded as."""
    data = encode_public(laboratory.among(values, values[:0], 0))
    canary = np.full(data.domain.sizes, -1, dtype=np.int64).reshape(-1)
    found = data.codes(np.arange(data.rows))
    canary[np.ravel_multi_index(tuple(found.T), data.domain.sizes)] = np.arange(len(values))
    return _Codes(sizes=tuple(data.domain.sizes), canary=canary, count=len(values))


@final
class _PlantedLoss(AbstractLoss):
    """A loss with a cell more for every canary, in numpy's arrays."""

    def __init__(self, loss: AbstractLoss, clip: Fraction, codes: _Codes) -> None:
        self._loss, self._size, self._codes = loss, min(_LARGE * float(clip), 1e15), codes
        self.took_part = np.zeros(codes.count, dtype=bool)

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """The loss's own, and the canaries'."""
        return (*self._loss.shapes, (self._codes.high, self._codes.wide))

    def factors(self, codes: Codes, key: bytes) -> Factors:
        """The loss's own, with nothing of the canaries; and theirs."""
        number = self._codes.numbers(codes)
        rows = np.flatnonzero(number >= 0)
        self.took_part[number[rows]] = True
        own = [
            (np.array(self._loss.host(x), dtype=np.float32), np.array(self._loss.host(s), dtype=np.float32))
            for x, s in self._loss.factors(codes, key)
        ]
        for _, slopes in own:
            slopes[rows] = 0
        inputs = np.zeros((len(codes), self._codes.wide), dtype=np.float32)
        slopes = np.zeros((len(codes), self._codes.high), dtype=np.float32)
        inputs[rows, number[rows] % self._codes.wide] = 1
        slopes[rows, number[rows] // self._codes.wide] = self._size
        return [*own, (inputs, slopes)]

    def host(self, array: Array) -> npt.NDArray[np.floating]:
        """It is numpy's already."""
        return np.asarray(array)


def in_equal_parts(scores: Floats, included: Flags) -> tuple[Floats, Floats]:
    """The scores of canaries that were out, and of as many that were in."""
    out, into = scores[~included], scores[included]
    count = min(len(out), len(into))
    return out[:count], into[:count]


__all__: Sequence[str] = ("Planted", "in_equal_parts", "plant")
