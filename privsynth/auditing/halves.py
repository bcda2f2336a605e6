"""The audit of a release: a plan and tables in, findings out.

Must never let an attack pass by breaking off, by lack of people, or by being too weak to see a planted leak.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from privsynth.attack import Refit
from privsynth.audit_plan import AuditPlan
from privsynth.auditing import own_controls, trials
from privsynth.auditing.people import People
from privsynth.conformance import checks as conformance_checks
from privsynth.conformance.canary_fit import CANARIES
from privsynth.conformance.tables import Laboratory
from privsynth.domain import Domain
from privsynth.findings import Claim, Findings
from privsynth.generator import AbstractGenerator
from privsynth.measurement import Transcript
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.privacy.unit import PrivacyUnit
from privsynth.private import Private
from privsynth.records import Records
from privsynth.schema import Schema

_NO_TABLES = "The fit with canaries published no table of two columns or more, which they could have shown in."

__all__ = ["AuditPlan", "conformance", "run"]


def run(
    plan: AuditPlan,
    *,
    schema: Schema,
    synthetic: Records,
    members: Private[Records],
    controls: Private[Records],
    claim: Claim | None,
    rng: np.random.Generator,
    transcript: Transcript | None = None,
    refit: Refit | None = None,
) -> Findings:
    """Attack a release as the plan says, with members of its training data and people who were not in it.

    Privacy: reads private records and spends nothing; `Findings.public` may be published, the rest may not. The verdict is
        itself a function of the records: policies limit how often one may try.
    Args: `claim` is what the release promises, None for a table from elsewhere; `transcript` and `refit` are what attackers
        have of it beside (see `attack.View`); attacks that lack what they need are listed in `Findings.not_tried`.
    Raises: AuditError when an attack could not be carried out, when none of the plan's could be tried, or when members and
        controls cannot be compared.
    """
    people = People.draw(
        schema=schema,
        synthetic=synthetic,
        members=members,
        controls=controls,
        transcript=transcript,
        refit=refit,
        rng=rng,
    )
    attacks, not_tried = trials.sorted_out(plan, people)
    tried = trials.attack_all(plan, attacks, people, claim, rng)
    if tried.failing:
        planted, suspects = own_controls.planted_not_run(), tried.failing
    else:
        planted, suspects = own_controls.planted_leak(plan, attacks, people, rng=rng), attacks
    holdout = own_controls.holdout_as_release(plan, suspects, people, rng=rng)
    return Findings(rows=(*tried.rows, planted, holdout), not_tried=not_tried)


def conformance(
    plan: AuditPlan,
    generator: AbstractGenerator,
    *,
    domain: Domain,
    unit: PrivacyUnit,
    rho: Fraction,
    noise: AbstractNoiseSource,
    rng: np.random.Generator,
    claim: Claim | None = None,
) -> Findings:
    """Check that a generator keeps its claim, on random public tables with columns of this domain; no private data.

    Args: `noise` is the source that the release draws from, so that it is examined too. `claim` is what the release promises;
        by default, what `rho` implies. A generator that trains is run with few gradient steps (`AbstractGenerator.brief`); what
        it claims of all of them is worked out again from their number.
    """
    terms = plan.conformance
    trained = conformance_checks.Trained.of(generator, unit, rho, None if claim is None else claim.training)
    made = generator if trained is None else trained.generator
    steps = None if trained is None else trained.plan
    laboratory = Laboratory(domain, unit, columns=terms.columns, levels=terms.levels, trained=trained is not None)
    fit = trained.fit() if trained else conformance_checks.fit_of(made, unit, rho)
    plenty = Fraction(unit.l2_squared)
    more = trained.fit(plenty) if trained else conformance_checks.fit_of(made, unit, plenty)
    found = conformance_checks.check(
        terms,
        fit,
        laboratory,
        rho=rho,
        noise=noise,
        rng=rng,
        composition=conformance_checks.composition_of(made),
        ample=(more, plenty) if rho < plenty else None,
        draw=conformance_checks.draw_of(made, unit, max(rho, plenty), steps),
        bought=conformance_checks.Bought.of(made, unit, steps),
        claim=claim,
        trained=trained,
    )
    failed = any(row.verdict == "FAIL" for row in found)
    alone = failed or any(row.check == CANARIES for row in found)
    return Findings(rows=found, not_tried={} if alone else {CANARIES: _NO_TABLES})
