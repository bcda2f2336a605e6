"""What a release rests on: every check that can be made without the table, before anything is spent.

Must never read a record or touch the ledger.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import final

from privsynth import generators
from privsynth.auditing import AuditPlan
from privsynth.errors import PolicyRefusal
from privsynth.fitting import FitPlan
from privsynth.policy import Policy
from privsynth.policy.check_result import CheckResult
from privsynth.privacy.accounting import Cost
from privsynth.privacy.guarantee import Budget
from privsynth.privacy.unit import PrivacyUnit
from privsynth.schema import Schema


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Everything public that a release rests on; two attempts with the same digest are the same release."""

    schema: Schema
    policy: Policy
    plan: AuditPlan
    fit: FitPlan
    generator: str
    settings: Mapping[str, object]
    checks: tuple[CheckResult, ...]

    @property
    def digest(self) -> str:
        """SHA-256 over the policy, the schema, the audit plan and the generator's settings."""
        parts = (self.policy.digest, self.schema.digest(), self.plan.digest, self.generator, json.dumps(self.settings))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @property
    def cost(self) -> Cost:
        """What the ledger is charged: the whole budget, whether or not the generator uses it up."""
        return Cost.of(self.fit.budget.rho, self.fit.budget.purchase_delta)


def terms(
    schema: Schema, policy: Policy, *, generator: str | None = None, settings: Mapping[str, object] | None = None
) -> Terms:
    """Check everything that can be checked without the table, and say what a release would rest on.

    Raises: PolicyError, PolicyRefusal, SchemaError or MechanismError; nothing is spent and no record is read.
    """
    policy.require_current(datetime.now(UTC).date())
    policy.require_population()
    checks = policy.check_schema(schema)
    failed = [check for check in checks if check.result == "fail"]
    if failed:
        reasons = "; ".join(f"{check.rule}: {check.detail}" for check in failed)
        raise PolicyRefusal(f"the schema does not meet the policy: {reasons}")
    name = generator or policy.generators.default
    if name not in policy.generators.allow:
        raise PolicyRefusal(
            f'the policy does not allow the generator "{name}"; it allows {", ".join(policy.generators.allow)}'
        )
    unit = PrivacyUnit(name=policy.unit.name, column=schema.unit, max_rows=policy.unit.max_rows if schema.unit else 1)
    budget = Budget.of(policy.budget.release_epsilon, policy.budget.release_delta, buys=bool(schema.unresolved))
    chosen = dict(settings or {})
    return Terms(
        schema=schema,
        policy=policy,
        plan=AuditPlan.load(policy.audit.plan),
        fit=FitPlan(generator=generators.get(name, chosen), unit=unit, budget=budget),
        generator=name,
        settings=chosen,
        checks=checks,
    )
