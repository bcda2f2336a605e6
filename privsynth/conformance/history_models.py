"""What fitted models of several tables give out: numbers of units, arrays, and databases drawn from them.

Must never be run on private tables: it holds fits with the same answers against each other.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import TypeAlias, final

import numpy as np

from privsynth.conformance.history_runs import plan_of
from privsynth.database.document import DatabaseSchema
from privsynth.database.held import Database
from privsynth.errors import PrivsynthError
from privsynth.generator import AbstractGenerator
from privsynth.histories import measuring
from privsynth.histories.history_model import HistoryModel
from privsynth.privacy.guarantee import Budget, Guarantee
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.privacy.unit import NeighboringRelation
from privsynth.private import Private
from privsynth.replay import DivergedError, RecordingNoise, ReplayingNoise

Given: TypeAlias = Mapping[str, bytes]
"""All that a model gives out, by what it is called."""

_UNITS, _RECORDS = 5, 1000
"""Units drawn with all their rows, and records drawn of each table by itself: one in a hundred from the data is among them."""


@final
class Drawing:
    """The path of every fit, on to the models of all tables and to a database drawn from them."""

    def __init__(
        self, schema: DatabaseSchema, generator: AbstractGenerator, budget: Budget, relation: NeighboringRelation
    ) -> None:
        self._schema, self._generator, self._budget, self._relation = schema, generator, budget, relation

    def problems(
        self, database: Database, others: Mapping[str, Database], noise: AbstractNoiseSource, seed: int
    ) -> Iterator[str]:
        """What models give out otherwise, although every answer and the random numbers were the same.

        Args: `others` are any databases of the schema, by what they are: given its answers, a model is a function of none.
        """
        recording = RecordingNoise(noise)
        try:
            first = self._given(database, recording, seed)
        except PrivsynthError as error:
            yield f"no model could be fitted: {error}"
            return
        for what, other in others.items():
            try:
                second = self._given(other, ReplayingNoise(recording), seed)
            except DivergedError as difference:
                yield f"{what}: {difference}"
            except PrivsynthError as error:
                yield f"{what}: no model could be fitted: {error}"
            else:
                for name in first:
                    if first[name] != second.get(name):
                        yield f"{what}: with the same answers and random numbers, {name} differ"

    def _given(self, database: Database, noise: AbstractNoiseSource, seed: int) -> Given:
        generator = copy.deepcopy(self._generator)
        plan = plan_of(self._schema, generator, self._budget, self._relation)
        measured = measuring.measure(Private(database), plan, noise, bound_key=noise.key())
        distributions = measuring.fit_distributions(self._schema, generator, measured.transcripts)
        model = HistoryModel(
            schema=self._schema,
            distributions=distributions,
            transcripts=measured.transcripts,
            guarantee=Guarantee.for_budget(self._budget, plan.unit, measured.transcript),
            generator=generator.name,
            settings={},
            used=measured.used,
        )
        found = {"the rows of a unit that are used": repr(measured.used).encode()}
        for table, distribution in distributions.items():
            found[f'the number of records of table "{table}"'] = repr(distribution.total).encode()
            records = distribution.draw(_RECORDS, np.random.default_rng(seed)).columns
            found[f'records drawn of the view of table "{table}"'] = b"".join(column.tobytes() for column in records)
            for name, array in distribution.arrays().items():
                found[f'the array "{name}" of table "{table}"'] = repr(array.shape).encode() + array.tobytes()
        return {**found, **_drawn(model, seed)}


def _drawn(model: HistoryModel, seed: int) -> Given:
    """A database drawn from a model, table by table; or why there is none, which may not depend on records either."""
    try:
        sample = model.draw(_UNITS, rng=np.random.default_rng(seed))
    except PrivsynthError as error:
        return {"the reasons why nothing is drawn": str(error).encode()}
    tables = {
        f'rows drawn of table "{name}"': repr(table.to_pydict()).encode() for name, table in sample.tables.items()
    }
    return {"the number of units": repr(model.units).encode(), **tables}
