"""A generator to break, and the conformance checks run on it as an audit runs them."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from privsynth import graphical
from privsynth.audit_plan import AuditPlan
from privsynth.conformance import checks as conformance
from privsynth.conformance.tables import Laboratory
from privsynth.domain import Domain
from privsynth.findings import Claim, Verdict
from privsynth.generator import AbstractDistribution, AbstractGenerator
from privsynth.measurement import Transcript
from privsynth.privacy.curator import Curator
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.privacy.query import MarginalErrors
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.privacy.unit import NeighboringRelation, PrivacyUnit

DOMAIN = Domain(("age", "sex", "ward code", "stay"), (7, 2, 40, 5))
ROW = PrivacyUnit(name="row")
PATIENT = PrivacyUnit(name="patient", column="patient", max_rows=3)
REPLACED = PrivacyUnit(name="patient", column="patient", max_rows=2, relation=NeighboringRelation.REPLACE_ONE)
RHO = Fraction(1, 8)
Int64s = npt.NDArray[np.int64]


class Pairs(AbstractGenerator):
    """Measures every column, then the two pairs that are most wrong."""

    name: ClassVar[str] = "pairs"

    def measure(self, curator: Curator) -> None:
        names = curator.domain.attributes
        share = curator.budget / 5
        curator.measure([(name,) for name in names], rho=share, stage="columns")
        for turn in range(2):
            candidates = tuple((first, second) for first in names for second in names if first < second)
            query = MarginalErrors(
                cliques=candidates,
                references=[
                    np.full(curator.domain.shape(pair), 20 / curator.domain.cells(pair)) for pair in candidates
                ],
                weights=[1] * len(candidates),
                penalties=[0.0] * len(candidates),
            )
            chosen = curator.select(query, rho=share, stage=f"select {turn}")
            curator.measure([candidates[chosen]], rho=share, stage=f"pair {turn}")

    def estimate(self, domain: Domain, transcript: Transcript) -> AbstractDistribution:
        return graphical.estimate(domain, transcript, iterations=10)

    def restore(
        self, domain: Domain, transcript: Transcript, arrays: Mapping[str, npt.NDArray[np.float64]]
    ) -> AbstractDistribution:
        return graphical.restore(domain, transcript, arrays)


def checked(
    generator: AbstractGenerator | None = None,
    *,
    unit: PrivacyUnit = PATIENT,
    rho: Fraction = RHO,
    seed: int = 1,
    noise: AbstractNoiseSource | None = None,
    fit: conformance.Fit | None = None,
    claim: Claim | None = None,
    alpha: float | None = None,
) -> dict[str, Verdict]:
    """The verdicts of all checks, by name; where a fit is given, no records are drawn."""
    terms = AuditPlan.load("quick").conformance
    terms = terms.model_copy(update={"alpha": alpha or terms.alpha})
    made = generator or Pairs()
    trained = None if fit else conformance.Trained.of(made, unit, rho, None)
    made, steps = (made, None) if trained is None else (trained.generator, trained.plan)
    laboratory = Laboratory(DOMAIN, unit, columns=terms.columns, levels=terms.levels, trained=trained is not None)
    own = trained.fit() if trained else conformance.fit_of(made, unit, rho)
    rows = conformance.check(
        terms,
        fit or own,
        laboratory,
        rho=rho,
        noise=noise or UnsafeSeededNoise(seed),
        rng=np.random.default_rng(seed),
        composition=conformance.composition_of(made),
        draw=None if fit else conformance.draw_of(made, unit, rho, steps),
        bought=None if fit else conformance.Bought.of(made, unit, steps),
        claim=claim,
        trained=trained,
    )
    return {row.check: row.verdict for row in rows}


def failing(verdicts: Mapping[str, Verdict]) -> set[str]:
    return {check for check, verdict in verdicts.items() if verdict != "PASS"}
