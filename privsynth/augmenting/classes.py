"""Classes: how many rows each has, which are too small to be told of, and how many synthetic rows each gets.

Must never let a count of fewer people than the cell-size rule out, nor what it could be worked out from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.errors import InputError, RecordsError, SchemaError
from privsynth.learning.task import Examples, Task
from privsynth.policy.cell_size import suppressed
from privsynth.schema.columns import LabelledColumn

Counts = npt.NDArray[np.int64]


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Classes:
    """The classes of a task in a real table.

    Shapes: `rows` and `people` are (classes,), rows and privacy units of each; `hidden` says whose counts are not shown.
    Privacy: exact functions of real records.
    """

    names: tuple[str, ...]
    rows: Counts
    people: Counts
    hidden: npt.NDArray[np.bool_]
    rare: int

    @classmethod
    def of(cls, task: Task, real: Examples, owner: Counts, *, folds: int, min_cell: int) -> Classes:
        """Count the classes; `owner` is the unit of each example.

        Raises: SchemaError for a target that is a number; RecordsError where one class alone is there, or where no class but
            the most frequent has people enough to be judged by.
        """
        if task.kind == "number":
            raise SchemaError(
                f'"{task.target}" is a number, and classes are what can be under-represented; name a target with labels'
            )
        task.require_learnable(real, "the real table")
        codes, count = real.answers.astype(np.int64), len(task.classes)
        rows = np.bincount(codes, minlength=count)
        whose = np.unique(np.stack([codes, owner]), axis=1)[0]
        people = np.bincount(whose, minlength=count)
        enough = np.flatnonzero((people >= max(folds, min_cell)) & (np.arange(count) != np.argmax(rows)))
        if not len(enough):
            raise RecordsError(
                f'no class of "{task.target}" but the most frequent one has {max(folds, min_cell)} people or more in the real '
                "table, so that nothing can be judged by them; take more real records, or declare a wider outcome"
            )
        hidden = suppressed(people, min_cell=min_cell, margins="published")[:-1]
        rare = int(enough[np.argmin(rows[enough])])
        return cls(names=task.classes, rows=rows, people=people, hidden=hidden, rare=rare)

    def shown(self, counts: Counts) -> list[int | None]:
        """Counts by class, those of hidden classes as None."""
        return [None if hide else int(count) for count, hide in zip(counts, self.hidden, strict=True)]


def wanted(rows: Counts, per_class: int | None) -> Counts:
    """Synthetic rows for each class: as many as the most frequent has more, or `per_class` for each but the most frequent.

    Classes without any real row get none: what a generator knows of them is noise.
    Raises: InputError for a number below one.
    """
    if per_class is None:
        return np.where(rows > 0, rows.max() - rows, 0)
    if isinstance(per_class, bool) or not isinstance(per_class, int) or per_class < 1:
        raise InputError(f"per_class is a whole number of rows, at least 1; found {per_class!r}")
    return np.where((rows > 0) & (np.arange(len(rows)) != np.argmax(rows)), per_class, 0)


def labels_of(task: Task, number: int) -> list[str]:
    """The labels of the target that make up a class."""
    column = task.schema.modelled_column(task.target)
    assert isinstance(column, LabelledColumn)
    if task.kind == "classes":
        return [column.labels[number]]
    positive = task.positive_labels(column)
    return [label for label in column.labels if (label in positive) == bool(number)]
