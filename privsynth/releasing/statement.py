"""What a release says about itself: the predicate that its certificate signs and its report shows.

Must never hold a number computed on members or controls, a key, a path, a host name or a duration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import final

from privsynth import __version__, generators
from privsynth.certificate.predicate import require
from privsynth.findings import Finding, Findings
from privsynth.measurement import Transcript
from privsynth.policy import CheckResult, Policy
from privsynth.privacy.accounting import Cap, Cost
from privsynth.privacy.guarantee import Guarantee, decimal_up
from privsynth.privacy.ledger import Balance, LedgerHead
from privsynth.releasing.agreeing import AbstractTerms, Described

TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"

ASSUMPTIONS = (
    "The schema, with its categories, bounds, codes and business rules, is public: it was declared or bought, not read "
    "off this table.",
    "The declared size of the population is public, and the population's ledger is the only way its records are released.",
)
NOT_COVERED = (
    "How long the computation took, and that it succeeded, are not part of the guarantee.",
    "The audit's verdict is a function of the records and was not paid for from the budget; its figures on real records "
    "stay in the building, and the number of attempts is limited and stated.",
    "What is true of the population as a whole can be learned from the release, also about people who are not in it.",
)
LIMITATIONS = (
    "Synthetic records: no row is a person. Statistics that were not measured follow from the model and may be wrong.",
    "Trust each statistic as far as the report's expected error says; do not test hypotheses as if the rows were real.",
)

HALF_COPY = (
    "The attacks were made on a copy of the model that was fitted on half of the people, with noise of its own that the ledger "
    "was not charged for; the copy was not released, only the verdict was."
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseFacts:
    """The public facts of a release that is being made."""

    release_id: str
    policy: Policy
    described: Described
    about_rows: str
    guarantee: Guarantee
    noise: str
    transcript: Transcript
    generator: str
    settings: Mapping[str, object]
    reasons: tuple[str, ...]
    cautions: tuple[str, ...]
    balance: Balance
    head: LedgerHead
    checks: tuple[CheckResult, ...]
    plan_name: str
    plan_digest: str
    repaired: Mapping[str, int]
    attempts_used: int
    continues: Mapping[str, object] | None = None
    not_covered: tuple[str, ...] = ()


def rehearse(agreed: AbstractTerms, noise: str) -> None:
    """Make the statement with placeholders, so that what cannot be certified is refused before anything is spent.

    Raises: CertificateError when a term of the policy or a setting cannot stand in a certificate.
    """
    cap = Cap.of(agreed.policy.budget.lifetime_epsilon, agreed.policy.budget.lifetime_delta)
    row = Finding(
        check="rehearsal",
        family="release",
        threat="none",
        verdict="PASS",
        meaning="-",
    )
    facts = ReleaseFacts(
        release_id="0" * 32,
        policy=agreed.policy,
        described=agreed.described,
        about_rows=agreed.about_rows,
        guarantee=Guarantee.for_budget(agreed.budget, agreed.unit, ()),
        noise=noise,
        transcript=(),
        generator=agreed.generator,
        settings=generators.settings_of(agreed.kind),
        reasons=agreed.reasons,
        cautions=agreed.cautions,
        balance=Balance(cap=cap, spent=agreed.cost, reserved=Cost.of(0)),
        head=LedgerHead(sequence=1, digest="0" * 64),
        checks=agreed.checks,
        plan_name=agreed.plan.name,
        plan_digest=agreed.plan.digest,
        repaired={},
        attempts_used=1,
        continues=agreed.continues,
        not_covered=agreed.not_covered,
    )
    require(predicate(facts, Findings(rows=(row,)), datetime.now(UTC)))


def predicate(facts: ReleaseFacts, findings: Findings, issued_at: datetime) -> dict[str, object]:
    """The predicate of one release. Units: decimal strings for epsilon, delta and rho; RFC 3339 times in UTC."""
    policy = facts.policy
    population = policy.require_population()
    expires = issued_at + timedelta(days=policy.certificate.valid_days)
    cap = facts.balance.cap
    found: dict[str, object] = {
        "releaseId": facts.release_id,
        "issuedAt": issued_at.strftime(TIME_FORMAT),
        "expiresAt": expires.strftime(TIME_FORMAT),
        "tool": {"name": "privsynth", "version": __version__},
        "policy": {"name": policy.name, "version": policy.version, "digest": {"sha256": policy.digest}},
        "decision": "PASSED",
        "guarantee": {
            **facts.guarantee.statement(noise=facts.noise, transcript=facts.transcript),
            "assumptions": [*ASSUMPTIONS, facts.about_rows],
            "notCovered": [*NOT_COVERED, *facts.not_covered],
        },
        "budget": {
            "population": population.id,
            "spentEpsilon": decimal_up(Fraction(cap.epsilon_spent(facts.balance.spent)), 4),
            "capEpsilon": decimal_up(cap.epsilon),
            "capDelta": decimal_up(cap.delta, 15),
            "ledgerSequence": facts.head.sequence,
            "ledgerHead": facts.head.digest,
        },
        "schema": _schema(facts),
        "generator": {
            "name": facts.generator,
            "version": __version__,
            "settings": dict(facts.settings),
            "reasons": list(facts.reasons),
        },
        "checks": [
            {"rule": check.rule, "citation": check.citation, "result": check.result, "method": check.method}
            for check in facts.checks
        ],
        "audit": {
            "plan": {"name": facts.plan_name, "digest": {"sha256": facts.plan_digest}},
            "verdict": findings.verdict,
            "rows": findings.public(),
        },
        "repairs": dict(facts.repaired),
        "attempts": {"allowed": policy.audit.attempts, "used": facts.attempts_used},
        "recipients": {"class": policy.recipients.klass, "contract": policy.recipients.contract},
        "limitations": [
            *LIMITATIONS,
            *facts.cautions,
            *([HALF_COPY] if policy.audit.control == "half-copy" else []),
        ],
    }
    return found if facts.continues is None else {**found, "refresh": dict(facts.continues)}


def _schema(facts: ReleaseFacts) -> dict[str, object]:
    """The schema, and how much is released; of several tables, each of them."""
    described, declared = facts.described, isinstance(facts.policy.records.rows, int)
    found: dict[str, object] = {
        "digest": {"sha256": described.digest},
        "columns": described.columns,
        "rows": described.rows,
        "rowsBasis": "declared in the policy" if declared else "estimated from noisy counts",
    }
    return {**found, "tables": [dict(table) for table in described.tables]} if described.tables else found
