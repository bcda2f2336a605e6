"""Replicates: what a fit would have found of made-up records that the model itself could have come from, noised the same way.

Must never draw noise that protects anybody: everything here repeats, in public, what the mechanism is known to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np

from privsynth import progress
from privsynth.dataset import Dataset
from privsynth.errors import FitError
from privsynth.generator import AbstractDistribution, AbstractGenerator
from privsynth.measurement import Entry, Measurement, Trained, Transcript

MOST_ROWS: Final = 200_000
"""Of more records than these fewer are made up, and counted for more: their own roughness is below any noise by then."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Replicate:
    """Made-up records, how many each of them stands for, their noisy tables, and the distribution fitted to these."""

    records: Dataset
    weight: float
    noisy: Transcript
    fitted: AbstractDistribution

    @property
    def total(self) -> float:
        """The number of records that the made-up ones stand for."""
        return self.weight * self.records.total


def replicates(
    generator: AbstractGenerator,
    distribution: AbstractDistribution,
    transcript: Transcript,
    *,
    count: int,
    rng: np.random.Generator,
) -> Iterator[Replicate]:
    """Repeat a fit on records drawn from what it found, as often as asked: a parametric bootstrap of the whole mechanism.

    Privacy: post-processing of a transcript; spends nothing. What was selected is kept: the same questions are asked.
    Raises: FitError where the transcript holds trained weights, whose training cannot be repeated from them.
    Source: Efron, Tibshirani 1993, chapter 6, with the mechanism's noise as part of what is repeated.
    """
    if any(isinstance(entry, Trained) for entry in transcript):
        raise FitError(
            "the errors of a network that was trained on gradients cannot be told from its weights; a generator that measures "
            "tables (latent_class, aim, mst, independent) can say how far off it is"
        )
    for number in range(count):
        progress.report("replicates", number, count)
        total = distribution.total
        rows = min(MOST_ROWS, max(1, round(total)))
        records, weight = distribution.draw_independently(rows, rng), total / rows
        noisy = tuple(_noised(entry, records, weight, rng) for entry in transcript)
        fitted = generator.estimate_again(distribution.domain, noisy, distribution)
        yield Replicate(records=records, weight=weight, noisy=noisy, fitted=fitted)
    progress.report("replicates", count, count)


def _noised(entry: Entry, records: Dataset, weight: float, rng: np.random.Generator) -> Entry:
    """A measurement of other records, with noise of the same size; anything else as it was."""
    if not isinstance(entry, Measurement):
        return entry
    table = (records.regrouped(entry.groups) if entry.groups else records).marginal(entry.clique)
    noise = entry.sigma * rng.standard_normal(table.shape)
    return replace(entry, values=np.rint(weight * table + noise).astype(np.int64))
