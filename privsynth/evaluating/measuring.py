"""Measuring: every figure of one synthetic table against the real one.

Must never let one table's figures depend on which others are evaluated beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, final

import numpy as np

from privsynth import progress
from privsynth.dataset import Dataset
from privsynth.evaluating.tables import Both, Tables
from privsynth.learning import direct_dp
from privsynth.learning.task import Task
from privsynth.metrics import prediction
from privsynth.metrics.broken_rules import BrokenRules, count_broken
from privsynth.metrics.closest import Closest, closest
from privsynth.metrics.correlations import Correlations, compare
from privsynth.metrics.groups import GroupComparison, compare_groups
from privsynth.metrics.marginals import Errors, cliques_of, errors
from privsynth.metrics.rare import NoisyColumn, RareCategories, rare_categories
from privsynth.metrics.subsampling import KMarginal, k_marginal
from privsynth.metrics.telling_apart import ToldApart, tell_apart

TRIPLES: Final = 300
MOST_PAIRS: Final = 10_000
"""Of a table of more than 141 columns, so many pairs are drawn at random."""

SIZES: Final = (1, 2, 3)
STAGE: Final = "evaluating"
_STEPS = 7


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """The figures of one synthetic table.

    `errors` by number of columns; `prediction` is None where no target is declared, `groups` where nothing is protected
    either, and of tables that are only measured beside another; `not_learned` says why nothing is taught on so few people.
    """

    rows: int
    broken: BrokenRules
    errors: Mapping[int, Errors]
    k_marginal: KMarginal
    correlations: Correlations
    prediction: prediction.Prediction | None
    apart: ToldApart | None
    rare: RareCategories
    closest: Closest
    groups: GroupComparison | None
    not_learned: str | None
    min_cell: int

    def to_json(self) -> dict[str, object]:
        """A JSON object."""
        return {
            "rows": self.rows,
            "impossibleRows": self.broken.to_json(),
            "errorsOfTables": {str(size): found.to_json() for size, found in self.errors.items()},
            "kMarginal": self.k_marginal.to_json(),
            "correlations": self.correlations.to_json(),
            "prediction": None if self.prediction is None else self.prediction.to_json(),
            "nothingLearned": self.not_learned,
            "distinguishability": None if self.apart is None else self.apart.to_json(),
            "rareCategories": self.rare.to_json(),
            "closestRecords": self.closest.to_json(),
            "groups": None if self.groups is None else self.groups.to_json(),
        }


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Learning:
    """What is taught once for all tables: learners on real rows, and models trained on them directly under epsilon."""

    task: Task
    baseline: prediction.Baseline
    direct: Mapping[str, prediction.Estimate] = field(default_factory=dict)
    direct_not: str | None = None

    @classmethod
    def of(cls, task: Task, tables: Tables, split: prediction.Parts, *, rng: np.random.Generator) -> Learning:
        """Teach them."""
        baseline = prediction.Baseline(task, split, rng=rng)
        why = direct_dp.why_not(task, tables.schema.domain())
        if tables.known is None:
            why = "the epsilon of the release is not known; evaluate its folder, or give it with --release"
        if why is not None or tables.known is None:
            return cls(task=task, baseline=baseline, direct_not=why)
        data = tables.real[1].take(split.train.rows)
        test = (tables.real if tables.holdout is None else tables.holdout)[1].take(split.test.rows)
        return cls(task=task, baseline=baseline, direct=baseline.of_direct(data, test, epsilon=tables.known.epsilon))

    def of_synthetic(self, table: Both) -> prediction.Prediction:
        """What the learners make of a synthetic table."""
        split = self.baseline.split
        learned, problem = self.baseline.of_synthetic(self.task.examples(table[0]))
        return prediction.Prediction(
            target=self.task.target,
            outcome=self.task.classes[1:] if self.task.kind == "outcome" else (),
            measure=prediction.measure_of(self.task),
            train_rows=min(prediction.ROWS, len(split.train)),
            test_rows=len(split.test),
            seen=split.seen,
            learned=learned,
            synthetic_not=problem,
            direct=self.direct,
            direct_rows=len(split.train) if self.direct else 0,
            direct_not=self.direct_not,
        )


def measure(
    tables: Tables,
    synthetic: Both,
    learning: Learning | str | None,
    *,
    name: str,
    seed: int,
    min_cell: int,
    beside: Measured | None,
) -> Measured:
    """Measure one synthetic table.

    The same seed draws the same sets of columns and rows for every table, so that their figures can be compared.
    Args: `learning` is why nothing is taught, where that is so; `name` is for progress; `beside` is None for the table that is
        evaluated, whose noise may be known and whose groups are compared, and that one's figures for all others.
    """
    schema, real, holdout, itself = tables.schema, tables.real, tables.holdout, beside is None
    not_learned, learning = (learning, None) if isinstance(learning, str) else (None, learning)
    held = None if holdout is None else holdout[1]
    rng = np.random.default_rng(seed)
    step = _Steps(name)
    broken = count_broken(schema.rules, synthetic[0], real[0], min_cell=min_cell)
    step.next()
    found = _errors(real[1], synthetic[1], held, rng)
    step.next()
    score = k_marginal(real[1], synthetic[1], holdout=held, rng=rng)
    step.next()
    related = compare(schema, real, synthetic)
    step.next()
    predicted = None if learning is None else learning.of_synthetic(synthetic)
    step.next()
    apart = tell_apart(schema, real, synthetic, rng=rng)
    step.next()
    near = closest(real[0], synthetic[0], holdout=None if holdout is None else holdout[0], rng=rng)
    step.next()
    groups = _groups(tables, synthetic, learning, min_cell, rng) if itself else None
    compared = groups if beside is None else beside.groups
    rare = _rare(tables, synthetic, compared, min_cell, itself=itself)
    return Measured(
        rows=synthetic[0].rows,
        broken=broken,
        errors=found,
        k_marginal=score,
        correlations=related,
        prediction=predicted,
        apart=apart,
        rare=rare,
        closest=near,
        groups=groups,
        not_learned=not_learned,
        min_cell=min_cell,
    )


def _errors(real: Dataset, synthetic: Dataset, held: Dataset | None, rng: np.random.Generator) -> dict[int, Errors]:
    """By number of columns."""
    names = real.domain.attributes
    most = {1: len(names), 2: MOST_PAIRS, 3: TRIPLES}
    return {
        size: errors(real, synthetic, cliques_of(names, size, most[size], rng), holdout=held, rng=rng)
        for size in SIZES
        if size <= len(names)
    }


def _rare(
    tables: Tables, synthetic: Both, compared: GroupComparison | None, min_cell: int, *, itself: bool
) -> RareCategories:
    """Rare categories; what the noise decided of the table itself alone."""
    told: Mapping[str, NoisyColumn] = tables.known.columns if itself and tables.known is not None else {}
    return rare_categories(
        tables.schema,
        tables.real[1],
        synthetic[1],
        merged=tables.merged,
        noisy=told,
        min_cell=min_cell,
        units=tables.real[0].units,
        together=None if compared is None else compared.together,
    )


def _groups(
    tables: Tables, synthetic: Both, learning: Learning | None, min_cell: int, rng: np.random.Generator
) -> GroupComparison | None:
    """The groups of the protected columns, where there are any and something is predicted."""
    if learning is None:
        return None
    protected = [name for name in tables.schema.use.protected if name != learning.task.target]
    if not protected:
        return None
    return compare_groups(
        tables.schema,
        tables.real[0],
        synthetic[0],
        learning.task,
        rng=rng,
        holdout=None if tables.holdout is None else tables.holdout[0],
        protected=protected,
        min_cell=min_cell,
    )


@final
class _Steps:
    """Progress, a step a section."""

    def __init__(self, name: str) -> None:
        self._stage, self._done = f"{STAGE} {name}", 0
        progress.report(self._stage, 0, _STEPS)

    def next(self) -> None:
        """One section is done."""
        self._done += 1
        progress.report(self._stage, self._done, _STEPS)
