"""Fits whose losses are watched: between a generator and its curator, every gradient step's factors can be seen and changed.

Must never be given private tables: what is seen is exact, and belongs to single records.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeAlias, cast, final

import numpy as np
import numpy.typing as npt

from privsynth.conformance.fits import Fit, composition_of
from privsynth.encoding import encode_public
from privsynth.errors import MechanismError
from privsynth.fitting import split
from privsynth.generator import AbstractGenerator
from privsynth.measurement import Transcript
from privsynth.privacy.curator import Curator, make_curator
from privsynth.privacy.gradient import AbstractLoss, Array, Factors
from privsynth.privacy.sampled_gaussian import NO_REPLACEMENT, SampledGaussian
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.privacy.unit import NeighboringRelation, PrivacyUnit
from privsynth.private import Private
from privsynth.records import Records
from privsynth.replay import RecordingNoise

Codes = npt.NDArray[np.int64]
Wrap: TypeAlias = Callable[[AbstractLoss, Fraction], AbstractLoss]
"""From a step's loss, and its clipping norm, to the loss that the curator is given instead."""

_STEPS, _RATE = 8, Fraction(1, 4)
"""A few steps in which most units take part once or more, and some do not."""

_MULTIPLIER = Fraction(1)

Change: TypeAlias = Callable[[Factors, Codes], Factors]
"""From the factors of a chunk of records to others, in the arrays of the network's own library."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A generator that trains, with few steps, and what it may spend on made-up tables."""

    generator: AbstractGenerator
    unit: PrivacyUnit
    rho: Fraction
    plan: SampledGaussian

    @classmethod
    def of(
        cls, generator: AbstractGenerator, unit: PrivacyUnit, rho: Fraction, claimed: SampledGaussian | None
    ) -> Trained | None:
        """The generator with few steps, or None where it takes none; with the noise multiplier that is claimed.

        A generator that trains has settings `steps` and `sampling_rate`; `brief` holds others that make a fit short.
        Raises: MechanismError for units that are replaced: nothing is claimed for them under sampling.
        """
        if generator.schedule is None:
            return None
        if unit.relation is not NeighboringRelation.ADD_REMOVE:
            raise MechanismError(NO_REPLACEMENT)
        named = {field.name for field in dataclasses.fields(cast(Any, generator))}
        settings = {"steps": _STEPS, "sampling_rate": _RATE, **generator.brief}
        short = cast(AbstractGenerator, dataclasses.replace(cast(Any, generator), **_only(settings, named)))
        assert short.schedule is not None
        multiplier = _MULTIPLIER if claimed is None else claimed.noise_multiplier
        return cls(generator=short, unit=unit, rho=rho, plan=short.schedule.training(multiplier))

    def fit(self, rho: Fraction | None = None) -> Fit:
        """The path of every fit that buys nothing, with another rho if it is given."""
        return dataclasses.replace(self, rho=rho or self.rho).watched(_unchanged)

    def watched(self, wrap: Wrap, plan: SampledGaussian | None = None) -> Fit:
        """The same with another loss between the generator and its curator; as `fits.fit_of`, each fit has its own copy."""

        def fit(records: Private[Records], noise: AbstractNoiseSource) -> Transcript:
            bounded, _ = split(records, self.unit, 0.0, bound_key=noise.key(), holdout_key=noise.key())
            curator = make_curator(
                encode_public(bounded.open()),
                unit=self.unit,
                rho=self.rho,
                noise=noise,
                composition=composition_of(self.generator),
                training=plan or self.plan,
            )
            copy.deepcopy(self.generator).measure(cast(Curator, _Watching(curator, wrap, noise)))
            return curator.transcript

        return fit


def _unchanged(loss: AbstractLoss, clip: Fraction) -> AbstractLoss:  # noqa: ARG001
    return loss


def _only(settings: Mapping[str, int | Fraction], named: set[str]) -> dict[str, int | Fraction]:
    return {name: value for name, value in settings.items() if name in named}


@final
class _Watching:
    """A curator, but for the losses that it is given; matrices that the loss itself has not are left out of answers."""

    def __init__(self, curator: Curator, wrap: Wrap, noise: AbstractNoiseSource) -> None:
        self._curator, self._wrap, self._noise = curator, wrap, noise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._curator, name)

    def gradient_sum(
        self, loss: AbstractLoss, *, clip: Fraction, rows: float | None = None
    ) -> list[npt.NDArray[np.float64]]:
        """The curator's answer to the other loss."""
        if isinstance(self._noise, RecordingNoise):
            self._noise.expected.append(rows)
        return self._curator.gradient_sum(self._wrap(loss, clip), clip=clip, rows=rows)[: len(loss.shapes)]


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chunk:
    """Records whose factors were asked for together, and the factors, in double precision; the last may be nobody's."""

    codes: Codes
    key: bytes
    factors: tuple[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]], ...]


@final
@dataclass(slots=True, kw_only=True, eq=False)
class Watched:
    """One gradient step: its loss, its clipping norm, and the chunks that it was made of."""

    loss: AbstractLoss
    clip: Fraction
    chunks: list[Chunk] = field(default_factory=list)


@final
class Watch:
    """Watches all steps of a fit, and changes their factors where it is told to."""

    def __init__(self, change: Change | None = None) -> None:
        self.steps: list[Watched] = []
        self._change = change

    def __call__(self, loss: AbstractLoss, clip: Fraction) -> AbstractLoss:
        """A loss that is watched: `Wrap`."""
        self.steps.append(Watched(loss=loss, clip=clip))
        return _WatchedLoss(self.steps[-1], self._change)


@final
class _WatchedLoss(AbstractLoss):
    def __init__(self, step: Watched, change: Change | None) -> None:
        self._step, self._change = step, change

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Those of the loss."""
        return self._step.loss.shapes

    def factors(self, codes: Codes, key: bytes) -> Factors:
        """Those of the loss, or others."""
        found = self._step.loss.factors(codes, key)
        if self._change is not None:
            found = self._change(found, codes)
        self._step.chunks.append(Chunk(codes=codes.copy(), key=key, factors=hosted(self._step.loss, found)))
        return found

    def host(self, array: Array) -> npt.NDArray[np.floating]:
        """As the loss does."""
        return self._step.loss.host(array)


def hosted(loss: AbstractLoss, factors: Factors) -> tuple[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]], ...]:
    """Factors as numpy's, in double precision, apart from what they were copied from."""
    return tuple(
        (np.array(loss.host(inputs), dtype=np.float64), np.array(loss.host(slopes), dtype=np.float64))
        for inputs, slopes in factors
    )


def with_rows(array: Array, rows: Sequence[int], value: float) -> Array:
    """A copy with some rows set to a number; for the arrays of any library."""
    copied = array * 1
    if rows:
        copied[list(rows)] = value
    return copied
