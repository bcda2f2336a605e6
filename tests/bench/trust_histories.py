"""Whether error bars of several tables hold: made-up databases, fitted anew with fresh noise, and random questions of each.

A table's own columns are asked about, alone or with one column more; the truth of a child table weighs every unit alike.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from privsynth.database.held import Database
from privsynth.encoding import offsets
from privsynth.histories import asking
from privsynth.histories.asking import Asked
from privsynth.histories.history_model import HistoryModel, fit_history
from privsynth.histories.kinship import rows_above
from privsynth.histories.layout import Attribute
from privsynth.privacy.noise import SystemNoise
from privsynth.private import Private
from tests import made_database
from tests.bench.asking import Asker
from tests.bench.made_visits import visits
from tests.bench.row import Row

ASKED: Final[tuple[tuple[str, Callable[[int, np.random.Generator], Database], int, str, int], ...]] = (
    ("clinic", made_database.clinic, 2000, "2", 10),
    ("visits", visits, 3000, "1", 10),
    ("visits", visits, 3000, "4", 6),
)
"""Databases, their units, epsilon, and how often they are made and fitted anew."""

KINDS: Final = ("count", "share", "mean")
QUESTIONS: Final = 8
"""Of each kind, table and number of columns (one or two) in a fit, each once."""

SETTINGS: Final = {"components": 100}
_TRIES: Final = 60


def rows() -> Iterator[Row]:
    """Coverage by database, table and kind; those of drugs at epsilon 1, which are known badly, have no target."""
    for name, make, units, epsilon, fits in ASKED:
        held: dict[tuple[str, str], list[bool]] = {}
        for number in range(fits):
            database = make(units, np.random.default_rng(number))
            model = fit_history(
                Private(database),
                epsilon=epsilon,
                delta="1e-6",
                noise=SystemNoise(),
                generator="latent_class",
                settings=SETTINGS,
            )
            for key, inside in _of_fit(database, model, number):
                held.setdefault(key, []).append(inside)
        for (table, kind), found in held.items():
            badly = (table, epsilon) == ("drugs", "1")
            yield Row(
                name=f"{units} of {name} at epsilon {epsilon}: {kind}s of {table}, in their intervals ({len(found)})",
                value=float(np.mean(found)),
                unit="share",
                target=None if badly else ">= 0.85",
            )


def _of_fit(database: Database, model: HistoryModel, seed: int) -> Iterator[tuple[tuple[str, str], bool]]:
    for table in model.distributions:
        asked = asking.asked_of(database.schema, table)
        unit = database.tables[table].unit
        weights = 1 / np.bincount(unit)[unit] if asked.weighed else None
        asker = Asker(asked.columns, _values(database, asked), seed, weights)
        own, seen = {one.name for one in asked.view.own}, set[str]()
        for kind in KINDS:
            if kind == "count" and asked.weighed:
                continue
            for place in range(_TRIES):
                one = asker.ask(kind, 1 + place % 2)
                if one is None or one[0].text in seen or not own & set(one[0].columns) or len(seen) >= 2 * QUESTIONS:
                    continue
                seen.add(one[0].text)
                said = model.answer(one[0].text, table)
                yield (table, kind), said.lower - 1e-9 <= one[1] <= said.upper + 1e-9
            seen.clear()


def _values(database: Database, asked: Asked) -> dict[str, npt.NDArray[np.int64]]:
    """The values of all columns that can be asked for, of every row."""
    found = {}
    for column in asked.columns.modelled:
        found[column.name] = _of(database, asked, asked.view.attribute(column.name))
    return found


def _of(database: Database, asked: Asked, one: Attribute) -> npt.NDArray[np.int64]:
    name = asked.terms.name
    if one.kind == "count":
        assert one.layout is not None
        parents = database.tables[one.of].parent
        counts = np.bincount(parents[parents >= 0], minlength=database.tables[name].count)
        return np.minimum(counts, one.layout.upper)
    records = database.tables[one.table].records
    assert records is not None
    values = offsets(records.schema, records.ticks)[one.of]
    return values if one.table == name else values[rows_above(database, name, one.table)]


if __name__ == "__main__":
    for row in rows():
        print(json.dumps(row.to_json()), flush=True)
