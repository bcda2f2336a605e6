"""Fits on public tables, recorded and replayed on others: what must be the same, and what may move by so much.

Must never be run on private tables: it compares exact answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import final

import numpy as np

from privsynth import progress
from privsynth.conformance import recount
from privsynth.conformance.events import payments
from privsynth.conformance.fits import Draw, Fit, Run, recorded, replayed, require_same_records
from privsynth.conformance.tables import Laboratory, Neighbours
from privsynth.privacy.accounting import Composition
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.privacy.unit import PrivacyUnit
from privsynth.records import Records
from privsynth.replay import Call, DivergedError

ELSEWHERE = ", on a wide column"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The recorded fits of one kind, and what is wrong about any of them."""

    unit: PrivacyUnit
    runs: dict[str, list[Run]] = field(default_factory=dict)
    diverged: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    miscounted: list[str] = field(default_factory=list)
    unpaid: list[str] = field(default_factory=list)
    drawn: list[str] = field(default_factory=list)


def on_pairs(fit: Fit, pairs: Sequence[Neighbours], noise: AbstractNoiseSource, label: str, seen: Seen) -> None:
    """Run a fit on one table of each pair, and again with the same answers on the other."""
    for step, pair in enumerate(pairs):
        progress.report("conformance: neighbours", step, len(pairs))
        on_pair(fit, pair, 1, noise, label, seen)


def on_pair(
    fit: Fit, pair: Neighbours, units: int, noise: AbstractNoiseSource, label: str, seen: Seen, run: Run | None = None
) -> tuple[Run, list[Call]] | None:
    """One pair; None where the two fits went different ways."""
    try:
        if run is None:
            run = recorded(fit, pair.table, noise)
            seen.runs.setdefault(label, []).append(run)
            seen.miscounted.extend(recount.problems(run, run.noise.calls, pair.table, seen.unit))
        calls = replayed(fit, pair.other, run)
    except DivergedError as difference:
        seen.diverged.append(f"{pair.what}: {difference}")
        return None
    seen.miscounted.extend(recount.problems(run, calls, pair.other, seen.unit))
    seen.moved.extend(_moved(pair, units, run, run.noise.calls, calls))
    return run, calls


def _moved(pair: Neighbours, units: int, run: Run, one: Sequence[Call], other: Sequence[Call]) -> list[str]:
    """Answers that moved by more than was declared for them, for tables that differ in `units` units."""
    found = []
    for payment in payments(run.noise.calls, run.transcript).paid:
        before, after = (calls[payment.call].exact[payment.cells] for calls in (one, other))
        difference = (after - before).astype(object)
        reach = max(difference**2, default=0) if payment.kind == "exponential" else int((difference**2).sum())
        if reach > units**2 * payment.event.sensitivity_squared:
            found.append(f'{pair.what}: an answer of stage "{payment.event.stage}" moved too far')
    return found


def elsewhere(
    fit: Fit,
    run: Run | None,
    laboratory: Laboratory,
    rows: int,
    noise: AbstractNoiseSource,
    rng: np.random.Generator,
    seen: Seen,
) -> None:
    """What only other tables show: of very many records, of none, and of a wide column, whose levels may be merged.

    Given its answers a fit is the same on any table with its schema, however far apart the two are.
    Args: `run` is a fit on a small table of the laboratory; None where there is none.
    """
    if run is not None:
        _on_crowds(fit, run, laboratory, seen)
    wide = laboratory.wide()
    pair, empty = next(iter(wide.neighbours(wide.table(rows, rng)))), wide.table(0, rng)
    if _refused(fit, (pair.table, empty), noise):
        return
    told = on_pair(fit, pair, 1, noise, ELSEWHERE, seen)
    if told is not None:
        _on_others(fit, told[0], [empty], seen)


def _on_crowds(fit: Fit, run: Run, laboratory: Laboratory, seen: Seen) -> None:
    crowds = laboratory.crowds()
    answered = _on_others(fit, run, [crowds.table, crowds.other], seen)
    if answered is not None:
        seen.moved.extend(_moved(crowds, 1, run, *answered))
        seen.miscounted.extend(recount.unmoved(run, answered))


def _on_others(fit: Fit, run: Run, tables: Sequence[Records], seen: Seen) -> list[list[Call]] | None:
    """Replay a fit on tables that need not be neighbours; None where it went another way."""
    try:
        answered = [replayed(fit, table, run) for table in tables]
    except DivergedError as difference:
        seen.diverged.append(f"a table of many records, or of none: {difference}")
        return None
    for table, calls in zip(tables, answered, strict=True):
        seen.miscounted.extend(recount.problems(run, calls, table, seen.unit))
    return answered


def _refused(fit: Fit, tables: Sequence[Records], noise: AbstractNoiseSource) -> bool:
    """Whether a fit refuses all tables of this form, whatever they hold: then there is nothing to learn from its refusal."""
    for table in tables:
        try:
            recorded(fit, table, noise)
        except DivergedError:
            continue
        return False
    return True


def settle(seen: Seen, label: str, rho: Fraction, composition: Composition) -> None:
    """Go through the ledgers of the fits of one kind."""
    for run in seen.runs.get(label, ()):
        seen.unpaid.extend(payments(run.noise.calls, run.transcript).problems)
        if spent(run) > rho:
            seen.unpaid.append("the events add up to more than the budget")
        if composition == "gdp" and any(entry.event.mechanism != "rounded-gaussian" for entry in run.transcript):
            seen.unpaid.append("an answer is accounted as Gaussian and is not")


def spent(run: Run) -> Fraction:
    """What a fit's events add up to."""
    return sum((entry.event.rho for entry in run.transcript), Fraction(0))


def compare_records(
    draw: Draw, pairs: Sequence[Neighbours], noise: AbstractNoiseSource, rng: np.random.Generator, seen: Seen
) -> None:
    """Draw records from the models of two pairs of tables, each with the same answers and the same random numbers."""
    for pair in pairs[:2]:
        try:
            require_same_records(draw, pair.table, pair.other, noise, int(rng.integers(1 << 32)))
        except DivergedError as difference:
            seen.drawn.append(f"{pair.what}: {difference}")
