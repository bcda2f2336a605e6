"""Lights of several tables: what to trust of each table's own columns, by the rules that a single table is judged by.

Must never let a table's light rest on another table's noise, nor call rows what counts whole units.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, cast

import numpy as np
import numpy.typing as npt

from privsynth.dataset import Dataset
from privsynth.domain import Domain
from privsynth.histories.asking import Asked, asked_of
from privsynth.histories.bounding import weight_scale
from privsynth.measurement import Entry, ErrorScores
from privsynth.report.claims import Claims
from privsynth.report.database_numbers import DatabaseFacts, ViewNumbers
from privsynth.report.numbers import pair_matrix
from privsynth.report.sections import Facts, Section
from privsynth.report.trust import FROM_COPIES, IN_MAP, IN_PICTURES, IN_RARE, trust
from privsynth.schema.columns import ModelledColumn

_ADVICE: Final = {
    IN_PICTURES: "section 7 draws one for each value",
    IN_MAP: "",
    IN_RARE: "",
    FROM_COPIES: "for shares and correlations alone (privsynth answer), ",
}


def lights(facts: DatabaseFacts) -> Section:
    """The lights of every table, and the rules behind, each once."""
    tables: list[Section] = []
    rules: dict[str, str] = {}
    legend: object = ()
    for name, numbers in facts.views.items():
        asked = asked_of(facts.schema, name)
        own = {one.name for one in numbers.view.own}
        shown = tuple(column for column in asked.columns.modelled if column.name in own)
        if not shown:
            continue
        told = trust(_facts_of(facts.claims, numbers, asked, shown))
        lines = [_advised(line) for line in cast("list[Section]", told["lines"])]
        rules |= {str(line["what"]): str(line["rule"]) for line in lines}
        legend = told["legend"]
        tables.append({"name": name, "note": _note(facts, asked), "lines": lines})
    return {"tables": tables, "rules": list(rules.items()), "legend": legend}


def _advised(line: Section) -> Section:
    """A line whose advice points at nothing that this page does not have."""
    advice = str(line["advice"])
    for there, here in _ADVICE.items():
        advice = advice.replace(there, here)
    return {**line, "advice": advice.strip()}


def _note(facts: DatabaseFacts, asked: Asked) -> str:
    """What is counted."""
    if not asked.weighed:
        return ""
    return (
        f"Every {facts.unit} with rows in {asked.terms.name} counts once here, however many these are, and shares, "
        f"means and numbers of {asked.root} are meant so."
    )


def _facts_of(claims: Claims, numbers: ViewNumbers, asked: Asked, shown: tuple[ModelledColumn, ...]) -> Facts:
    """One table as the sections of a single table see it: its own columns and its numbers of child rows."""
    names = [column.name for column in shown]
    known = {column.name: column for column in numbers.columns}
    released = _of_columns(numbers.released, names)
    scale = weight_scale(numbers.table)
    return Facts(
        claims=claims,
        schema=asked.columns.model_copy(update={"columns": shown}),
        released=released,
        bought=numbers.bought,
        columns=[known[name] for name in names],
        tables=[],
        pairs=pair_matrix(numbers.bought, released, numbers.predicted),
        broken={},
        broken_rows=0,
        purchases=(),
        transcript=tuple(
            _scored(entry, set(names), scale) for entry in numbers.transcript if isinstance(entry, ErrorScores)
        ),
        counted=asked.counted,
    )


def _of_columns(released: Dataset, names: list[str]) -> Dataset:
    """The same rows with some of their columns."""
    return Dataset(
        columns=tuple(released.column(name) for name in names),
        domain=Domain(tuple(names), tuple(map(released.domain.size, names))),
        units=released.units,
        weights=released.weights,
    )


def _scored(entry: ErrorScores, names: set[str], scale: int) -> Entry:
    """The scores of the table's own columns, in units where a unit's rows count as one together."""
    kept = [place for place, clique in enumerate(entry.cliques) if set(clique) <= names]
    assert entry.event.sigma_squared is not None
    return replace(
        entry,
        cliques=tuple(entry.cliques[place] for place in kept),
        values=cast("npt.NDArray[np.int64]", entry.values[kept] / scale),
        event=replace(entry.event, sigma_squared=entry.event.sigma_squared / scale**2),
    )
