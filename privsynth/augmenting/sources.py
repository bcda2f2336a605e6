"""Sources: where the synthetic rows of a class come from: a model, a finished table, or a generator that is fitted to them.

Must never look at a held-out row: what it is fitted to is what it is given.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias, final

import numpy as np

from privsynth import provenance, records
from privsynth.augmenting.classes import Counts, labels_of
from privsynth.errors import FitError, InputError, SchemaError
from privsynth.evaluating.known import is_release
from privsynth.exploring import Fitting
from privsynth.histories.history_model import HistoryModel
from privsynth.learning.task import Task
from privsynth.model import Model
from privsynth.privacy.unit import PrivacyUnit
from privsynth.provenance import Provenance
from privsynth.records import Records
from privsynth.schema import Schema
from privsynth.transcript_files import DOCUMENT

Source: TypeAlias = Model | Records | Fitting
"""A model, a synthetic table, or how to fit a generator to what it is to be trained on."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawn:
    """Synthetic rows, None where there are none, and the classes that the source has too few rows of."""

    rows: Records | None
    short: tuple[int, ...]


def read(synthetic: object, declared: Schema) -> tuple[Model | Records, Schema, Provenance]:
    """What was given, the schema that both tables have, and what is known of the synthetic one.

    Raises: InputError for models of several tables; SchemaError where the schemas differ; RecordsError for unreadable tables.
    """
    if isinstance(synthetic, HistoryModel):
        raise InputError("a model of several tables cannot be joined to one table; fit a model to that table alone")
    model = synthetic if isinstance(synthetic, Model) else None
    if isinstance(synthetic, str | Path):
        if is_release(synthetic):
            model = Model.from_release(synthetic)
        elif (Path(synthetic) / DOCUMENT).is_file():
            model = Model.load(synthetic)
    if model is not None:
        return model, _agreed(declared, model.schema), model.provenance
    if declared.unresolved:
        raise SchemaError("the schema leaves something to be bought; give the folder of the release, or its model")
    found = provenance.of(synthetic)
    unknown = Provenance(synthetic="all", origin="unknown", generator="unknown", epsilon=None, table=None)
    table = records.read_public(synthetic, declared, out_of_domain="clamp")
    return table, declared, unknown if found is None else found.provenance


def unit_of(source: Source, schema: Schema) -> PrivacyUnit | None:
    """The unit whose rows the generator of these synthetic rows used no more than so many of; None where that is not known."""
    if isinstance(source, Records):
        return None
    return source.plan(schema).unit if isinstance(source, Fitting) else source.guarantee.unit


def _agreed(declared: Schema, of_model: Schema) -> Schema:
    """The model's schema, with the use that the given one declares."""
    same = (
        [(one.name, one.kind) for one in declared.columns] == [(one.name, one.kind) for one in of_model.columns]
        if declared.unresolved
        else declared.columns == of_model.columns
    )
    if not same:
        raise SchemaError(
            "the model was fitted with another schema: its columns, labels or bounds differ; give the schema it was fitted with"
        )
    return of_model.model_copy(update={"use": declared.use})


def draw(source: Model | Records, task: Task, numbers: Counts, rng: np.random.Generator) -> Drawn:
    """So many rows of each class. A table is drawn from without replacement; a model is asked under the condition.

    Shapes: `numbers` is (classes,).
    """
    parts: list[Records] = []
    short: list[int] = []
    answers = None if isinstance(source, Model) else task.answers(source)
    for number, count in enumerate(numbers.tolist()):
        if not count:
            continue
        if isinstance(source, Model):
            try:
                parts.append(source.draw(count, rng=rng, given={task.target: labels_of(task, number)}).records)
            except FitError:
                short.append(number)
            continue
        there = np.flatnonzero(answers == number)
        if len(there) < count:
            short.append(number)
        if len(there):
            parts.append(source.take(np.sort(rng.choice(there, min(count, len(there)), replace=False))))
    return Drawn(rows=joined(parts) if parts else None, short=tuple(short))


def joined(parts: list[Records]) -> Records:
    """Records one below the other, without their units."""
    first = parts[0]
    ticks = {name: np.concatenate([part.ticks[name] for part in parts]) for name in first.ticks}
    return replace(first, ticks=ticks, units=None, unit_names=None)
