"""Running: from the tables to an evaluation, and to its internal folder.

Must never compute anything before it is clear that the evaluation can be carried out and written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from privsynth.errors import InputError
from privsynth.evaluating import folder, tables
from privsynth.evaluating.evaluation import Evaluation
from privsynth.evaluating.known import ReleaseLike, is_release
from privsynth.evaluating.measuring import Learning, measure
from privsynth.evaluating.tables import SchemaLike, Tables
from privsynth.learning.task import Task
from privsynth.metrics import prediction
from privsynth.metrics.groups import MIN_CELL, require_min_cell

_ITSELF = "synthetic"


def evaluate(  # noqa: PLR0913
    synthetic: object,
    *,
    real: object,
    holdout: object | None = None,
    schema: SchemaLike | None = None,
    out: str | Path | None = None,
    target: str | None = None,
    outcome: Sequence[str] = (),
    release: ReleaseLike | None = None,
    peers: Mapping[str, object] | None = None,
    min_cell: int = MIN_CELL,
    rng: np.random.Generator,
) -> Evaluation:
    """Say what a synthetic table is good for: impossible rows, errors of tables, learning, rare categories, fairness.

    Privacy: everything is an exact function of the real records that nobody paid for: internal. With `out` it is written into
        a new folder that only its owner may enter; it must never be released.
    Args: `synthetic` is a table, such as a sample of a model, or the folder of a release; `holdout` are real records that the
        generator did not see, without which a part of the real table is judged by that it may have seen; `target` and
        `outcome` are what is predicted, by default what [use] of the schema declares; `release` is the folder, or the model,
        that a table comes from, for its epsilon, its noise, and how many rows of each unit it used: no more of the real table's
        and the holdout's count, drawn by `rng`; `peers` are other synthetic tables by name, measured against the same rows;
        `min_cell` is the cell-size rule of the policy: no count of fewer people is listed.
    Raises: RecordsError for an unreadable table, and where the target is the same in every real row; SchemaError for a target
        that cannot be one; InputError for several tables, or a library that is not installed; OutputError for a bad `out`.
    """
    if not isinstance(rng, np.random.Generator):
        raise InputError("rng must be a numpy Generator, such as np.random.default_rng()")
    require_min_cell(min_cell)
    others = dict(peers or {})
    if _ITSELF in others:
        raise InputError(f'a table beside it cannot be called "{_ITSELF}"; give it another name')
    if out is not None:
        folder.require_free(Path(out), [synthetic, release, *others.values()])
    read = tables.read(synthetic, real=real, holdout=holdout, schema=schema, release=release, peers=others, rng=rng)
    seed = int(rng.integers(1 << 31))
    learning = _learning(read, target, outcome, min_cell, rng)
    measured = measure(read, read.synthetic, learning, name=_ITSELF, seed=seed, min_cell=min_cell, beside=None)
    figures = {
        name: measure(read, table, learning, name=name, seed=seed, min_cell=min_cell, beside=measured)
        for name, table in read.peers.items()
    }
    found = Evaluation(
        what=_what(synthetic, read),
        schema=read.schema,
        real_rows=read.real[0].rows,
        holdout_rows=None if read.holdout is None else read.holdout[0].rows,
        known=read.known,
        measured=measured,
        peers=figures,
        counted=read.counted,
        caution=read.caution,
    )
    if out is not None:
        folder.write(Path(out), found)
    return found


def _learning(
    read: Tables, target: str | None, outcome: Sequence[str], min_cell: int, rng: np.random.Generator
) -> Learning | str | None:
    """What is taught on real rows; why nothing can be, if so; None where nothing is declared to be predicted."""
    if target is None and read.schema.use.target is None:
        if outcome:
            raise InputError("an outcome needs a target; name the column that it is a label of")
        return None
    if target is None and outcome:
        target = read.schema.use.target
    task = Task.of(read.schema, target, outcome)
    held = None if read.holdout is None else task.examples(read.holdout[0])
    owners = None if read.holdout is None else read.holdout[0].units
    real = read.real[0]
    split = prediction.parts(task, task.examples(real), held, units=real.units, held_units=owners, rng=rng)
    why = prediction.too_few(task, split.people, min_cell)
    if why is not None:
        return why
    return Learning.of(task, read, split, rng=rng)


def _what(synthetic: object, read: Tables) -> str:
    if isinstance(synthetic, str | Path):
        return Path(synthetic).resolve().name if is_release(synthetic) else Path(synthetic).name
    return read.schema.table.title or read.schema.table.name
