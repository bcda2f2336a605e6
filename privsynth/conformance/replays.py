"""Fits on public tables, recorded and replayed on others: what must be the same, and what may move by so much.

Must never be run on private tables: it compares exact answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import final

import numpy as np

from privsynth import progress
from privsynth.conformance import recount, steps
from privsynth.conformance.events import payments
from privsynth.conformance.fits import Fit, Run, recorded, replayed
from privsynth.conformance.tables import Laboratory, Neighbours
from privsynth.conformance.watching import Trained
from privsynth.measurement import Trained as TrainedEntry
from privsynth.privacy.accounting import Composition
from privsynth.privacy.sampled_gaussian import SampledGaussian
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.privacy.unit import PrivacyUnit
from privsynth.records import Records
from privsynth.replay import Call, DivergedError


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The recorded fits of each kind, and what is wrong about any of them; `plan` is for gradient steps, if they take any."""

    unit: PrivacyUnit
    plan: SampledGaussian | None = None
    runs: dict[str, list[Run]] = field(default_factory=dict)
    diverged: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    miscounted: list[str] = field(default_factory=list)
    unpaid: list[str] = field(default_factory=list)
    drawn: list[str] = field(default_factory=list)
    sampled: list[str] = field(default_factory=list)
    alone: list[str] = field(default_factory=list)


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
    seen.moved.extend(moved(pair, units, run, run.noise.calls, calls, seen.unit))
    return run, calls


def moved(
    pair: Neighbours, units: int, run: Run, one: Sequence[Call], other: Sequence[Call], unit: PrivacyUnit
) -> list[str]:
    """Answers that moved by more than was declared for them, for tables that differ in `units` units."""
    found = list(steps.moved(pair, run, one, other, unit))
    for payment in payments(run.noise.calls, run.transcript).paid:
        before, after = (calls[payment.call].exact[payment.cells] for calls in (one, other))
        difference = (after - before).astype(object)
        reach = max(difference**2, default=0) if payment.kind == "exponential" else int((difference**2).sum())
        if reach > units**2 * payment.event.sensitivity_squared:
            found.append(f'{pair.what}: an answer of stage "{payment.event.stage}" moved too far')
    return found


def on_steps(
    trained: Trained,
    laboratory: Laboratory,
    table: Records,
    noise: AbstractNoiseSource,
    rng: np.random.Generator,
    seen: Seen,
) -> None:
    """Look into gradient steps: on a table with canaries of extreme gradients, and on one of many records."""
    found = {
        "diverged": seen.diverged,
        "moved": seen.moved,
        "sampled": seen.sampled,
        "recounted": seen.miscounted,
        "alone": seen.alone,
    }
    try:
        for kind, problem in (
            *steps.extremes(trained, laboratory, table, noise),
            *steps.many_rows(trained, laboratory, noise, rng),
        ):
            found[kind].append(problem)
    except DivergedError as difference:
        seen.diverged.append(str(difference))


def settle(seen: Seen, label: str, rho: Fraction, composition: Composition) -> None:
    """Go through the ledgers of the fits of one kind."""
    for run in seen.runs.get(label, ()):
        seen.unpaid.extend(payments(run.noise.calls, run.transcript).problems)
        if spent(run) > rho:
            seen.unpaid.append("the events add up to more than the budget")
        priced = [entry.event for entry in run.transcript if not isinstance(entry, TrainedEntry)]
        if composition in {"gdp", "pld"} and any(event.mechanism != "rounded-gaussian" for event in priced):
            seen.unpaid.append("an answer is accounted as Gaussian and is not")
        seen.unpaid.extend(_not_planned(run, seen.plan))


def _not_planned(run: Run, training: SampledGaussian | None) -> Iterator[str]:
    """How a fit's training differs from the plan that its budget is for."""
    events = [entry.event for entry in run.transcript if isinstance(entry, TrainedEntry)]
    if sum(event.steps or 0 for event in events) > (0 if training is None else training.steps):
        yield "more gradient steps were taken than the budget is for"
    for event in events:
        if training and (event.sampling_rate, event.noise_multiplier) != (
            training.sampling_rate,
            training.noise_multiplier,
        ):
            yield "gradient steps were taken with another sampling rate or noise multiplier than the budget is for"


def spent(run: Run) -> Fraction:
    """What a fit's events add up to."""
    return sum((entry.event.rho for entry in run.transcript), Fraction(0))
