"""Exploring: a generator fitted to private records that were read already; what it makes is uncertified.

Must never be part of a release: no ledger is charged here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from privsynth import choosing, frames, generators
from privsynth.fitting import FitPlan, measure, split
from privsynth.measurement import Transcript
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
        plan = self.plan(records.schema)
        return self.model(plan, *measured(Private(records), plan))

    def plan(self, schema: Schema) -> FitPlan:
        """What will be done to a table of this schema. Raises: as `fit`."""
        unit = PrivacyUnit(name=schema.unit or "row", column=schema.unit, max_rows=self.max_rows)
        kind = generators.get(self.resolved(schema), dict(self.settings or {}))
        budget = Budget.of(
            self.epsilon,
            self.delta,
            buys=bool(schema.unresolved),
            composition=kind.composition,
            schedule=kind.schedule,
        )
        return FitPlan(generator=kind, unit=unit, budget=budget)

    def resolved(self, schema: Schema) -> str:
        """The generator's name, where "auto" may stand for it. Raises: PolicyError for one that does not exist."""
        return choosing.resolve(self.generator, len(schema.modelled), settings=dict(self.settings or {})).name

    def model(
        self, plan: FitPlan, completed: Schema, transcript: Transcript, *, kind: str = frames.ARROW, generation: int = 1
    ) -> Model:
        """The model of what was measured; `kind` of frame is what it samples."""
        return Model(
            schema=completed,
            distribution=plan.generator.estimate(completed.domain(), transcript),
            transcript=transcript,
            guarantee=Guarantee.for_budget(plan.budget, plan.unit, transcript),
            generator=self.resolved(completed),
            settings=dict(self.settings or {}),
            kind=kind,
            generation=generation,
        )

    def words(self, schema: Schema) -> str:
        """The budget in words."""
        return f"epsilon {self.epsilon} at delta {self.delta} for each {schema.unit or 'row'}"


def measured(table: Private[Records], plan: FitPlan) -> tuple[Schema, Transcript]:
    """What is learned of a private table in one go, with fresh noise."""
    noise = SystemNoise()
    bounded, _ = split(table, plan.unit, 0.0, bound_key=noise.key(), holdout_key=noise.key())
    return measure(bounded, plan, noise)
