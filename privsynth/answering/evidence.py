"""Evidence: everything public that a model's answers and their errors rest on, made once and kept.

Must never hold anything but a transcript, what was fitted to it, and made-up records that were drawn from that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, final

import numpy as np
import numpy.typing as npt

from privsynth.answering.contradictions import Contradictions, contradictions, of_model
from privsynth.answering.profiles import Inside, inside_of
from privsynth.domain import Clique
from privsynth.generator import AbstractDistribution, AbstractGenerator
from privsynth.measurement import Measurement, Transcript, measurements
from privsynth.replicates import Replicate, replicates
from privsynth.schema import Schema

Floats = npt.NDArray[np.float64]

REPLICATES: Final = 12
"""Refits from which errors are told: their root mean square is then known to a fifth."""

STUDENT_90: Final = 1.7823
"""The 95 % quantile of Student's t with as many degrees of freedom: a root mean square of so few errors is itself unsure."""

_SEED: Final = 20_262
_PROBES: Final = 400
"""Random sums of measured tables from which it is told how much worse the model is than its replicates say."""


@final
@dataclass(frozen=True, eq=False)
class Evidence:
    """A model's parts, and what follows from them when it is first asked for."""

    schema: Schema
    generator: AbstractGenerator
    distribution: AbstractDistribution
    transcript: Transcript

    @cached_property
    def tables(self) -> tuple[Measurement, ...]:
        """The noisy tables."""
        return measurements(self.transcript)

    @cached_property
    def shares(self) -> Mapping[str, Floats]:
        """The model's counts of each column's levels."""
        return {name: self.distribution.project((name,)) for name in self.distribution.domain.attributes}

    @cached_property
    def inside(self) -> Mapping[str, Inside]:
        """How records are taken to lie inside each column's bins."""
        return {column.name: inside_of(column, self.shares[column.name]) for column in self.schema.modelled}

    @cached_property
    def contradictions(self) -> Contradictions:
        """What the tables say, beyond their noise, against the schema's rules, and against the model."""
        return contradictions(self.schema, self.transcript, of_model(self.distribution), math.inf)

    def groups_of(self, name: str) -> npt.NDArray[np.int64]:
        """The group of each of a column's levels where it was measured together with others; each its own where it was not."""
        for table in self.tables:
            if len(table.clique) > 1 and name in table.groups:
                return np.array(table.groups[name], dtype=np.int64)
        return np.arange(self.distribution.domain.size(name))

    @cached_property
    def refits(self) -> tuple[Replicate, ...]:
        """What fits of made-up records found. Raises: FitError where the generator trains."""
        rng = np.random.default_rng(_SEED)
        made = replicates(self.generator, self.distribution, self.transcript, count=REPLICATES, rng=rng)
        return tuple(made)

    @cached_property
    def noisy(self) -> tuple[tuple[Measurement, ...], ...]:
        """The noisy tables of each refit, in the order of `tables`."""
        return tuple(measurements(one.noisy) for one in self.refits)

    def is_measured(self, columns: Clique) -> bool:
        """Whether some measured table holds all of these columns."""
        return any(set(columns) <= set(table.clique) for table in self.tables)

    @cached_property
    def misfit(self) -> Mapping[int, float]:
        """By number of columns, 1 or 2: the part of the squared error that the replicates' squares lack, over these.

        A model that shrinks what it cannot see, or cannot bend to what is there, is off by more than refits of its own records
        are off from it. Of random sums of measured tables the squared distance from the model's is known on average, from the
        replicates, if nothing were amiss; what is beyond that is the model's.
        """
        rng = np.random.default_rng(_SEED + 1)
        return {size: self._misfit_of(size, rng) for size in (1, 2)}

    def _misfit_of(self, size: int, rng: np.random.Generator) -> float:
        numbers = [
            number for number, table in enumerate(self.tables) if len(table.clique) == size and table.values.size > 1
        ]
        if not numbers:
            return 0.0
        excess = scale = 0.0
        chosen = rng.choice(numbers, size=max(1, _PROBES // 4))
        for number in np.unique(chosen).tolist():
            clique = self.tables[number].clique
            mine = self._of_groups(self.distribution, number)
            pairs = [
                (self._of_groups(refit.fitted, number), noisy[number].values, self._truth(refit, number))
                for refit, noisy in zip(self.refits, self.noisy, strict=True)
            ]
            for _ in range(4 * int((chosen == number).sum())):
                factors = [rng.integers(0, 2, axis).astype(np.float64) for axis in self.tables[number].values.shape]
                seen = _summed(self.tables[number].values - mine, factors)
                expected = np.mean([_summed(values - again, factors) ** 2 for again, values, _ in pairs])
                error = np.mean([_summed(truth - again, factors) ** 2 for again, _, truth in pairs])
                weight = 1 / max(float(expected) ** 2, 1e-12)
                excess += weight * float(error) * (seen**2 - float(expected))
                scale += weight * float(error) ** 2
            assert len(clique) == size
        return max(0.0, excess / max(scale, 1e-300))

    def _of_groups(self, distribution: AbstractDistribution, number: int) -> Floats:
        table = self.tables[number]
        return _regrouped(distribution.project(table.clique), table)

    def _truth(self, refit: Replicate, number: int) -> Floats:
        table = self.tables[number]
        counted: Floats = refit.weight * refit.records.marginal(table.clique).astype(np.float64)
        return _regrouped(counted, table)


def _summed(table: Floats, factors: list[Floats]) -> float:
    for factor in factors:
        table = np.tensordot(factor, table, axes=(0, 0))
    return float(table)


def _regrouped(table: Floats, like: Measurement) -> Floats:
    for axis, name in enumerate(like.clique):
        if name in like.groups:
            of = np.array(like.groups[name])
            summed = np.zeros((int(of.max()) + 1, *np.delete(table.shape, axis)))
            np.add.at(summed, of, np.moveaxis(table, axis, 0))
            table = np.moveaxis(summed, 0, axis)
    return table
