"""Fits on made-up databases, recorded and replayed on neighbours at the unit: what must be the same, and what may move.

Must never be run on private tables: it compares exact answers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TypeAlias, final

import numpy as np

from privsynth.conformance import replays
from privsynth.conformance.events import payments
from privsynth.conformance.fits import Run
from privsynth.conformance.history_records import weight_of
from privsynth.database.document import DatabaseSchema
from privsynth.database.held import Database
from privsynth.errors import PrivsynthError
from privsynth.generator import AbstractGenerator
from privsynth.histories import measuring
from privsynth.histories.layout import View, views
from privsynth.histories.measuring import HistoryPlan, Measured
from privsynth.measurement import Entry, Measurement, Purchase, Transcript
from privsynth.privacy.accounting import Composition
from privsynth.privacy.guarantee import Budget
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.privacy.unit import NeighboringRelation
from privsynth.private import Private
from privsynth.replay import Call, DivergedError, RecordingNoise, ReplayingNoise

HistoryFit: TypeAlias = Callable[[Private[Database], AbstractNoiseSource], Measured]
"""From a database and a noise source to a transcript of each table: all that a fit does before the estimation."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pair:
    """Two databases that differ in so many units, and in what way."""

    what: str
    one: Database
    other: Database
    units: int = 1


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is wrong about any of the fits that were recorded and replayed."""

    schema: DatabaseSchema
    relation: NeighboringRelation
    fits: list[tuple[Run, Measured]] = field(default_factory=list)
    diverged: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    unpaid: list[str] = field(default_factory=list)
    drawn: list[str] = field(default_factory=list)

    @property
    def runs(self) -> list[Run]:
        """The recorded fits."""
        return [run for run, _ in self.fits]

    @property
    def problems(self) -> list[str]:
        """All that is wrong so far."""
        return [*self.diverged, *self.moved, *self.unpaid, *self.drawn]

    def on_pair(
        self, fit: HistoryFit, pair: Pair, noise: AbstractNoiseSource, known: Run | None = None
    ) -> tuple[Run, list[Call]] | None:
        """Fit on the one database, and again with the same answers on the other; None where they went different ways.

        Args: `known` is the recorded fit on the one database, where there is one.
        """
        try:
            if known is None:
                self.fits.append(recorded(fit, pair.one, noise))
            run, measured = next(one for one in reversed(self.fits) if known is None or one[0] is known)
            calls = replayed(fit, pair.other, run)
        except DivergedError as difference:
            self.diverged.append(f"{pair.what}: {difference}")
            return None
        self.moved.extend(self._moved(pair, run, measured, calls))
        return run, calls

    def settle(self, budget: Fraction, composition: Composition) -> None:
        """Go through the ledgers of all fits."""
        for run, measured in self.fits:
            self.unpaid.extend(payments(run.noise.calls, run.transcript).problems)
            if replays.spent(run) > budget:
                self.unpaid.append("the events of all tables add up to more than the budget")
            gaussian = all(entry.event.mechanism == "rounded-gaussian" for entry in run.transcript)
            if composition == "gdp" and not gaussian:
                self.unpaid.append("an answer is accounted as Gaussian and is not")
            self.unpaid.extend(_missing(views(self.schema), measured.transcripts))

    def _moved(self, pair: Pair, run: Run, measured: Measured, others: Sequence[Call]) -> Iterator[str]:
        """Answers that moved by more than the unit's weight in their table, or than their event says."""
        paid = payments(run.noise.calls, run.transcript).paid
        for (table, entry), payment in zip(by_table(measured), paid, strict=False):
            before, after = (calls[payment.call].exact[payment.cells] for calls in (run.noise.calls, others))
            change = (after - before).astype(object)
            where = f'{pair.what}: an answer of stage "{payment.event.stage}"'
            reach = max(change**2, default=0) if payment.kind == "exponential" else int((change**2).sum())
            if reach > pair.units**2 * payment.event.sensitivity_squared:
                yield f"{where} moved too far"
            if isinstance(entry, Measurement):
                weight = weight_of(self.schema.table(table), measured.used)
                sides = 1 if self.relation is NeighboringRelation.ADD_REMOVE else 2
                if int(np.abs(change).sum()) > pair.units * weight * sides:
                    yield f"{where} moved by more than the weight of a unit"
                if payment.event.sensitivity_squared < weight**2 * sides:
                    yield f"{where} has noise for less than the weight of a unit"


def plan_of(
    schema: DatabaseSchema, generator: AbstractGenerator, budget: Budget, relation: NeighboringRelation
) -> HistoryPlan:
    """The plan of a fit."""
    return HistoryPlan(schema=schema, generator=generator, budget=budget, unit_name="unit", relation=relation)


def fit_of(
    schema: DatabaseSchema, generator: AbstractGenerator, budget: Budget, relation: NeighboringRelation
) -> HistoryFit:
    """The path of every fit, from a database on; each fit has a copy of the generator of its own."""

    def fit(database: Private[Database], noise: AbstractNoiseSource) -> Measured:
        plan = plan_of(schema, copy.deepcopy(generator), budget, relation)
        return measuring.measure(database, plan, noise, bound_key=noise.key())

    return fit


def recorded(fit: HistoryFit, database: Database, noise: AbstractNoiseSource) -> tuple[Run, Measured]:
    """Fit on a made-up database and keep every question. Raises: DivergedError when the fit cannot be carried out."""
    recording = RecordingNoise(noise)
    try:
        measured = fit(Private(database), recording)
    except PrivsynthError as error:
        raise DivergedError(f"the fit broke off on a database of {database.units} units: {error}") from None
    return Run(transcript=labelled(measured), noise=recording), measured


def replayed(fit: HistoryFit, database: Database, run: Run) -> list[Call]:
    """Fit on a neighbour with the same answers; what was asked. Raises: DivergedError when anything else differs."""
    replaying = ReplayingNoise(run.noise)
    try:
        measured = fit(Private(database), replaying)
    except DivergedError:
        raise
    except PrivsynthError as error:
        raise DivergedError(f"the fit broke off on one of two neighbouring databases only: {error}") from None
    replaying.require_all_used()
    if [entry.to_json() for entry in labelled(measured)] != [entry.to_json() for entry in run.transcript]:
        raise DivergedError("the transcripts of neighbouring databases differ although every answer was the same")
    return replaying.calls


def labelled(measured: Measured) -> Transcript:
    """All entries in the order of their draws, bought bounds before all tables; their stages named after their table."""
    return tuple(entry for _, entry in by_table(measured))


def by_table(measured: Measured) -> list[tuple[str, Entry]]:
    """The same, each with its table."""
    named = [
        (table, replace(entry, event=replace(entry.event, stage=f"{table}: {entry.event.stage}")))
        for table, transcript in measured.transcripts.items()
        for entry in transcript
    ]
    return sorted(named, key=lambda one: not isinstance(one[1], Purchase))


def _missing(wanted: Mapping[str, View], transcripts: Mapping[str, Transcript]) -> Iterator[str]:
    """Tables whose accounts are not those of their view."""
    for name, view in wanted.items():
        attributes = {one.name for one in view.attributes}
        tables = [entry for entry in transcripts.get(name, ()) if isinstance(entry, Measurement)]
        if not any(attributes.intersection(entry.clique) for entry in tables):
            yield f'table "{name}" is measured, or left out, without an event in the ledger'
    for name in transcripts:
        if name not in wanted:
            yield f'there are events of a table "{name}", which has nothing to measure'
