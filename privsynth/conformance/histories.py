"""Conformance at the unit: does a generator, run on several tables at once, protect one unit with all its rows of all of them?

Must never be run on private tables: it compares noisy answers with exact ones, on databases made up from the schema alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import final

import numpy as np

from privsynth import progress
from privsynth.audit_plan import AuditPlan, ConformanceTerms
from privsynth.conformance import accounts, choices, history_runs, noise_tests, probing, rare, ratio, sums
from privsynth.conformance.events import payments
from privsynth.conformance.history_models import Drawing
from privsynth.conformance.history_records import Kept, look_at_records
from privsynth.conformance.history_runs import HistoryFit, Pair, Seen
from privsynth.conformance.hypothesis import Hypothesis, deterministic, judged
from privsynth.conformance.made_databases import Workshop, bound_of
from privsynth.conformance.noise_tests import Sample
from privsynth.conformance.transcript import Stage, stages_of
from privsynth.database.document import DatabaseSchema
from privsynth.database.held import Database
from privsynth.database.terms import MOST_ROWS
from privsynth.findings import Claim, Finding, Findings
from privsynth.generator import AbstractGenerator
from privsynth.privacy.guarantee import Budget
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.privacy.unit import NeighboringRelation

_CROWD = 16
"""Ordinary units beside the one that is looked at."""

_AMONG = 64
"""Ordinary units beside those that are told apart."""

_AMPLE = Fraction(4 * MOST_ROWS)
"""A budget with which a few units that weigh so much are asked for pairs."""

_SHARE = 16
"""At most so many of the plan's crowd for one of the strongest units."""

_CELLS = 4000
"""Noisy answers of each use of noise that are looked at."""


def run(
    plan: AuditPlan,
    kind: AbstractGenerator,
    *,
    schema: DatabaseSchema,
    budget: Budget,
    noise: AbstractNoiseSource,
    rng: np.random.Generator,
    claim: Claim | None,
    relation: NeighboringRelation = NeighboringRelation.ADD_REMOVE,
) -> Findings:
    """Check what is made and measured of databases that differ in one unit with all its rows.

    Args: `noise` is the source that the release draws from. `claim` is what a release promises; by default, what the budget
        implies.
    Returns: rows "histories: single units", "histories: contributions", "histories: records", "replay: invariance",
        "replay: sensitivity", "replay: records", "ledger" and "claim: accounting", which a correct fit never fails; and where
        none of them fails, rows of noise and transcripts, table by table, of which a correct fit fails any with probability at
        most the plan's alpha in all.
    """
    workshop = Workshop(schema)
    kept = Kept(schema=schema, used={table.name: bound_of(table) for table in schema.tables})
    look_at_records(kept, workshop, noise, rng)
    seen = Seen(schema=schema, relation=relation)
    fit = history_runs.fit_of(schema, kind, budget, relation)
    pairs = list(_pairs(workshop, relation, rng))
    for step, pair in enumerate(pairs):
        progress.report("conformance: neighbours at the unit", step, len(pairs))
        seen.on_pair(fit, pair, noise)
    promised = claim or accounts.implied(budget.rho, budget.composition, None)
    if budget.rho < _AMPLE:
        _with_plenty(schema, kind, budget, workshop, noise, rng, seen)
    seen.settle(budget.rho, budget.composition)
    told = None
    if not (kept.problems or seen.problems):
        drawing, last = Drawing(schema, kind, budget, relation), pairs[-1]
        others = {last.what: last.other}
        seen.drawn.extend(drawing.problems(pairs[0].one, others, noise, int(rng.integers(1 << 32))))
        told = _told_apart(plan.conformance, fit, workshop, seen, promised, noise, rng)
        seen.settle(budget.rho, budget.composition)
    rows = (*_deterministic(kept, seen), _accounted(seen, budget, promised))
    if told is None or any(row.verdict == "FAIL" for row in rows):
        return Findings(rows=rows)
    tests = list(_hypotheses(plan.conformance, seen, told, promised, noise, rng))
    return Findings(rows=(*rows, *judged(tests, plan.conformance.alpha)))


# ---- fits ------------------------------------------------------------------------------------------------------------


def _pairs(workshop: Workshop, relation: NeighboringRelation, rng: np.random.Generator) -> Iterator[Pair]:
    """A unit comes into a database, first or last, or takes a small one's place; and it is the only one."""
    crowd = [*workshop.crowd(_CROWD, rng), *(workshop.unit(kind, rng) for kind in workshop.kinds)]
    names = [f"unit {turn}".encode() for turn in range(len(crowd))]
    small = workshop.unit(workshop.kinds[0], rng)
    before = [small] if relation is NeighboringRelation.REPLACE_ONE else []
    harmful = {kind: workshop.unit(kind, rng) for kind in workshop.kinds}
    harmful["the strongest unit"] = workshop.strongest(rng)
    for turn, (what, unit) in enumerate(harmful.items()):
        last = bool(turn % 2)
        one, other = (
            workshop.database([*crowd, *added] if last else [*added, *crowd], _with(names, len(added), last=last))
            for added in (before, [unit])
        )
        yield Pair(what=what, one=one, other=other)
    for what in ("a unit with hundreds of different rows", "the strongest unit"):
        yield Pair(what=f"{what}, alone", one=workshop.database(before), other=workshop.database([harmful[what]]))


def _with_plenty(
    schema: DatabaseSchema,
    kind: AbstractGenerator,
    budget: Budget,
    workshop: Workshop,
    noise: AbstractNoiseSource,
    rng: np.random.Generator,
    seen: Seen,
) -> None:
    """The strongest unit again with an ample budget: with it, a few units are asked what many are with their own."""
    ample = Seen(schema=schema, relation=seen.relation)
    fit = history_runs.fit_of(schema, kind, replace(budget, rho=_AMPLE), seen.relation)
    pair = list(_pairs(workshop, seen.relation, rng))[len(workshop.kinds)]
    ample.on_pair(fit, replace(pair, what=f"{pair.what}, with an ample budget"), noise)
    ample.settle(_AMPLE, budget.composition)
    for into, found in (
        (seen.diverged, ample.diverged),
        (seen.moved, ample.moved),
        (seen.unpaid, ample.unpaid),
    ):
        into.extend(found)


def _with(names: Sequence[bytes], added: int, *, last: bool) -> list[bytes]:
    new = [b"somebody"] * added
    return [*names, *new] if last else [*new, *names]


def _deterministic(kept: Kept, seen: Seen) -> Iterator[Finding]:
    yield deterministic(
        "histories: single units",
        "that what is kept of one unit depends on others: on who they are, how many, or in what order",
        kept.depends,
        "Every unit's records and weights are the same beside any others, in any order, and alone.",
    )
    yield deterministic(
        "histories: contributions",
        "that one unit has more rows, or more weight, than its noise is made for",
        kept.weighs,
        "No unit has more rows in a table than its bound, nor more weight than the table's noise is made for.",
    )
    yield deterministic(
        "histories: records",
        "that a row is counted with another one's parent, predecessor or number of children",
        kept.differs,
        "Every record is that of a row of its unit, with the rows above it and before it.",
    )
    yield deterministic(
        "replay: invariance",
        "that something outside the mechanisms depends on the data",
        seen.diverged,
        "With all answers the same, nothing else changed between databases that differ in one unit with all its rows.",
    )
    yield deterministic(
        "replay: sensitivity",
        "that one unit with all its rows moves an answer by more than its noise is made for",
        seen.moved,
        "No answer moved by more than its declared sensitivity, and no table by more than a unit's weight.",
    )
    yield deterministic(
        "replay: records",
        "that records of the training data reach the output past the noise",
        seen.drawn,
        "With all answers and random numbers the same, all databases gave the same models, and the same tables.",
    )
    yield deterministic(
        "ledger",
        "that a table is learned from and not paid for",
        seen.unpaid,
        "Every use of noise is paid for, every table has events of its own, and together they are within the budget.",
    )


def _accounted(seen: Seen, budget: Budget, claim: Claim) -> Finding:
    """What all tables spent together against the claim."""
    spent = max([budget.rho, *(sum((e.event.rho for e in run.transcript), Fraction(0)) for run in seen.runs)])
    return accounts.finding(spent, claim, budget.composition)


# ---- noise -----------------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """One fit's stages on databases that differ in each number of the strongest units that is needed."""

    planned: ratio.Sizes
    stages: Mapping[int, Sequence[Stage]]


def _told_apart(
    terms: ConformanceTerms,
    fit: HistoryFit,
    workshop: Workshop,
    seen: Seen,
    claim: Claim,
    noise: AbstractNoiseSource,
    rng: np.random.Generator,
) -> _Told | None:
    """One fit, replayed with units that have all their weight in one cell of each table; None where anything is wrong."""
    crowd, strongest, small = (
        workshop.crowd(_AMONG, rng),
        workshop.strongest(rng),
        workshop.unit(workshop.kinds[0], rng),
    )
    most = max(1, terms.crowd // _SHARE)
    replaced = seen.relation is NeighboringRelation.REPLACE_ONE

    def among(units: int) -> Database:
        return workshop.database([*crowd, *[strongest] * units, *[small] * (replaced * (most - units))])

    first = seen.on_pair(fit, Pair(what="the strongest unit of many", one=among(0), other=among(1)), noise)
    if first is None or payments(first[0].noise.calls, first[0].transcript).problems:
        return None
    run, calls = first
    planned = ratio.sizes(run.asked(), terms, claim.delta or accounts.DELTA)
    found = {1: stages_of(run.asked(), calls, 1)}
    for step, units in enumerate(planned.every[1:]):
        progress.report("conformance: telling databases apart", step, len(planned.every))
        pair = Pair(what=f"{units} of the strongest units", one=among(0), other=among(units), units=units)
        told = seen.on_pair(fit, pair, noise, run)
        if told is None:
            return None
        found[units] = stages_of(run.asked(), told[1], units)
    return _Told(planned=planned, stages=found)


def _hypotheses(
    terms: ConformanceTerms, seen: Seen, told: _Told, claim: Claim, noise: AbstractNoiseSource, rng: np.random.Generator
) -> Iterator[Hypothesis]:
    """The noise of all tables' stages, the source's, and how well the strongest units are told apart."""
    sample = Sample.few(seen.runs, noise, terms, cells=_CELLS)
    yield from noise_tests.tests(terms, [sample], noise, rng=rng)
    yield from sums.test([sample], rng=rng)
    yield from choices.tests(terms, [sample], noise, rng=rng)
    yield from probing.tests(noise, rng=rng)
    yield from rare.tests(noise, rng=rng)
    yield from ratio.tests(terms, told.stages, told.planned, claim, noise)
