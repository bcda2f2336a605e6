"""Quote: what a release would cost and how good it would be, from a rehearsal on made-up records of the declared size.

Must never spend, and must never print a number that depends on the table's records.
"""

from __future__ import annotations

import math
import resource
import time
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from typing import final

import numpy as np

from privsynth import progress, records
from privsynth.dataset import Dataset
from privsynth.errors import RefusedError
from privsynth.measurement import Measurement, Transcript
from privsynth.policy import Policy
from privsynth.privacy.accounting import Cap, Cost
from privsynth.privacy.curator import make_curator
from privsynth.privacy.guarantee import decimal_up
from privsynth.privacy.ledger import AbstractLedger
from privsynth.privacy.noise import SystemNoise
from privsynth.releasing.terms import Terms, terms
from privsynth.schema import Schema

_REHEARSED_ROWS = 200_000


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class QuotedStage:
    """One stage of the rehearsal. Units: `share` of the release's rho; `sigma` in records; `l1` of a normalised table."""

    stage: str
    share: float
    tables: int
    sigma: float | None
    l1: float | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What a release would cost. `stages` is empty where the domain is not known before something is bought."""

    population: str
    epsilon: str
    delta: str
    spent_epsilon: str
    cap_epsilon: str
    admitted: bool
    generator: str
    stages: tuple[QuotedStage, ...]
    to_buy: tuple[str, ...]
    fit_seconds: float | None
    peak_megabytes: int | None

    def to_json(self) -> dict[str, object]:
        """A JSON object."""
        return {
            "population": self.population,
            "release": {"epsilon": self.epsilon, "delta": self.delta, "admitted": self.admitted},
            "lifetime": {"spentEpsilon": self.spent_epsilon, "capEpsilon": self.cap_epsilon},
            "generator": self.generator,
            "stages": [
                {"stage": s.stage, "share": s.share, "tables": s.tables, "sigma": s.sigma, "expectedL1": s.l1}
                for s in self.stages
            ],
            "toBuy": list(self.to_buy),
            "fitSeconds": self.fit_seconds,
            "peakMegabytes": self.peak_megabytes,
        }

    def lines(self) -> list[str]:
        """The quote as text."""
        out = [
            f"this release: epsilon {self.epsilon} at delta {self.delta}, generator {self.generator}",
            f'population "{self.population}": {self.spent_epsilon} of {self.cap_epsilon} spent for life; '
            + ("the release fits" if self.admitted else "the release does NOT fit"),
        ]
        if self.to_buy:
            out.append(f"to be bought first, from this budget: {', '.join(self.to_buy)}")
            out.append("expected errors cannot be quoted before the domain is known; declare these columns to see them")
        if self.stages:
            out.append("how the budget is split, rehearsed on made-up records of the declared size:")
            for s in self.stages:
                noise = "" if s.sigma is None else f", noise {s.sigma:.1f} records a cell"
                error = "" if s.l1 is None else f", expected L1 error of a table {s.l1:.3f}"
                out.append(f"  {s.stage}: {s.share:.0%} of the budget, {s.tables} table(s){noise}{error}")
            out.append(
                f"fitting takes about {self.fit_seconds:.1f} s and {self.peak_megabytes} MB here; auditing comes on top"
            )
        out.append("nothing was spent")
        return out


def quote(
    source: object | None,
    *,
    schema: Schema,
    policy: Policy,
    ledger: AbstractLedger | None = None,
    generator: str | None = None,
) -> Quote:
    """Check everything a release would check before it spends, and rehearse it on made-up records.

    Privacy: reads the table, if one is given, to find what does not fit the schema, and reports nothing else of it.
    Raises: what `releasing.terms` and `records.read` raise.
    """
    agreed = terms(schema, policy, generator=generator)
    population = policy.require_population()
    cap = Cap.of(policy.budget.lifetime_epsilon, policy.budget.lifetime_delta)
    held = _held(ledger, population.id)
    stages: tuple[QuotedStage, ...] = ()
    seconds, megabytes = None, None
    if not schema.unresolved:
        started = time.process_time()
        stages = _rehearse(agreed, population.public_size)
        seconds = time.process_time() - started
        megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # before the table is read: it is public
    if source is not None:
        progress.report("read", 0, 1)
        records.read(source, schema, out_of_domain=policy.records.out_of_domain)
    return Quote(
        population=population.id,
        epsilon=decimal_up(policy.budget.release_epsilon),
        delta=decimal_up(policy.budget.release_delta, 15),
        spent_epsilon=decimal_up(Fraction(cap.epsilon_spent(held)), 4),
        cap_epsilon=decimal_up(cap.epsilon),
        admitted=cap.admits(held + agreed.cost),
        generator=agreed.generator,
        stages=stages,
        to_buy=tuple(column.name for column in schema.unresolved),
        fit_seconds=seconds,
        peak_megabytes=megabytes,
    )


def _held(ledger: AbstractLedger | None, population: str) -> Cost:
    if ledger is None:
        return Cost.of(0)
    try:
        balance = ledger.balance(population)
    except RefusedError:
        return Cost.of(0)
    return balance.spent + balance.reserved


def _rehearse(agreed: Terms, public_size: int) -> tuple[QuotedStage, ...]:
    """Fit on uniform made-up records and read the split off the transcript; the noise is scaled to the declared size."""
    domain = agreed.schema.domain()
    rng = np.random.default_rng(0)
    rows = min(public_size * agreed.fit.unit.max_rows, _REHEARSED_ROWS)
    made_up = Dataset.from_columns(
        {name: rng.integers(0, domain.size(name), rows) for name in domain.attributes}, domain
    )
    budget = agreed.fit.budget
    curator = make_curator(
        made_up, unit=agreed.fit.unit, rho=budget.rho, noise=SystemNoise(), composition=budget.composition
    )
    agreed.fit.generator.fit(curator)
    return _stages(curator.transcript, budget.rho, public_size)


def _stages(transcript: Transcript, rho: Fraction, public_size: int) -> tuple[QuotedStage, ...]:
    grouped: dict[str, list[Measurement | None]] = defaultdict(list)
    spent: dict[str, Fraction] = defaultdict(Fraction)
    for entry in transcript:
        grouped[entry.event.stage].append(entry if isinstance(entry, Measurement) else None)
        spent[entry.event.stage] += entry.event.rho
    out = []
    for stage, found in grouped.items():
        tables = [entry for entry in found if entry is not None]
        errors = [min(2.0, math.sqrt(2 / math.pi) * table.sigma * table.values.size / public_size) for table in tables]
        out.append(
            QuotedStage(
                stage=stage,
                share=float(spent[stage] / rho),
                tables=len(tables),
                sigma=float(np.mean([table.sigma for table in tables])) if tables else None,
                l1=float(np.mean(errors)) if errors else None,
            )
        )
    return tuple(out)
