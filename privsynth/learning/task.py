"""Task: what is predicted from what, and a table as the numbers that a learner takes.

Must never let a table decide what its classes or inputs are: both follow from the schema.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

import numpy as np
import numpy.typing as npt

from privsynth.errors import RecordsError, SchemaError
from privsynth.records import Records
from privsynth.schema import Schema
from privsynth.schema.columns import LabelledColumn, ModelledColumn, NumericColumn
from privsynth.schema.ticks import MISSING, tick_all
from privsynth.schema.use import Use

Floats = npt.NDArray[np.float64]

Kind = Literal["outcome", "classes", "number"]
"""Whether an outcome is to be told from its absence, labels from each other, or a number to be estimated."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Examples:
    """Rows with a known answer.

    Shapes: `inputs` is (rows, inputs), labels as their position, a missing value NaN; `answers` is (rows,): classes 0, 1, ...,
        or numbers; `rows` is (rows,), their places in the table they were taken from.
    """

    inputs: Floats
    answers: Floats
    rows: npt.NDArray[np.int64]

    def take(self, index: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Examples:
        """Some of the rows, in the index's order."""
        return Examples(inputs=self.inputs[index], answers=self.answers[index], rows=self.rows[index])

    def __len__(self) -> int:
        return len(self.answers)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One column to be predicted from others.

    `classes` are what is told apart, in the order of their numbers: for an outcome ("not it", "it"); empty for a number.
    `inputs` are the columns to predict from, `labels` how many labels each has (0: it has an order and a size).
    """

    schema: Schema
    target: str
    kind: Kind
    classes: tuple[str, ...]
    inputs: tuple[str, ...]
    labels: tuple[int, ...]
    outcome: tuple[str, ...]

    @classmethod
    def of(
        cls,
        schema: Schema,
        target: str | None = None,
        outcome: Sequence[str] = (),
        *,
        without: Sequence[str] = (),
    ) -> Task:
        """The task that a schema declares in [use], or another target; `without` names columns not to predict from.

        Raises: SchemaError when neither names a target, or something that cannot be one.
        """
        chosen = Use(target=target, outcome=tuple(outcome)) if target is not None else schema.use
        if chosen.target is None:
            raise SchemaError(
                'nothing is declared to be predicted; name a target, or add [use] with target = "COLUMN" to the schema'
            )
        problem = chosen.problem({column.name: column for column in schema.modelled})
        if problem is not None:
            raise SchemaError(f"what is to be predicted: {problem}")
        column = schema.modelled_column(chosen.target)
        kind, classes = _kind(column, chosen)
        inputs = [one for one in schema.modelled if one.name not in {chosen.target, *without}]
        if not inputs:
            raise SchemaError(f'there is no column to predict "{chosen.target}" from; declare one that is modelled')
        return cls(
            schema=schema,
            target=chosen.target,
            kind=kind,
            classes=classes,
            inputs=tuple(one.name for one in inputs),
            labels=tuple(len(one.labels) if isinstance(one, LabelledColumn) else 0 for one in inputs),
            outcome=chosen.outcome if kind == "outcome" else (),
        )

    def examples(self, records: Records) -> Examples:
        """The rows whose answer is known. Privacy: as private as the records."""
        answers = self.answers(records)
        known = np.flatnonzero(~np.isnan(answers))
        columns = [_numbers(self.schema.modelled_column(name), records.ticks[name]) for name in self.inputs]
        inputs = np.column_stack(columns)
        return Examples(inputs=inputs[known], answers=answers[known], rows=known)

    def answers(self, records: Records) -> Floats:
        """Each row's class (0, 1, ...) or number; NaN where it is missing. Shapes: (rows,)."""
        column, ticks = self.schema.modelled_column(self.target), records.ticks[self.target]
        if self.kind != "outcome":
            return _numbers(column, ticks)
        wanted = tick_all(column, self.positive_labels(column))
        return np.where(ticks == MISSING, np.nan, np.isin(ticks, wanted).astype(np.float64))

    def positive_labels(self, column: ModelledColumn) -> tuple[str, ...]:
        """The labels that count as the outcome: those declared, or else the last one of two."""
        assert isinstance(column, LabelledColumn)
        return self.outcome or column.labels[-1:]

    def require_learnable(self, examples: Examples, what: str) -> None:
        """Raises: RecordsError, saying `what` table, when it has no known answer or only one."""
        if len(examples) == 0 or np.all(examples.answers == examples.answers[0]):
            raise RecordsError(
                f'{what}: "{self.target}" is the same in every row where it is known, so that nothing can be learned of it; '
                "take a table in which it differs, or declare another target or outcome"
            )


def _kind(column: ModelledColumn, use: Use) -> tuple[Kind, tuple[str, ...]]:
    if not isinstance(column, LabelledColumn):
        return "number", ()
    labels = column.labels
    if len(labels) < 2:
        raise SchemaError(f'"{column.name}" has one label, so that there is nothing to predict; declare another target')
    if use.outcome:
        named = " or ".join(use.outcome)
        return "outcome", (f"not {named}", named)
    return ("outcome" if len(labels) == 2 else "classes"), labels


def _numbers(column: ModelledColumn, ticks: npt.NDArray[np.int64]) -> Floats:
    """Ticks as numbers in the column's own unit (labels: positions; times: ticks since 1970); NaN where missing."""
    unit = float(column.unit) if isinstance(column, NumericColumn) else 1.0
    return np.where(ticks == MISSING, np.nan, ticks * unit)
