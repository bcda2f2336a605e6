"""Conformance: does a generator, run on tables that anyone may see, keep what it claims?

Must never be run on private tables: it compares noisy answers with exact ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import final

import numpy as np

from privsynth import epsilon_bounds
from privsynth.audit_plan import ConformanceTerms
from privsynth.conformance import (
    accounts,
    canary_fit,
    choices,
    discriminant,
    gradients,
    noise_tests,
    probing,
    questions,
    rare,
    ratio,
    replays,
    sums,
    thresholds,
)
from privsynth.conformance.events import payments
from privsynth.conformance.fits import Fit, Run, composition_of, fit_of, recorded
from privsynth.conformance.hypothesis import Hypothesis, deterministic, judged
from privsynth.conformance.models import Draw, draw_of
from privsynth.conformance.noise_tests import Sample
from privsynth.conformance.purchases import Bought
from privsynth.conformance.replays import Seen
from privsynth.conformance.tables import Laboratory, Neighbours
from privsynth.conformance.transcript import Stage, stages_of
from privsynth.conformance.watching import Trained
from privsynth.findings import Claim, Finding
from privsynth.privacy.accounting import Composition
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.replay import Call, DivergedError

__all__ = ["Bought", "Draw", "Fit", "Trained", "check", "composition_of", "draw_of", "fit_of"]

_TABLES = "This is about tables, and what is claimed of them; gradient steps have canaries of their own."
_OWN, _AMPLE, _CAMPS, _BOUGHT = "", ", with an ample budget", ", on two camps", ", with purchases"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Crowd:
    """A fit on two camps, replayed with canaries: for each number of them, its stages, none of a fit that asks nothing."""

    planned: ratio.Sizes
    stages: dict[int, list[Stage]]
    run: Run
    others: Sequence[Call]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Kinds:
    """The fits that are replayed: with a release's own budget, with an ample one, and with purchases."""

    fit: Fit
    rho: Fraction
    composition: Composition
    ample: tuple[Fit, Fraction] | None
    bought: Bought | None


def check(  # noqa: PLR0913
    terms: ConformanceTerms,
    fit: Fit,
    laboratory: Laboratory,
    *,
    rho: Fraction,
    noise: AbstractNoiseSource,
    rng: np.random.Generator,
    composition: Composition = "zcdp",
    ample: tuple[Fit, Fraction] | None = None,
    draw: Draw | None = None,
    bought: Bought | None = None,
    claim: Claim | None = None,
    trained: Trained | None = None,
) -> tuple[Finding, ...]:
    """Run a fit on random public tables and their neighbours, and check invariance, sensitivity, accounts and noise.

    Args: `composition` is how its answers are said to add up: with "gdp", each of them must be Gaussian. `ample` is the same
        fit with a larger budget, and that budget: on a few hundred rows a generator asks with it what it asks of a large table
        with its own; neighbours are run with both. `draw` is the path on to records, `bought` a fit that buys what its schema
        leaves open. `claim` is what a release promises; by default, what the budget implies. `trained` is the generator where
        it takes gradient steps, of which `fit` takes a few.
    Returns: rows "replay: invariance", "replay: sensitivity", "replay: recount", "ledger", "claim: accounting" and, with
        `draw`, "replay: records", with `trained`, "gradients: sampling" and "gradients: single records", which a correct fit
        never fails; and where none of them fails, rows of noise and transcripts, of which a correct fit fails any with
        probability at most `terms.alpha` in all.
    """
    seen = Seen(unit=laboratory.unit, plan=None if trained is None else trained.plan)
    table = laboratory.table(terms.rows, rng)
    pairs = [*laboratory.neighbours(table), *laboratory.neighbours(laboratory.table(0, rng))]
    kinds = _Kinds(fit=fit, rho=rho, composition=composition, ample=ample, bought=bought)
    _replay(kinds, laboratory, terms.rows, pairs, noise, rng, seen)
    promised = claim or accounts.implied(rho, composition, seen.plan)
    crowd = _crowded(terms, fit, laboratory, noise, promised, seen)
    replays.settle(seen, _CAMPS, rho, composition)
    if draw:
        questions.of_models(draw, pairs[0], laboratory, noise, rng, seen)
    if trained:
        replays.on_steps(trained, laboratory, table, noise, rng, seen)
    spent = max([rho, *(replays.spent(run) for label in (_OWN, _CAMPS) for run in seen.runs.get(label, ()))])
    accounted = accounts.finding(spent, promised, composition)
    rows = (*_deterministic(seen, with_records=draw is not None), accounted)
    if crowd is None or any(row.verdict == "FAIL" for row in rows):
        return rows
    try:
        while len(seen.runs[_OWN]) < terms.runs:
            seen.runs[_OWN].append(recorded(fit, table, noise))
        tests = [
            *_hypotheses(terms, seen, crowd, _of_answers(promised), noise, rng),
            *canary_fit.test(terms, fit, laboratory.unit, _of_answers(promised), noise, rng=rng),
        ]
        tests = [
            *(map(_of_tables, tests) if trained else tests),
            *(gradients.tests(terms, trained, promised.delta or accounts.DELTA, noise, rng) if trained else ()),
        ]
    except DivergedError as difference:
        seen.diverged.append(str(difference))
        return tuple(_deterministic(seen, with_records=draw is not None))
    return (*rows, *judged(tests, terms.alpha))


def _replay(
    kinds: _Kinds,
    laboratory: Laboratory,
    rows: int,
    pairs: Sequence[Neighbours],
    noise: AbstractNoiseSource,
    rng: np.random.Generator,
    seen: Seen,
) -> None:
    """Fits on neighbouring tables, of all kinds, and on tables that only look very different."""
    fit, ample, bought, composition = kinds.fit, kinds.ample, kinds.bought, kinds.composition
    if ample:
        replays.on_pairs(ample[0], pairs, noise, _AMPLE, seen)
        replays.settle(seen, _AMPLE, ample[1], composition)
    if bought:
        _buy(bought, noise, seen)
    again = pairs[: len(pairs) // 2] if ample and seen.plan else pairs
    replays.on_pairs(fit, again, noise, _OWN, seen)
    replays.settle(seen, _OWN, kinds.rho, composition)
    plenty, most, kind = (*ample, _AMPLE) if ample else (fit, kinds.rho, _OWN)
    first = next(iter(seen.runs.get(kind, ())), None)
    questions.elsewhere(plenty, first, laboratory, rows, noise, rng, seen)
    if ample and seen.runs.get(_OWN):
        questions.on_sizes(fit, seen.runs[_OWN][0], laboratory, rng, seen)
    replays.settle(seen, questions.ELSEWHERE, most, composition)


def _buy(bought: Bought, noise: AbstractNoiseSource, seen: Seen) -> None:
    """Fits that buy what their schema leaves open, and what is wrong with their purchases."""
    replays.on_pairs(bought.fit, bought.pairs, noise, _BOUGHT, seen)
    replays.settle(seen, _BOUGHT, bought.budget.rho, bought.budget.composition)
    seen.unpaid.extend(bought.problems(seen.runs.get(_BOUGHT, ())))
    seen.unpaid.extend(thresholds.problems(bought, seen.unit))


def _hypotheses(
    terms: ConformanceTerms,
    seen: Seen,
    crowd: _Crowd,
    claim: Claim,
    noise: AbstractNoiseSource,
    rng: np.random.Generator,
) -> Iterator[Hypothesis]:
    own, ample = [*seen.runs[_OWN], *seen.runs[_CAMPS]], seen.runs.get(_AMPLE, [])
    samples = [Sample.of(_OWN, own, noise, terms), *([Sample.of(_AMPLE, ample, noise, terms)] if ample else [])]
    yield from noise_tests.tests(terms, samples, noise, rng=rng)
    yield from sums.test(samples, rng=rng)
    yield from choices.tests(terms, samples, noise, rng=rng)
    yield from probing.tests(noise, rng=rng)
    yield from rare.tests(noise, rng=rng)
    if crowd.run.transcript:
        yield from discriminant.test(terms, crowd.run, crowd.others, noise, rng=rng)
    if crowd.stages:
        yield from ratio.tests(terms, crowd.stages, crowd.planned, claim, noise)


def _crowded(
    terms: ConformanceTerms, fit: Fit, laboratory: Laboratory, noise: AbstractNoiseSource, claim: Claim, seen: Seen
) -> _Crowd | None:
    """The fit on two camps, with each number of canaries that will be needed; None where anything is wrong by then.

    Gradient steps are no stages: they have canaries of their own.
    """
    label, first = _CAMPS, laboratory.camps(terms.crowd, 1)
    told = replays.on_pair(fit, first, 1, noise, label, seen)
    if told is None or payments(told[0].noise.calls, told[0].transcript).problems:
        return None
    run, calls = told
    priced = [one for one in run.asked() if not one.is_step]
    if not priced:
        return _Crowd(planned=ratio.Sizes(stages={}, whole=1), stages={}, run=run, others=calls)
    planned = ratio.sizes(priced, terms, claim.delta or accounts.DELTA)
    stages = {1: stages_of(run.asked(), calls, 1)}
    for units in planned.every[1:]:
        pair = laboratory.camps(terms.crowd, units)
        same = pair.table.rows == first.table.rows
        told = replays.on_pair(fit, pair, units, noise, label, seen, run if same else None)
        if told is None or payments(told[0].noise.calls, told[0].transcript).problems:
            return None
        stages[units] = stages_of(told[0].asked(), told[1], units)
        calls = told[1] if same else calls
    return _Crowd(planned=planned, stages=stages, run=run, others=calls)


# ---- what is certain -------------------------------------------------------------------------------------------------


def _deterministic(seen: Seen, *, with_records: bool) -> Iterator[Finding]:
    yield deterministic(
        "replay: invariance",
        "that something outside the mechanisms depends on the data",
        seen.diverged,
        "With all answers the same, nothing else changed between neighbouring tables.",
    )
    yield deterministic(
        "replay: sensitivity",
        "that one unit of privacy moves an answer by more than its noise is made for",
        seen.moved,
        "No answer moved by more than its declared sensitivity between neighbouring tables.",
    )
    yield deterministic(
        "replay: recount",
        "that answers are kept from another fit, or counted from anything but the records",
        seen.miscounted,
        "Every table that was asked for is that of the records at hand, counted again.",
    )
    yield deterministic(
        "ledger", "that something is learned and not paid for", seen.unpaid, "Every use of noise is paid for."
    )
    if seen.plan is not None:
        yield deterministic(
            "gradients: sampling",
            "that who takes part in a gradient step is not decided by secret coins, one for each unit and step",
            seen.sampled,
            "In every gradient step those took part whose coins said so, by the scheme as it is written down.",
        )
        yield deterministic(
            "gradients: single records",
            "that one record's gradient depends on the other records",
            seen.alone,
            "A record's gradient is the same beside any other records, and beside fewer.",
        )
    if with_records:
        yield deterministic(
            "replay: records",
            "that records of the training data reach the output past the noise",
            seen.drawn,
            "With all answers and random numbers the same, all tables gave the same model, and the same records.",
        )


def _of_answers(claim: Claim) -> Claim:
    """The part of a claim that is not about gradient steps."""
    if claim.training is None or claim.rho is None:
        return claim
    composition: Composition = "gdp" if claim.composition == "pld" else "zcdp"
    epsilon = epsilon_bounds.implied_epsilon(claim.rho, claim.delta or accounts.DELTA, composition)
    return replace(claim, epsilon=epsilon, composition=composition, training=None)


def _of_tables(test: Hypothesis) -> Hypothesis:
    """The same test, saying that what it holds answers to is not the whole claim."""
    if test.check not in {ratio.WHOLE, canary_fit.CANARIES}:
        return test
    return replace(test, rejected=f"{test.rejected} {_TABLES}", kept=f"{test.kept} {_TABLES}")
