"""Running: from a real table and a source of synthetic rows to a joined table and its report.

Must never fit or draw anything before it is clear that it can be judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from privsynth import frames, provenance, records
from privsynth.augmenting import sources
from privsynth.augmenting.augmentation import Augmentation, FittedOn
from privsynth.augmenting.classes import Classes, Counts, wanted
from privsynth.augmenting.judging import ARMS, Judged, Trial, judge
from privsynth.augmenting.measures import MEASURES, difference
from privsynth.augmenting.sources import Source
from privsynth.database import either
from privsynth.database.document import DatabaseSchema
from privsynth.errors import InputError, RecordsError, SchemaError
from privsynth.evaluating import row_bounds
from privsynth.exploring import Fitting
from privsynth.learning.learners import LearnerName
from privsynth.learning.task import Examples, Task
from privsynth.metrics.groups import MIN_CELL, require_min_cell
from privsynth.model import Model
from privsynth.provenance import Provenance
from privsynth.records import Records
from privsynth.schema import Schema

ROWS: Final = 20_000
"""Most real rows that are cross-validated; the joined table has all of them."""

SEEDS: Final = 2
LEARNERS: Final[tuple[LearnerName, ...]] = ("gradient_boosting", "logistic_regression")
_LEAST_FOLDS, _MOST_FOLDS = 3, 20


def augment(  # noqa: PLR0913
    real: object,
    synthetic: object | None = None,
    *,
    schema: Schema | DatabaseSchema | str | Path,
    target: str | None = None,
    outcome: Sequence[str] = (),
    per_class: int | None = None,
    refit: Fitting | None = None,
    fitted_on: FittedOn = "unknown",
    folds: int = 5,
    min_cell: int = MIN_CELL,
    rng: np.random.Generator,
) -> Augmentation:
    """Join synthetic rows of under-represented classes to a real table, and say by cross-validation whether that helps.

    Privacy: the joined table holds real rows, and the report is computed on them: internal. A `refit` spends its budget once a
        fold and once more, in exploration: uncertified.
    Args: `synthetic` is a model, the folder of one or of a release, or a table; instead of it, `refit` says how to fit a
        generator to the training rows of each fold, which is the honest way where there are no other records. `fitted_on` is
        "others" where the generator never saw these rows. Each class gets as many rows as the most frequent one has more,
        or `per_class`; `min_cell` is the cell-size rule of the policy; `Augmentation.save` writes what came of it.
    Raises: SchemaError for a target that has no classes; RecordsError where one class alone is there, or too few people to
        judge by; SyntheticSource where the real table is none; InputError for other bad input.
    """
    if not isinstance(rng, np.random.Generator):
        raise InputError("rng must be a numpy Generator, such as np.random.default_rng()")
    if (synthetic is None) == (refit is None):
        raise InputError("give the synthetic rows (a model, a release or a table), or a refit: one of the two")
    require_min_cell(min_cell)
    if not _LEAST_FOLDS <= folds <= _MOST_FOLDS:
        raise InputError(f"folds are from {_LEAST_FOLDS} to {_MOST_FOLDS}; found {folds}")
    if fitted_on not in ("unknown", "others"):
        raise InputError('fitted_on is "unknown" or "others"; a refit is fitted in the folds')
    declared = _one_table(schema)
    provenance.require_real(real, "the real table")
    source: Source
    if refit is None:
        source, complete, says = sources.read(synthetic, declared)
    else:
        source, complete, says = refit, _resolved(declared), None
    table = records.read(real, declared, out_of_domain="clamp").open()
    table = table.with_schema(complete) if declared.unresolved else replace(table, schema=complete)
    _require_others(source, table)
    task = Task.of(complete, target, outcome)
    trial, classes = _trial(task, table, source, per_class, folds, min_cell, rng)
    judged = judge(trial, rng=rng)
    whole = refit.fit(table) if refit is not None else source
    assert not isinstance(whole, Fitting)
    drawn = sources.draw(whole, task, wanted(classes.rows, per_class), rng)
    if says is None:
        assert isinstance(whole, Model)
        says = whole.provenance
    says = replace(says, synthetic="part", drawn=(*says.drawn, "rebalanced"))
    found = _result(trial, classes, judged, drawn, says, frames.kind_of(real), table)
    return replace(
        found,
        fitted_on="folds" if refit is not None else fitted_on,
        rows_caution=row_bounds.joined(table, sources.unit_of(source, complete)),
    )


def _one_table(schema: Schema | DatabaseSchema | str | Path) -> Schema:
    described = either.load(schema) if isinstance(schema, str | Path) else schema
    if isinstance(described, DatabaseSchema):
        raise InputError(
            "augment joins rows to one table, and this schema has [database]; give that table's own schema"
        )
    return described


def _require_others(source: Source, real: Records) -> None:
    """Raises: InputError where the synthetic rows are the real ones: rows that are held out would be learned from."""
    if isinstance(source, Records) and all(np.array_equal(source.ticks[one], real.ticks[one]) for one in real.ticks):
        raise InputError("the synthetic table is the real table itself; give rows that were drawn from a model")


def _resolved(schema: Schema) -> Schema:
    if schema.unresolved:
        raise SchemaError(
            "the schema leaves something to be bought, which each fold would buy anew; declare it, or give a model"
        )
    return schema


def _trial(
    task: Task,
    table: Records,
    source: Source,
    per_class: int | None,
    folds: int,
    min_cell: int,
    rng: np.random.Generator,
) -> tuple[Trial, Classes]:
    """What is cross-validated, of at most ROWS rows, and the classes of the whole table."""
    examples = task.examples(table)
    owner = np.arange(table.rows) if table.units is None else table.units
    if len(np.unique(owner)) < folds:
        raise RecordsError("the real table has fewer people than there are folds; take more records, or fewer folds")
    classes = Classes.of(task, examples, owner[examples.rows], folds=folds, min_cell=min_cell)
    wanted(classes.rows, per_class)
    some = _some(examples, owner[examples.rows], rng)
    Classes.of(task, some, owner[some.rows], folds=folds, min_cell=min_cell)
    trial = Trial(
        task=task,
        records=table,
        examples=some,
        owner=owner[some.rows],
        source=source,
        per_class=per_class,
        rare=classes.rare,
        folds=folds,
        seeds=SEEDS,
        learners=LEARNERS,
    )
    return trial, classes


def _some(examples: Examples, owner: Counts, rng: np.random.Generator) -> Examples:
    """The rows of as many people, drawn at random, as make up about ROWS rows."""
    if len(examples) <= ROWS:
        return examples
    kept = rng.random(int(owner.max()) + 1) < ROWS / len(examples)
    return examples.take(kept[owner])


def _result(
    trial: Trial, classes: Classes, judged: Judged, drawn: sources.Drawn, says: Provenance, kind: str, table: Records
) -> Augmentation:
    scores, folds = judged.scores, trial.folds
    pooled = scores.mean(axis=2)
    rows = np.zeros(len(classes.rows), dtype=np.int64)
    if drawn.rows is not None:
        rows = np.bincount(trial.task.answers(drawn.rows).astype(np.int64), minlength=len(rows))
    origin = "origin"
    while any(column.name == origin for column in trial.task.schema.columns):
        origin += "_"
    return Augmentation(
        table=provenance.mark(_joined(table, drawn.rows, origin), says),
        kind=kind,
        origin=origin,
        target=trial.task.target,
        rare=classes.names[classes.rare],
        classes=classes.names,
        real_rows=tuple(classes.shown(classes.rows)),
        added=tuple(classes.shown(rows)),
        short=tuple(classes.names[number] for number in sorted({*judged.short, *drawn.short})),
        fitted_on="unknown",
        splits=len(scores),
        judged_rows=None if classes.hidden.any() else len(trial.examples),
        means={
            arm: dict(zip(MEASURES, pooled[:, place].mean(axis=0).tolist(), strict=True))
            for place, arm in enumerate(ARMS)
        },
        differences={
            arm: {
                name: difference(pooled[:, place, which] - pooled[:, 0, which], folds)
                for which, name in enumerate(MEASURES)
            }
            for place, arm in enumerate(ARMS)
            if place
        },
        by_learner={
            name: difference(scores[:, 1, place, 0] - scores[:, 0, place, 0], folds)
            for place, name in enumerate(trial.learners)
        },
        against={ARMS[place]: difference(pooled[:, 1, 0] - pooled[:, place, 0], folds) for place in (2, 3)},
    )


def _joined(real: Records, synthetic: Records | None, origin: str) -> pa.Table:
    """The modelled columns of both, in natural types, and where each row is from."""
    parts = [(real, "real")] if synthetic is None else [(real, "real"), (synthetic, "synthetic")]
    tables = []
    for rows, word in parts:
        columns = {one.name: records.written(one, rows.ticks[one.name]) for one in rows.schema.modelled}
        tables.append(pa.table({**columns, origin: pa.array([word] * rows.rows, pa.string())}))
    return pa.concat_tables(tables)
