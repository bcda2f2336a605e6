"""Conformance: does a generator, run on tables that anyone may see, keep what it claims?

Must never be run on private tables: it compares noisy answers with exact ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias, final

import numpy as np

from privsynth import conformance_noise, progress
from privsynth.audit_plan import ConformanceTerms
from privsynth.conformance_events import Payment, payments
from privsynth.conformance_tables import Laboratory, Neighbours
from privsynth.errors import PrivsynthError
from privsynth.findings import Finding
from privsynth.fitting import FitPlan, measure, split
from privsynth.generator import AbstractGenerator
from privsynth.measurement import Transcript
from privsynth.privacy.accounting import Composition
from privsynth.privacy.guarantee import Budget
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.privacy.unit import PrivacyUnit
from privsynth.private import Private
from privsynth.records import Records
from privsynth.replay import Call, DivergedError, RecordingNoise, ReplayingNoise

Fit: TypeAlias = Callable[[Private[Records], AbstractNoiseSource], Transcript]
"""From records and a noise source to a transcript: all that a fit does before the estimation."""

_MOST_RUNS = 5000
_ANY = Fraction(1, 2)


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """One recorded fit."""

    noise: RecordingNoise
    transcript: Transcript


def fit_of(generator: AbstractGenerator, unit: PrivacyUnit, rho: Fraction) -> Fit:
    """The path of every fit, from records on: bound contributions, encode, let the generator measure."""
    budget = Budget(
        epsilon=_ANY,
        delta=_ANY,
        rho=rho,
        purchase_rho=Fraction(0),
        purchase_delta=Fraction(0),
        composition=generator.composition,
    )
    plan = FitPlan(generator=generator, unit=unit, budget=budget)

    def fit(records: Private[Records], noise: AbstractNoiseSource) -> Transcript:
        bounded, _ = split(records, unit, 0.0, bound_key=noise.key(), holdout_key=noise.key())
        return measure(bounded, plan, noise)[1]

    return fit


def check(
    terms: ConformanceTerms,
    fit: Fit,
    laboratory: Laboratory,
    *,
    rho: Fraction,
    noise: AbstractNoiseSource,
    rng: np.random.Generator,
    composition: Composition = "zcdp",
    ample: tuple[Fit, Fraction] | None = None,
) -> tuple[Finding, ...]:
    """Run a fit on random public tables and their neighbours, and check invariance, sensitivity, accounts and noise.

    Args: `composition` is how its answers are said to add up: with "gdp", each of them must be Gaussian. `ample` is the same
        fit with a larger budget, and that budget: on a few hundred rows a generator asks with it what it asks of a large table
        with its own; neighbours are run with both.
    Returns: rows "replay: invariance", "replay: sensitivity", "ledger", and those of `conformance_noise`. A correct fit never
        fails one of the first three, and fails one of the others with probability at most `terms.alpha` in all.
    """
    table = laboratory.table(terms.rows, rng)
    empty = laboratory.table(0, rng)
    diverged: list[str] = []
    moved: list[str] = []
    pairs = [*laboratory.neighbours(table), *laboratory.neighbours(empty)]
    runs: list[Run] = []
    unpaid: list[str] = []
    for each, budget in [*([ample] if ample else []), (fit, rho)]:
        of_this = list(_replays(each, pairs, noise, diverged, moved))
        if each is fit and of_this:
            of_this += _more(terms, fit, table, noise, len(of_this), sum(map(_answers, of_this)))
        unpaid += _unpaid(of_this, budget, composition)
        runs += of_this
    return (
        _row(
            "replay: invariance",
            "that something outside the mechanisms depends on the data",
            diverged,
            "With all answers the same, nothing else changed between neighbouring tables.",
        ),
        _row(
            "replay: sensitivity",
            "that one unit of privacy moves an answer by more than its noise is made for",
            moved,
            "No answer moved by more than its declared sensitivity between neighbouring tables.",
        ),
        _row(
            "ledger",
            "that something is learned and not paid for",
            list(dict.fromkeys(unpaid)),
            "Every use of noise is paid for.",
        ),
        *conformance_noise.rows(terms, [run.noise.calls for run in runs], noise, rng=rng),
    )


def _replays(
    fit: Fit, pairs: Sequence[Neighbours], noise: AbstractNoiseSource, diverged: list[str], moved: list[str]
) -> Iterator[Run]:
    """Run a fit on one table of each pair, and again with the same answers on the other; adds what is wrong to the lists."""
    for step, pair in enumerate(pairs):
        progress.report("conformance: neighbours", step, len(pairs))
        try:
            run = recorded(fit, pair.table, noise)
            yield run
            moved += _moved(pair, run, replayed(fit, pair.other, run))
        except DivergedError as difference:
            diverged.append(f"{pair.what}: {difference}")


def recorded(fit: Fit, table: Records, noise: AbstractNoiseSource) -> Run:
    """Fit on a public table and keep every question. Raises: DivergedError when the fit cannot be carried out."""
    recording = RecordingNoise(noise)
    try:
        return Run(transcript=fit(Private(table), recording), noise=recording)
    except PrivsynthError as error:
        raise DivergedError(f"the fit broke off on a table of {table.rows} rows: {error}") from None


def replayed(fit: Fit, table: Records, run: Run) -> list[Call]:
    """Fit on a neighbouring table with the same answers; what was asked this time.

    Raises: DivergedError when anything but the exact answers differs.
    """
    replaying = ReplayingNoise(run.noise)
    try:
        transcript = fit(Private(table), replaying)
    except DivergedError:
        raise
    except PrivsynthError as error:
        raise DivergedError(f"the fit broke off on one of two neighbouring tables only: {error}") from None
    replaying.require_all_used()
    if [entry.to_json() for entry in transcript] != [entry.to_json() for entry in run.transcript]:
        raise DivergedError("the transcripts of neighbouring tables differ although every answer was the same")
    return replaying.calls


def _more(
    terms: ConformanceTerms, fit: Fit, table: Records, noise: AbstractNoiseSource, runs: int, answers: int
) -> Iterator[Run]:
    """Further recorded fits, until there are enough of them and of noisy answers."""
    while (runs < terms.runs or answers < terms.residuals_min) and runs < _MOST_RUNS:
        progress.report("conformance: noise", min(answers, terms.residuals_min), terms.residuals_min)
        run = recorded(fit, table, noise)
        runs, answers = runs + 1, answers + _answers(run)
        yield run


def _answers(run: Run) -> int:
    return sum(call.exact.size for call in run.noise.calls if call.kind == "gaussian")


def _paid(run: Run) -> tuple[Payment, ...]:
    return payments(run.noise.calls, run.transcript).paid


def _moved(pair: Neighbours, run: Run, calls: Sequence[Call]) -> list[str]:
    """Answers that moved by more than was declared for them."""
    found = []
    for payment in _paid(run):
        before, after = (call.exact[payment.cells] for call in (run.noise.calls[payment.call], calls[payment.call]))
        difference = (after - before).astype(object)
        reach = max(difference**2, default=0) if payment.kind == "exponential" else int((difference**2).sum())
        if reach > payment.event.sensitivity_squared:
            found.append(f'{pair.what}: an answer of stage "{payment.event.stage}" moved too far')
    return found


def _unpaid(runs: Sequence[Run], rho: Fraction, composition: Composition) -> list[str]:
    problems: list[str] = []
    for run in runs:
        problems += payments(run.noise.calls, run.transcript).problems
        if sum((entry.event.rho for entry in run.transcript), Fraction(0)) > rho:
            problems.append("the events add up to more than the budget")
        if composition == "gdp" and any(entry.event.mechanism != "rounded-gaussian" for entry in run.transcript):
            problems.append("an answer is accounted as Gaussian and is not")
    return list(dict.fromkeys(problems))


def _row(check_name: str, threat: str, problems: Sequence[str], meaning: str) -> Finding:
    distinct = list(dict.fromkeys(problems))
    return Finding(
        check=check_name,
        family="conformance",
        threat=threat,
        verdict="FAIL" if distinct else "PASS",
        threshold=None,
        detectable=None,
        ceiling=None,
        meaning=f"{distinct[0]} (and {len(distinct) - 1} more)" if len(distinct) > 1 else (distinct or [meaning])[0],
        figures={"problems": len(distinct)},
    )
