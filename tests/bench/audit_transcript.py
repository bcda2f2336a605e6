"""The transcript's audit: how close its bounds come to the ledger and the claim, what it costs, and what it catches."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from privsynth import auditing, generators
from privsynth.audit_plan import AuditPlan, ConformanceTerms
from privsynth.conformance.checks import fit_of
from privsynth.conformance.fits import recorded, replayed
from privsynth.conformance.hypothesis import judged
from privsynth.conformance.ratio import sizes, tests
from privsynth.conformance.tables import Laboratory
from privsynth.conformance.transcript import stages_of
from privsynth.domain import Domain
from privsynth.findings import Claim, Finding
from privsynth.privacy.accounting import budget_for
from privsynth.privacy.noise import SystemNoise
from tests.bench.row import Row, cpu_seconds
from tests.laboratory import ROW, checked
from tests.shortfall import Short, noting

EPSILON, DELTA = 1, Fraction(1, 100_000)
WIDE = Domain(tuple(f"column {place}" for place in range(14)), (3, 4, 5, 6) * 3 + (3, 4))
STAGES = {
    "independent": ("one-way",),
    "mst": ("one-way", "select", "tree"),
    "aim": ("one-way", "select", "measure"),
    "latent_class": ("one-way", "one-way-again", "pairs", "triple-scores", "pairs-again"),
}
TRIES = 10


def rows() -> Iterator[Row]:
    """Tightness at epsilon 1 on 14 columns; the cost of the plans; the catch rate of a tenth too little noise."""
    for name, answers in (("mst", 1_000_000), ("independent", 1_000_000), ("aim", 100_000), ("latent_class", 100_000)):
        yield from _tightness(name, answers)
    for plan in ("quick", "standard"):
        for name in STAGES:
            yield _cost(plan, name)
    for name, stages in STAGES.items():
        for stage in stages:
            yield _caught(name, stage)


def _terms(answers: int) -> ConformanceTerms:
    changed = {"columns": 14, "levels": 8, "crowd": 40_000, "transcripts": answers}
    return AuditPlan.load("standard").conformance.model_copy(update=changed)


def _tightness(name: str, answers: int) -> Iterator[Row]:
    """Bounds at 99 % from the transcript of one recorded fit, replayed with canaries; everything from records on counts."""
    found: list[Finding] = []
    seconds = cpu_seconds(lambda: found.extend(_told(name, answers)))
    target = name == "mst"
    for row in found:
        assert row.interval is not None
        if row.check == "transcript: whole fit":
            for figure in ("epsilon, any mechanism", "epsilon, as Gaussian", "epsilon, exact curve"):
                floor = ">= 0.8" if target and figure == "epsilon, exact curve" else None
                value = row.figures[figure]
                assert isinstance(value, float)
                yield Row(name=f"{name}: at least, {figure}", value=value, unit="of 1 claimed", target=floor)
        else:
            floor = ">= 0.97" if target and not row.check.endswith("select") else None
            yield Row(
                name=f"{name}: {row.check}: mu at least", value=row.interval[0], unit="of the ledger's", target=floor
            )
    limit = "<= 120" if target else None
    yield Row(name=f"{name}: {answers:,} transcripts each way", value=seconds, unit="CPU s", target=limit)


def _told(name: str, answers: int) -> tuple[Finding, ...]:
    generator, noise, terms = generators.get(name, {}), SystemNoise(), _terms(answers)
    rho = budget_for(EPSILON, DELTA, generator.composition)
    fit, laboratory = fit_of(generator, ROW, rho), Laboratory(WIDE, ROW, columns=14, levels=8)
    run = recorded(fit, laboratory.camps(terms.crowd, 1).table, noise)
    planned = sizes(run.asked(), terms, float(DELTA))
    stages = {
        units: stages_of(run.asked(), replayed(fit, laboratory.camps(terms.crowd, units).other, run), units)
        for units in planned.every
    }
    claim = Claim(epsilon=EPSILON, delta=float(DELTA), rho=float(rho), unit="row", composition=generator.composition)
    return judged(list(tests(terms, stages, planned, claim, noise)), terms.alpha)


def _cost(plan: str, name: str) -> Row:
    """One conformance run, at epsilon 1."""
    generator = generators.get(name, {})
    rho = budget_for(EPSILON, DELTA, generator.composition)

    def run() -> None:
        found = auditing.conformance(
            AuditPlan.load(plan),
            generator,
            domain=WIDE,
            unit=ROW,
            rho=rho,
            noise=SystemNoise(),
            rng=np.random.default_rng(1),
        )
        assert found.verdict == "PASS", [row.meaning for row in found.rows if row.verdict != "PASS"]

    limit = {"quick": 4, "standard": 15}[plan] if name in {"independent", "mst"} else None
    return Row(name=f"{plan}: {name}", value=cpu_seconds(run), unit="CPU s", target=f"<= {limit}" if limit else None)


def _caught(name: str, stage: str) -> Row:
    """Of some runs of the quick plan, those in which noise that is a tenth too small in this stage alone is caught."""
    caught = 0
    for seed in range(TRIES):
        with noting(Short(seed, stage)) as source:
            caught += "FAIL" in checked(generators.get(name, {}), unit=ROW, noise=source, seed=seed).values()
    return Row(
        name=f"{name}: a tenth too little noise in {stage}",
        value=caught / TRIES,
        unit=f"share of {TRIES} runs",
        target=">= 0.95",
    )
