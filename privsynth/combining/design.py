"""Design: which columns a regression needs, and a table as the numbers that it takes.

Must never let a table decide what its terms are: they follow from the schema and from what was asked.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, final

import numpy as np
import numpy.typing as npt

from privsynth.errors import FitError, InputError, SchemaError
from privsynth.records import Records
from privsynth.schema import Schema
from privsynth.schema.columns import LabelledColumn, ModelledColumn, NumericColumn
from privsynth.schema.ticks import MISSING, tick_all
from privsynth.schema.use import Use

Floats = npt.NDArray[np.float64]
Kind = Literal["logistic", "linear"]

INTERCEPT = "intercept"

RARE_ROWS: Final = 30
"""Of fewer people nothing is told."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One coefficient: of a number, per unit of its column (days or seconds for times); or of a label, against the reference.

    `column` is empty for the intercept; `tick` is the label's, None for a number.
    """

    name: str
    column: str
    tick: int | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """A table as a regression takes it.

    Shapes: `x` is (rows, terms), the intercept first, and `y` (rows,): zero in a row that is not `complete` (rows,).
    """

    x: Floats
    y: Floats
    complete: npt.NDArray[np.bool_]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What is regressed on what.

    `references` holds the label that each labelled input's others are compared with; rows with one of `skipped`, a column and a
    label's tick, are left out like rows where a value is missing.
    """

    schema: Schema
    kind: Kind
    target: str
    outcome: tuple[str, ...]
    inputs: tuple[str, ...]
    references: Mapping[str, str]
    terms: tuple[Term, ...]
    skipped: frozenset[tuple[str, int]] = frozenset()

    @classmethod
    def of(
        cls,
        schema: Schema,
        target: str,
        inputs: Sequence[str],
        outcome: Sequence[str] = (),
        references: Mapping[str, str] | None = None,
    ) -> Design:
        """The regression of a column on others: logistic for a column of labels, linear for a number.

        Args: `outcome` holds the target's labels that count as 1; of a column of two labels, the last one by default.
        Raises: InputError or SchemaError naming the column, and what to do.
        """
        outcome = (outcome,) if isinstance(outcome, str) else tuple(outcome)
        if isinstance(inputs, str) or not inputs:
            raise InputError('inputs is a list of one column or more, such as ["age", "sex"]')
        problem = Use(target=target, outcome=outcome).problem({one.name: one for one in schema.modelled})
        if problem is not None:
            raise SchemaError(f"what is regressed: {problem}")
        names = {column.name for column in schema.modelled}
        for name in inputs:
            if name not in names:
                raise SchemaError(f'inputs: "{name}" is no modelled column of the schema; correct the name')
        if len(set(inputs)) != len(inputs) or target in inputs:
            raise InputError("inputs names a column twice, or the target itself; name each once")
        chosen = _references(schema, inputs, references or {})
        kind, labels = _kind(schema.modelled_column(target), outcome)
        terms = [Term(name=INTERCEPT, column="")]
        for name in inputs:
            terms += _terms(schema.modelled_column(name), chosen.get(name))
        return cls(
            schema=schema,
            kind=kind,
            target=target,
            outcome=labels,
            inputs=tuple(inputs),
            references=chosen,
            terms=tuple(terms),
        )

    def rows(self, records: Records) -> Rows:
        """A table's rows; a row where a column that is needed is missing is not complete."""
        ticks = {name: records.ticks[name] for name in (self.target, *self.inputs)}
        complete = np.logical_and.reduce([each != MISSING for each in ticks.values()])
        for column, tick in self.skipped:
            complete &= ticks[column] != tick
        x = np.zeros((complete.size, len(self.terms)))
        for place, term in enumerate(self.terms):
            if not term.column:
                x[:, place] = complete
            elif term.tick is not None:
                x[:, place] = complete & (ticks[term.column] == term.tick)
            else:
                x[:, place] = np.where(complete, ticks[term.column], 0) * _unit(self.schema, term.column)
        own = ticks[self.target]
        if self.kind == "logistic":
            wanted = tick_all(self.schema.modelled_column(self.target), self.outcome)
            y = (complete & np.isin(own, wanted)).astype(np.float64)
        else:
            y = np.where(complete, own, 0) * _unit(self.schema, self.target)
        return Rows(x=x, y=y, complete=complete)

    def skipping(self, terms: Collection[Term]) -> Design:
        """The same without the rows of some labels, and without their terms."""
        gone = frozenset((term.column, term.tick) for term in terms if term.tick is not None)
        kept = tuple(term for term in self.terms if term not in terms)
        return replace(self, terms=kept, skipped=self.skipped | gone)

    def places(self, column: str) -> npt.NDArray[np.int64]:
        """Which terms are a column's. Shapes: (terms of the column,)."""
        return np.array([place for place, term in enumerate(self.terms) if term.column == column], dtype=np.int64)


def _references(schema: Schema, inputs: Sequence[str], asked: Mapping[str, str]) -> dict[str, str]:
    """The label that the others of each labelled input are compared with: the first declared one, or what was asked."""
    found: dict[str, str] = {}
    for name in inputs:
        column = schema.modelled_column(name)
        if isinstance(column, LabelledColumn):
            found[name] = asked.get(name, column.labels[0])
            if found[name] not in column.labels:
                raise InputError(f'references: "{found[name]}" is no label of "{name}"; correct the label')
    stray = [name for name in asked if name not in found]
    if stray:
        raise InputError(f'references: "{stray[0]}" is no input with labels; leave it out')
    return found


def _terms(column: ModelledColumn, reference: str | None) -> list[Term]:
    if not isinstance(column, LabelledColumn):
        return [Term(name=column.name, column=column.name)]
    ticks = tick_all(column, column.labels)
    return [
        Term(name=f"{column.name}: {label}", column=column.name, tick=int(tick))
        for label, tick in zip(column.labels, ticks, strict=True)
        if label != reference
    ]


def _kind(column: ModelledColumn, outcome: tuple[str, ...]) -> tuple[Kind, tuple[str, ...]]:
    if isinstance(column, NumericColumn):
        return "linear", ()
    if not isinstance(column, LabelledColumn):
        raise InputError(f'"{column.name}" is a time; the target of a regression has labels or is a number')
    if not outcome and len(column.labels) != 2:
        raise InputError(
            f'"{column.name}" has {len(column.labels)} labels; say which of them count as the outcome: outcome=("...",)'
        )
    return "logistic", outcome or column.labels[-1:]


def _unit(schema: Schema, name: str) -> float:
    column = schema.modelled_column(name)
    return float(column.unit) if isinstance(column, NumericColumn) else 1.0


def require_known(design: Design, records: Records, people: float) -> None:
    """Raises: FitError naming a column that is missing for all people, or for all but a few."""
    for name in (design.target, *design.inputs):
        if float((records.ticks[name] != MISSING).mean()) * people < RARE_ROWS:
            raise FitError(f'"{name}" is missing in every made row, or nearly so; leave it out')


def require_varied(design: Design, rows: Rows) -> None:
    """Raises: FitError naming what is the same in every made row."""
    inner, y = rows.x[rows.complete], rows.y[rows.complete]
    if len(y) <= len(design.terms) or np.ptp(y) == 0:
        raise FitError(
            f'"{design.target}" is the same in every made row where nothing is missing, so that there is nothing to explain; '
            "name another outcome, or fewer inputs"
        )
    for place, term in enumerate(design.terms):
        if term.column and np.ptp(inner[:, place]) == 0:
            raise FitError(f'"{term.name}" is the same in every made row; leave it out')
