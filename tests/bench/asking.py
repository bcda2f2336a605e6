"""Random questions about a real table, with the answers that its records give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, final

import numpy as np
import numpy.typing as npt

from privsynth.answering.parsing import Question, parse
from privsynth.answering.profiles import Region
from privsynth.encoding import offsets
from privsynth.records import Records
from privsynth.schema import Schema
from privsynth.schema.columns import (
    BooleanColumn,
    CategoryColumn,
    IntegerColumn,
    ModelledColumn,
    NumberColumn,
    OrderedColumn,
)
from privsynth.schema.ticks import MISSING, text

LEAST: Final = 20
"""Of fewer records no share, mean or correlation is asked for."""


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(label: str) -> str:
    return "'" + label.replace("'", "''") + "'"


@final
class Asker:
    """Questions whose conditions end at values of random records, so that much of the table meets them."""

    def __init__(
        self,
        schema: Schema,
        values: Mapping[str, npt.NDArray[np.int64]],
        seed: int,
        weights: npt.NDArray[np.float64] | None = None,
    ) -> None:
        self._schema, self._values = schema, values
        self._rows = len(next(iter(values.values())))
        self._weights = np.ones(self._rows) if weights is None else weights
        self._rng = np.random.default_rng(seed)
        kinds = IntegerColumn | NumberColumn | BooleanColumn | CategoryColumn | OrderedColumn
        self._columns = [column for column in schema.modelled if isinstance(column, kinds)]
        self._numbers = [column for column in self._columns if isinstance(column, IntegerColumn | NumberColumn)]

    @classmethod
    def of_records(cls, records: Records, seed: int) -> Asker:
        """About the records of one table, each of which counts as one."""
        return cls(records.schema, offsets(records.schema, records.ticks), seed)

    def ask(self, kind: str, columns: int) -> tuple[Question, float] | None:
        """A question of this kind on so many columns, and the truth; None where too few records are asked about."""
        text = self._worded(kind, columns)
        question = parse(text, self._schema)
        truth = self._truth(question)
        return None if truth is None else (question, truth)

    def _worded(self, kind: str, columns: int) -> str:
        if kind == "count":
            return "count where " + " and ".join(map(self._condition, self._some(self._columns, columns)))
        if kind == "share":
            first, *rest = map(self._condition, self._some(self._columns, columns))
            return f"share where {first}" + (f" given {' and '.join(rest)}" if rest else "")
        targets = self._some(self._numbers, 1 if kind == "mean" else 2)
        others = [column for column in self._columns if column not in targets]
        rest = list(map(self._condition, self._some(others, columns - len(targets))))
        return f"{kind} {', '.join(_name(one.name) for one in targets)}" + (
            f" where {' and '.join(rest)}" if rest else ""
        )

    def _some(self, pool: list[ModelledColumn], count: int) -> list[ModelledColumn]:
        return [pool[place] for place in self._rng.choice(len(pool), count, replace=False)]

    def _condition(self, column: ModelledColumn) -> str:
        values, name = self._values[column.name], _name(column.name)
        present = values[values != MISSING]
        if isinstance(column, IntegerColumn | NumberColumn):
            low, high = (text(column, int(end)) for end in np.sort(self._rng.choice(present, 2)))
            return [f"{name} >= {low}", f"{name} <= {high}", f"{name} >= {low} and {name} <= {high}"][
                self._rng.integers(3)
            ]
        labels = column.labels
        drawn = {labels[int(one)] for one in self._rng.choice(present, int(self._rng.integers(1, 5)))}
        listed = [_text(label) for label in sorted(drawn)]
        return f"{name} == {listed[0]}" if len(listed) == 1 else f"{name} in [{', '.join(listed)}]"

    def _truth(self, question: Question) -> float | None:
        meets = self._meets(question.where)
        if question.kind == "count":
            return float(self._weights[meets].sum())
        if question.kind == "share":
            given = self._meets(question.given)
            return float(np.average(meets[given], weights=self._weights[given])) if given.sum() >= LEAST else None
        columns = [self._schema.modelled_column(name) for name in question.targets]
        for column in columns:
            meets = meets & (self._values[column.name] != MISSING)
        if meets.sum() < LEAST:
            return None
        values = [self._values[one.name][meets] * float(one.unit) for one in columns]  # type: ignore[union-attr]
        if question.kind == "mean":
            return float(np.average(values[0], weights=self._weights[meets]))
        return float(np.corrcoef(*values)[0, 1]) if min(one.std() for one in values) > 0 else None

    def _meets(self, regions: dict[str, Region]) -> npt.NDArray[np.bool_]:
        found = np.ones(self._rows, dtype=bool)
        for name, region in regions.items():
            found &= region.admits(self._values[name])
        return found
