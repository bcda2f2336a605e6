"""Copies: several synthetic tables, each from its own draw of the truth that the noisy answers leave open.

Must never hold or need a private record: copies are made from a transcript, and spend nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth import progress
from privsynth.combining.design import Design
from privsynth.combining.regressing import Made, Regression, regression
from privsynth.combining.rules import LEVEL, Combined, combine
from privsynth.dataset import Dataset
from privsynth.encoding import encode_public
from privsynth.errors import FitError, InputError
from privsynth.generator import AbstractDistribution, AbstractGenerator
from privsynth.measurement import Entry, Measurement, Trained, Transcript
from privsynth.records import Records
from privsynth.schema import Schema

FEWEST: Final = 2
_MOST_ROWS: Final = 200_000
"""Of more people than these fewer are made up, and counted for more: intervals are then a little too wide."""
_POOL_ROWS: Final = 30_000
"""At least so many rows stand for the model where people are drawn from it."""

Draw: TypeAlias = Callable[[AbstractDistribution, int], tuple[Records, Any]]
"""Rows of a distribution, as records and as the frame that a user gets."""

Analysis: TypeAlias = Callable[[Any], tuple[Any, Any]]
"""From a copy to estimates and their variances (squared standard errors)."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Source:
    """What copies are made from: a generator, what it found, and the noisy answers that it found it in."""

    schema: Schema
    generator: AbstractGenerator
    distribution: AbstractDistribution
    transcript: Transcript
    rows_per_person: int


@final
class Copies:
    """Several synthetic tables that differ as the noise, and the people who happened to be in the table, leave open.

    `frames` are the tables, of the kind that the model was fitted on. Any analysis can be run on each and put together with
    `combine`; for regressions `regress` is better, because it takes off what the model itself gets wrong.
    Privacy: post-processing of noisy answers; spends nothing.
    """

    __slots__ = ("_base", "_made", "_source", "frames")

    def __init__(self, *, source: Source, base: Made, made: Sequence[Made], frames: Sequence[Any]) -> None:
        self._source, self._base, self._made = source, base, tuple(made)
        self.frames = tuple(frames)

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        return f"Copies({len(self.frames)} of {self._source.schema.table.name})"

    def combine(self, analysis: Analysis, *, level: float = LEVEL) -> Combined:
        """Run an analysis on each copy and combine what it found, for the population: `ps.combine` with rule "dealt".

        Rows of a copy are dealt evenly and not drawn one by one: they add next to nothing to how far copies are apart, and
        nothing is taken off for them. What the model itself gets wrong is in every copy, and in no interval; associations in
        the copies are weaker than among people where the noise is large.
        Args: `analysis` takes a frame and returns its estimates and their variances, numbers or arrays (p,).
        """
        found = [analysis(frame) for frame in self.frames]
        size = self._made[0].records.rows / self._base.total
        return combine([each[0] for each in found], [each[1] for each in found], rule="dealt", level=level, size=size)

    def regress(
        self,
        target: str,
        inputs: Sequence[str],
        outcome: Sequence[str] = (),
        *,
        references: Mapping[str, str] | None = None,
        level: float = LEVEL,
    ) -> Regression:
        """Regress a column on others: logistic where it has labels, linear where it is a number, with intervals that hold
        the noise, for the population that the people were drawn from.

        A row in which a needed column is missing is left out. Numbers are taken in their own unit; of a column of labels,
        each is compared with its first declared one, or with the one in `references`.
        Args: `outcome` holds the labels that count as 1 (of a column of two: the last one). `level` is that of the intervals.
        Returns: one line a coefficient, with a warning where the interval cannot be relied on.
        Raises: SchemaError or InputError for columns that cannot be used so; FitError where there are no coefficients:
            inputs that say the same, or an outcome that is always or never there.
        """
        if not 0 < level < 1:
            raise InputError(f"level is a share between 0 and 1, such as 0.9; found {level!r}")
        design = Design.of(self._source.schema, target, inputs, outcome, references)
        found = regression(design, self._base, self._made, level=level)
        if self._source.rows_per_person > 1:
            found = replace(found, notes=(*found.notes, _SEVERAL_ROWS))
        return found


_SEVERAL_ROWS: Final = (
    "a person has several rows, which are taken for different people: intervals are too narrow where a person's rows are "
    "alike"
)


def make(source: Source, draw: Draw, m: int, *, n: int | None, rng: np.random.Generator) -> Copies:
    """Make m copies of n rows (by default as many as the people, at most 200,000).

    For each, people are drawn from the model, with replacement; what their tables differ by from the model's, and noise as
    large as the mechanism's, is added to the noisy answers; and the generator fits again to these. Each copy so differs from
    the model as the model differs from the population, but for what it smooths away. Drawing people and noise around the
    model's own tables instead (as `replicates` does) would smooth away the same part of every association once more.
    Raises: FitError where the transcript holds trained weights; InputError for numbers that are none.
    Source: Efron, Tibshirani 1993, chapter 6 (bootstrap); Raisa, Jalko, Kaski, Honkela 2023 (noise-aware imputation).
    """
    if type(m) is not int or m < FEWEST:
        raise InputError(f"m is a number of copies, at least {FEWEST}, better 10 or more; found {m!r}")
    if n is not None and (type(n) is not int or n < 1):
        raise InputError(f"n is a whole number of rows, at least 1; found {n!r}")
    if not isinstance(rng, np.random.Generator):
        raise InputError("rng must be a numpy Generator, such as np.random.default_rng()")
    if any(isinstance(entry, Trained) for entry in source.transcript):
        raise FitError(
            "copies need a model whose fit can be repeated, and the training of a network on gradients cannot; fit again with "
            "a generator that measures tables (latent_class, aim, mst), or analyse one synthetic table without intervals"
        )
    people = source.distribution.total
    rows = min(_MOST_ROWS, max(1, round(people)))
    pool, _ = draw(source.distribution, min(_MOST_ROWS, max(_POOL_ROWS, 2 * rows)))
    base = Made(records=pool, encoded=encode_public(pool), transcript=source.transcript, total=people)
    expected = [_expected(entry, base) for entry in source.transcript]
    made, frames = [], []
    for number in range(m):
        progress.report("copies", number, m)
        drawn = base.encoded.take(rng.integers(0, pool.rows, rows))
        each = zip(source.transcript, expected, strict=True)
        answers = tuple(_answered(entry, table, drawn, people / rows, rng) for entry, table in each)
        fitted = source.generator.estimate_again(source.distribution.domain, answers, source.distribution)
        records, frame = draw(fitted, n or rows)
        made.append(Made(records=records, encoded=encode_public(records), transcript=answers, total=fitted.total))
        frames.append(frame)
    progress.report("copies", m, m)
    return Copies(source=source, base=base, made=made, frames=frames)


def _table(entry: Measurement, data: Dataset) -> npt.NDArray[np.float64]:
    regrouped = data.regrouped(entry.groups) if entry.groups else data
    return regrouped.marginal(entry.clique).astype(np.float64)


def _expected(entry: Entry, base: Made) -> npt.NDArray[np.float64] | None:
    """What the model says where an entry has a noisy table."""
    if not isinstance(entry, Measurement):
        return None
    return _table(entry, base.encoded) * (base.total / base.encoded.rows)


def _answered(
    entry: Entry,
    expected: npt.NDArray[np.float64] | None,
    drawn: Dataset,
    weight: float,
    rng: np.random.Generator,
) -> Entry:
    """A noisy answer, moved by what other people and other noise would have moved it by."""
    if not isinstance(entry, Measurement) or expected is None:
        return entry
    moved = weight * _table(entry, drawn) - expected + entry.sigma * rng.standard_normal(expected.shape)
    return replace(entry, values=np.rint(entry.values + moved).astype(np.int64))
