"""Exploring: a generator fitted to private records that were read already; what it makes is uncertified.

Must never be part of a release: no ledger is charged here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from privsynth import choosing, frames, generators
from privsynth.fitting import FitPlan, measure, split
from privsynth.model import Model
from privsynth.privacy.accounting import Exact
from privsynth.privacy.guarantee import Budget, Guarantee
from privsynth.privacy.noise import SystemNoise
from privsynth.privacy.unit import PrivacyUnit
from privsynth.private import Private
from privsynth.records import Records
from privsynth.schema import Schema


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """A budget and a generator for fits inside an exploration.

    Privacy: each fit gives (epsilon, delta)-DP for one unit; several of overlapping records add up, and nobody's ledger knows.
    """

    epsilon: Exact
    delta: Exact
    generator: str = choosing.AUTO
    max_rows: int = 1
    settings: Mapping[str, object] | None = None

    def fit(self, records: Records) -> Model:
        """Fit the generator to these records.

        Raises: PolicyError for a generator that does not exist; MechanismError for a budget that promises nothing.
        """
        schema, chosen = records.schema, dict(self.settings or {})
        unit = PrivacyUnit(name=schema.unit or "row", column=schema.unit, max_rows=self.max_rows)
        name = choosing.resolve(self.generator, len(schema.modelled), settings=chosen).name
        kind = generators.get(name, chosen)
        budget = Budget.of(
            self.epsilon,
            self.delta,
            buys=bool(schema.unresolved),
            composition=kind.composition,
            schedule=kind.schedule,
        )
        plan, noise = FitPlan(generator=kind, unit=unit, budget=budget), SystemNoise()
        bounded, _ = split(Private(records), unit, 0.0, bound_key=noise.key(), holdout_key=noise.key())
        completed, transcript = measure(bounded, plan, noise)
        return Model(
            schema=completed,
            distribution=kind.estimate(completed.domain(), transcript),
            transcript=transcript,
            guarantee=Guarantee.for_budget(budget, unit, transcript),
            generator=name,
            settings=chosen,
            kind=frames.ARROW,
        )

    def words(self, schema: Schema) -> str:
        """The budget in words."""
        return f"epsilon {self.epsilon} at delta {self.delta} for each {schema.unit or 'row'}"
