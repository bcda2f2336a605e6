"""Running: from a real table, and a generator or a finished model, to learning curves.

Must never judge by people whose rows were given to a generator that is fitted here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from privsynth import progress, provenance, records
from privsynth.augmenting import sources
from privsynth.augmenting.judging import together
from privsynth.database import either
from privsynth.database.document import DatabaseSchema
from privsynth.errors import InputError, RecordsError, SchemaError
from privsynth.evaluating import row_bounds
from privsynth.exploring import Fitting
from privsynth.growth.curve import LEAST_SIZES, fit_curve
from privsynth.growth.learning import Growth, What
from privsynth.learning import learners
from privsynth.learning.learners import LearnerName
from privsynth.learning.task import Examples, Task
from privsynth.metrics.groups import MIN_CELL, require_min_cell
from privsynth.metrics.prediction import Parts, measure_of, parts, people_with, too_few
from privsynth.model import Model
from privsynth.records import Records
from privsynth.schema import Schema

LEARNER: Final[LearnerName] = "gradient_boosting"
ROWS: Final = 20_000
"""Most rows that a learner is taught on where no sizes are given."""

LEAST_ROWS: Final = 100
_SIZES: Final = 6
_Points: TypeAlias = dict[What, list[tuple[int, float]]]


def scale(  # noqa: PLR0913
    real: object,
    *,
    schema: Schema | DatabaseSchema | str | Path,
    target: str | None = None,
    outcome: Sequence[str] = (),
    fitting: Fitting | None = None,
    synthetic: object | None = None,
    sizes: Sequence[int] | None = None,
    seeds: int = 3,
    gain: float = 0.005,
    min_cell: int = MIN_CELL,
    rng: np.random.Generator,
) -> Growth:
    """Draw learning curves: a learner's score on held-out real rows, against real rows, synthetic rows, and both.

    With a `fitting`, a generator is fitted to subsets of the real rows; with `synthetic`, a finished model or release or table,
    only the number of synthetic rows is varied, and all real rows are judged by.
    Privacy: every size of every seed is a fit of its own, in exploration on your own records: uncertified, in no ledger, and
        together `sizes` times `seeds` times the budget. The report is computed on real records: internal.
    Args: `sizes` are numbers of rows, by default six from a thirty-second of the training rows to all; `gain` is what doubling
        the rows must gain to count as help; `min_cell` is the cell-size rule of the policy: by fewer people nothing is judged.
    Raises: InputError for sizes, seeds or a gain that make no curve; RecordsError for a target that is the same in every row,
        or too few records; SyntheticSource where the real table is none.
    """
    _require(fitting, synthetic, seeds, gain, rng)
    made, table = _read(real, synthetic, schema)
    complete = table.schema
    task = Task.of(complete, target, outcome)
    examples = task.examples(table)
    task.require_learnable(examples, "the real table")
    require_min_cell(min_cell)
    if made is not None:
        _require_people(task, people_with(task, examples, table.units), min_cell)
        points = _of_finished(task, examples, made, _sizes(sizes, _most_drawn(made, len(examples))), seeds, rng)
        unit = sources.unit_of(made, complete)
        spent = "no generator was fitted, and nothing was spent"
    else:
        assert fitting is not None
        split = parts(task, examples, None, units=table.units, rng=rng)
        _require_people(task, split.people, min_cell)
        points = _of_fits(task, table, split, fitting, _sizes(sizes, len(split.train)), seeds, rng)
        unit = sources.unit_of(fitting, complete)
        spent = f"each fit spent {fitting.words(complete)}{row_bounds.used(unit)}, in exploration: uncertified, in no ledger"
    curves = {
        name: fit_curve([n for n, _ in found], [score for _, score in found], gain=gain, rng=rng)
        for name, found in points.items()
    }
    return Growth(
        target=task.target,
        measure=measure_of(task),
        learner=LEARNER,
        seeds=seeds,
        seen=made is not None,
        spent=spent,
        curves=curves,
        rows_caution=row_bounds.joined(table, unit),
    )


def _require_people(task: Task, people: int, min_cell: int) -> None:
    """Raises: RecordsError where a curve would be that of few people's rows."""
    why = too_few(task, people, min_cell)
    if why is not None:
        raise RecordsError(why)


def _require(fitting: Fitting | None, synthetic: object | None, seeds: int, gain: float, rng: object) -> None:
    """Raises: InputError for what makes no curve."""
    if not isinstance(rng, np.random.Generator):
        raise InputError("rng must be a numpy Generator, such as np.random.default_rng()")
    if (fitting is None) == (synthetic is None):
        raise InputError("give how to fit a generator, or the finished synthetic rows: a model, a release or a table")
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 2:
        raise InputError(f"seeds are a whole number, at least 2; found {seeds!r}")
    if not 0 < gain < 1:
        raise InputError(f"the gain that counts is a score between 0 and 1; found {gain!r}")


def _read(
    real: object, synthetic: object | None, schema: Schema | DatabaseSchema | str | Path
) -> tuple[Model | Records | None, Records]:
    """What is finished, where something is, and the real records under the schema that both have."""
    declared = either.load(schema) if isinstance(schema, str | Path) else schema
    if isinstance(declared, DatabaseSchema):
        raise InputError(
            "learning curves are drawn of one table, and this schema has [database]; give that table's schema"
        )
    provenance.require_real(real, "the real table")
    made, complete = None, declared
    if synthetic is not None:
        made, complete, _ = sources.read(synthetic, declared)
    elif declared.unresolved:
        raise SchemaError("the schema leaves something to be bought, which each fit would buy anew; declare it")
    table = records.read(real, declared, out_of_domain="clamp").open()
    return made, table.with_schema(complete) if declared.unresolved else replace(table, schema=complete)


def _most_drawn(made: Model | Records, real: int) -> int:
    return made.rows if isinstance(made, Records) else min(ROWS, 4 * real)


def _sizes(asked: Sequence[int] | None, most: int) -> list[int]:
    """The sizes, in order. Raises: InputError for too few or too small ones; RecordsError where there are not rows enough."""
    if asked is None:
        top = min(most, ROWS)
        if top < LEAST_ROWS * 2 ** (LEAST_SIZES - 1):
            raise RecordsError("the table has too few rows for a learning curve; take more records, or name sizes")
        return sorted({round(n) for n in np.geomspace(max(LEAST_ROWS, top / 32), top, _SIZES).tolist()})
    chosen = sorted(set(asked))
    if len(chosen) < LEAST_SIZES or any(isinstance(n, bool) or not isinstance(n, int) or n < 2 for n in chosen):
        raise InputError(f"sizes are {LEAST_SIZES} or more different numbers of rows, each at least 2")
    if chosen[-1] > most:
        raise RecordsError("a size is larger than the rows that there are to train on; leave the largest sizes out")
    return chosen


def _of_finished(
    task: Task, judged: Examples, made: Model | Records, sizes: Sequence[int], seeds: int, rng: np.random.Generator
) -> _Points:
    """Synthetic rows of what was finished: nested subsets of one draw a seed."""
    found: list[tuple[int, float]] = []
    for seed in range(seeds):
        progress.report("learning curves", seed, seeds)
        rows = made.draw(sizes[-1], rng=rng).records if isinstance(made, Model) else made
        found += _taught(task, task.examples(rows), judged, sizes, rng)
    progress.report("learning curves", seeds, seeds)
    return {"synthetic": found}


def _of_fits(
    task: Task,
    table: Records,
    split: Parts,
    fitting: Fitting,
    sizes: Sequence[int],
    seeds: int,
    rng: np.random.Generator,
) -> _Points:
    """All curves: subsets of the training people, each with a generator of its own."""
    points: _Points = {"real": [], "generator": [], "synthetic": [], "mixture": []}
    drawn_rows = min(ROWS, len(split.train))
    owner = np.arange(table.rows) if table.units is None else table.units
    for seed in range(seeds):
        order = _by_people(owner[split.train.rows], rng)
        for place, size in enumerate(sizes):
            progress.report("learning curves", seed * len(sizes) + place, seeds * len(sizes))
            some = split.train.take(order[:size])
            rows = fitting.fit(table.take(some.rows)).draw(max(drawn_rows, sizes[-1]), rng=rng).records
            synthetic = task.examples(rows)
            enough = synthetic.take(np.arange(min(drawn_rows, len(synthetic))))
            taught: dict[What, Examples] = {"real": some, "generator": enough, "mixture": together(some, enough)}
            for name, examples in taught.items():
                points[name] += list(_scored(task, examples, split.test, size, rng))
        points["synthetic"] += _taught(task, synthetic, split.test, sizes, rng)
    progress.report("learning curves", seeds * len(sizes), seeds * len(sizes))
    return points


def _by_people(owner: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Places of rows, person after person in random order."""
    rank = rng.permutation(int(owner.max()) + 1)
    return np.argsort(rank[owner], kind="stable")


def _taught(
    task: Task, synthetic: Examples, judged: Examples, sizes: Sequence[int], rng: np.random.Generator
) -> list[tuple[int, float]]:
    order = rng.permutation(len(synthetic))
    return [
        point
        for size in sizes
        for point in _scored(task, synthetic.take(order[: min(size, len(order))]), judged, size, rng)
    ]


def _scored(
    task: Task, examples: Examples, judged: Examples, size: int, rng: np.random.Generator
) -> Iterator[tuple[int, float]]:
    """The score of what was learned; guessing where all rows have the same answer."""
    seed = int(rng.integers(1 << 31))
    if len(examples) == 0 or np.all(examples.answers == examples.answers[0]):
        yield size, 0.0 if task.kind == "number" else 0.5
        return
    yield size, learners.score(task, judged.answers, learners.fit(task, examples, LEARNER, seed).predict(judged.inputs))
