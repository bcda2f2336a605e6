"""What a fitted model gives out: its number of records, arrays, tables, and records drawn from it, stored or not.

Must never be run on private tables: it holds fits with the same answers against each other.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from privsynth.conformance.fits import fitted, plan_of
from privsynth.errors import PrivsynthError
from privsynth.generator import AbstractDistribution, AbstractGenerator
from privsynth.privacy.sampled_gaussian import SampledGaussian
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.privacy.unit import PrivacyUnit
from privsynth.private import Private
from privsynth.records import Records
from privsynth.replay import DivergedError, RecordingNoise, ReplayingNoise

Given: TypeAlias = Mapping[str, tuple[npt.NDArray[np.generic], ...]]
"""All that a model gives out, by what it is called."""

Draw: TypeAlias = Callable[[Private[Records], AbstractNoiseSource, int], Given]
"""From records, a noise source and a seed to what the fitted model gives out."""

_DRAWN = 2000
"""Records drawn from a fitted model, to compare: one in a hundred that comes from the data is among them."""


def draw_of(
    generator: AbstractGenerator, unit: PrivacyUnit, rho: Fraction, training: SampledGaussian | None = None
) -> Draw:
    """The path of every fit, on to the estimated model, and to the one that is read from its stored arrays."""

    def draw(records: Private[Records], noise: AbstractNoiseSource, seed: int) -> Given:
        plan = plan_of(copy.deepcopy(generator), unit, rho, training)
        transcript = fitted(plan, records, noise)
        domain = records.open().schema.domain()
        model = plan.generator.estimate(domain, transcript)
        stored = plan.generator.restore(domain, transcript, model.arrays())
        return {**_given("the model", model, seed), **_given("the stored model", stored, seed)}

    return draw


def _given(what: str, model: AbstractDistribution, seed: int) -> Given:
    names, arrays = model.domain.attributes, model.arrays()
    tables = {name: model.project((name,)) for name in names}
    pairs = [model.project((one, other)) for one, other in itertools.pairwise(names[:3])]
    errors = [model.expected_l1((name,)) or 0.0 for name in names]
    likely = {name: np.array([tables[name].argmax()]) for name in names[:1]}
    return {
        f"the number of records of {what}": (np.array(model.total),),
        f"the arrays of {what}": (np.array(sorted(arrays)), *(arrays[name] for name in sorted(arrays))),
        f"the tables of {what}": (*tables.values(), *pairs, np.array(errors)),
        f"records drawn from {what}": model.draw(_DRAWN, np.random.default_rng(seed)).columns,
        f"records drawn from {what} under a condition": model.draw(_DRAWN, np.random.default_rng(seed), likely).columns,
    }


def problems(
    draw: Draw, table: Records, others: Mapping[str, Records], noise: AbstractNoiseSource, seed: int
) -> Iterator[str]:
    """What models give out otherwise, although every answer and the random numbers were the same.

    Args: `others` are any tables with the same schema, by what they are: given its answers, a model is a function of no table.
    """
    recording = RecordingNoise(noise)
    try:
        first = draw(Private(table), recording, seed)
    except PrivsynthError as error:
        yield f"no records could be drawn: {error}"
        return
    for what, other in others.items():
        try:
            second = draw(Private(other), ReplayingNoise(recording), seed)
        except DivergedError as difference:
            yield f"{what}: {difference}"
        except PrivsynthError as error:
            yield f"{what}: no records could be drawn: {error}"
        else:
            for name in first:
                if not _same(first[name], second[name]):
                    yield f"{what}: with the same answers and random numbers, {name} differ"


def _same(one: tuple[npt.NDArray[np.generic], ...], other: tuple[npt.NDArray[np.generic], ...]) -> bool:
    """Bit by bit: an exact count can be hidden in the last ones."""
    return [(array.shape, array.tobytes()) for array in one] == [(array.shape, array.tobytes()) for array in other]
