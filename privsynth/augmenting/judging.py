"""Judging: cross-validation on real rows, in which synthetic ones are only ever trained on.

Must never put a synthetic row into a fold that is judged by, nor a person's rows on both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth import progress
from privsynth.augmenting import sources
from privsynth.augmenting.classes import Counts, wanted
from privsynth.augmenting.measures import MEASURES, measured
from privsynth.augmenting.sources import Source
from privsynth.exploring import Fitting
from privsynth.learning import learners
from privsynth.learning.learners import LearnerName
from privsynth.learning.task import Examples, Task
from privsynth.records import Records

Floats: TypeAlias = npt.NDArray[np.float64]

ARMS: Final = ("real rows alone", "with synthetic rows", "class weights", "random oversampling")
"""The ways of training that are compared; the last two are what there is without synthetic rows."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trial:
    """What is cross-validated.

    `records` are real rows, `examples` those of them whose class is known, `owner` the unit of each example.
    """

    task: Task
    records: Records
    examples: Examples
    owner: Counts
    source: Source
    per_class: int | None
    rare: int
    folds: int
    seeds: int
    learners: tuple[LearnerName, ...]


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """Shapes: `scores` is (splits, arms, learners, measures); `short` are classes that the source had too few rows of."""

    scores: Floats
    short: tuple[int, ...]


def judge(trial: Trial, *, rng: np.random.Generator) -> Judged:
    """Every fold of every repetition: each arm, each learner."""
    scores = np.zeros((trial.folds * trial.seeds, len(ARMS), len(trial.learners), len(MEASURES)))
    short: set[int] = set()
    for split in range(len(scores)):
        progress.report("cross-validation", split, len(scores))
        if split % trial.folds == 0:
            folds = folds_of(trial.examples.answers, trial.owner, trial.folds, rng)
        held = folds == split % trial.folds
        train, test = trial.examples.take(~held), trial.examples.take(held)
        drawn = _synthetic(trial, train, rng)
        short.update(drawn.short)
        seed = int(rng.integers(1 << 31))
        for arm, (examples, weights) in enumerate(_arms(trial.task, train, drawn.rows, rng)):
            for place, name in enumerate(trial.learners):
                chances = learners.fit(trial.task, examples, name, seed, weights=weights).predict(test.inputs)
                scores[split, arm, place] = measured(trial.task, test.answers, chances, trial.rare)
    progress.report("cross-validation", len(scores), len(scores))
    return Judged(scores=scores, short=tuple(sorted(short)))


def folds_of(answers: Floats, owner: Counts, folds: int, rng: np.random.Generator) -> Counts:
    """A fold for each row: a person's rows together, and people of each class spread evenly, by the rarest class they have."""
    codes = answers.astype(np.int64)
    rarity = np.bincount(codes)[codes]
    people, position = np.unique(owner, return_inverse=True)
    rarest = np.full(len(people), np.iinfo(np.int64).max)
    np.minimum.at(rarest, position, rarity)
    shuffled = rng.permutation(len(people))
    order = shuffled[np.argsort(rarest[shuffled], kind="stable")]
    fold = np.empty(len(people), dtype=np.int64)
    fold[order] = np.arange(len(people)) % folds
    return np.asarray(fold[position], dtype=np.int64)


def _synthetic(trial: Trial, train: Examples, rng: np.random.Generator) -> sources.Drawn:
    rows = np.bincount(train.answers.astype(np.int64), minlength=len(trial.task.classes))
    source = trial.source
    if isinstance(source, Fitting):
        source = source.fit(trial.records.take(train.rows))
    return sources.draw(source, trial.task, wanted(rows, trial.per_class), rng)


def _arms(
    task: Task, train: Examples, synthetic: Records | None, rng: np.random.Generator
) -> Sequence[tuple[Examples, Floats | None]]:
    """The training rows of each arm, with their weights."""
    codes = train.answers.astype(np.int64)
    rows = np.bincount(codes, minlength=len(task.classes))
    there = int(np.count_nonzero(rows))
    weights = len(codes) / (there * rows[codes])
    again = [
        rng.choice(np.flatnonzero(codes == number), count)
        for number, count in enumerate(wanted(rows, None).tolist())
        if count
    ]
    with_synthetic = train if synthetic is None else together(train, task.examples(synthetic))
    return (
        (train, None),
        (with_synthetic, None),
        (train, weights),
        (train.take(np.concatenate([np.arange(len(codes)), *again])), None),
    )


def together(one: Examples, other: Examples) -> Examples:
    """Two sets of examples, one below the other."""
    return Examples(
        inputs=np.concatenate([one.inputs, other.inputs]),
        answers=np.concatenate([one.answers, other.answers]),
        rows=np.concatenate([one.rows, other.rows]),
    )
