"""Exact answers counted afresh from the records of a public table, to compare with those that went into the noise.

Must never be given private tables: it holds exact answers against each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from privsynth.conformance.events import payments
from privsynth.conformance.fits import Run
from privsynth.conformance.residuals import Int64s
from privsynth.dataset import Dataset
from privsynth.encoding import encode_public
from privsynth.fitting import completed, split
from privsynth.measurement import Entry, ErrorScores, Measurement, Purchase, Selection, Trained, Transcript
from privsynth.privacy.unit import PrivacyUnit
from privsynth.private import Private
from privsynth.records import Records
from privsynth.replay import Call
from privsynth.schema import Schema


def problems(run: Run, calls: Sequence[Call], table: Records, unit: PrivacyUnit) -> Iterator[str]:
    """Tables of a fit that are not those of its records.

    Args: `calls` are its questions about `table`: the recorded ones, or those of a replay on another table. The rows that
        each unit keeps are drawn again with the first of the fit's keys.
    """
    if len(run.noise.keys) < 2:
        return
    data = encoded(run, table, unit)
    for entry, payment in zip(_paid_one_by_one(run), payments(run.noise.calls, run.transcript).paid, strict=False):
        if not isinstance(entry, Measurement):
            continue
        counted = _counted(data, entry)
        if counted is None or not np.array_equal(counted, calls[payment.call].exact[payment.cells]):
            yield f'a table of stage "{entry.event.stage}" is not the one that its {table.rows:,} records make'


def unmoved(run: Run, others: Sequence[Sequence[Call]]) -> Iterator[str]:
    """Scores that are the same on all of some very different tables: they are of none of them, or of another fit's."""
    for entry, payment in zip(_paid_one_by_one(run), payments(run.noise.calls, run.transcript).paid, strict=False):
        exact = run.noise.calls[payment.call].exact
        stuck = all(np.array_equal(calls[payment.call].exact, exact) for calls in others)
        if isinstance(entry, ErrorScores | Selection) and stuck:
            yield f'the scores of stage "{entry.event.stage}" are the same for very different records'


def _paid_one_by_one(run: Run) -> list[Entry]:
    """The entries that a payment each stands for."""
    return [entry for entry in run.transcript if not isinstance(entry, Trained)]


def encoded(run: Run, table: Records, unit: PrivacyUnit) -> Dataset:
    """A table as a fit's curator holds it, if it follows the documented path: bounded with the fit's first key, encoded."""
    bound, hold_out = run.noise.keys[:2]
    bounded, _ = split(Private(table), unit, 0.0, bound_key=bound, holdout_key=hold_out)
    return encode_public(completed(bounded, _schema_with(table, run.transcript)).open())


def _schema_with(table: Records, transcript: Transcript) -> Schema:
    schema = table.schema
    for entry in transcript:
        if isinstance(entry, Purchase) and entry.fact != "rows":
            schema = schema.resolve(entry.column, entry.fact, entry.found)
    return schema


def _counted(data: Dataset, entry: Measurement) -> Int64s | None:
    """A table, flattened, counted row by row; None where it has other cells than its domain says."""
    groups = [np.array(entry.groups.get(name, range(data.domain.size(name)))) for name in entry.clique]
    if entry.values.shape != tuple(int(of.max()) + 1 for of in groups):
        return None
    place = np.zeros(data.rows, dtype=np.int64)
    for name, of, size in zip(entry.clique, groups, entry.values.shape, strict=True):
        place = place * size + of[data.column(name)]
    return np.bincount(place, weights=data.weights, minlength=entry.values.size).astype(np.int64)
