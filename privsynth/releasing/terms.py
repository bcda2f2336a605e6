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

from privsynth import choosing, generators
from privsynth.auditing import AuditPlan
from privsynth.errors import PolicyRefusal
from privsynth.fitting import FitPlan, require_size
from privsynth.policy import Policy
from privsynth.policy.check_result import CheckResult
from privsynth.privacy.accounting import Cap, Cost
from privsynth.privacy.guarantee import Budget
from privsynth.privacy.unit import PrivacyUnit
from privsynth.schema import Schema

_ROWS = frozenset({"row", "record"})


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Everything public that a release rests on; two attempts with the same digest are the same release.

    `generator` is a generator's name, never "auto"; `reasons` say why "auto" chose it, where it did, and `cautions` what
    else is expected to do better, where it was named.
    """

    schema: Schema
    policy: Policy
    plan: AuditPlan
    fit: FitPlan
    generator: str
    settings: Mapping[str, object]
    reasons: tuple[str, ...]
    cautions: tuple[str, ...]
    checks: tuple[CheckResult, ...]

    @property
    def digest(self) -> str:
        """SHA-256 over the policy, the schema, the audit plan and the generator's settings."""
        parts = (self.policy.digest, self.schema.digest(), self.plan.digest, self.generator, _text(self.settings))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @property
    def cost(self) -> Cost:
        """What the ledger is charged: the whole budget, whether or not the generator uses it up."""
        budget = self.fit.budget
        return Cost.of(budget.rho, budget.purchase_delta, budget.training)


def terms(
    schema: Schema, policy: Policy, *, generator: str | None = None, settings: Mapping[str, object] | None = None
) -> Terms:
    """Check everything that can be checked without the table, and say what a release would rest on.

    Raises: PolicyError, PolicyRefusal, SchemaError or MechanismError; nothing is spent and no record is read.
    """
    policy.require_current(datetime.now(UTC).date())
    checks = policy.check_schema(schema)
    failed = [check for check in checks if check.result == "fail"]
    if failed:
        reasons = "; ".join(f"{check.rule}: {check.detail}" for check in failed)
        raise PolicyRefusal(f"the schema does not meet the policy: {reasons}")
    chosen, plan = dict(settings or {}), AuditPlan.load(policy.audit.plan)
    choice = _choice(schema, policy, generator or policy.generators.default, chosen)
    _require_unit(schema, policy)
    unit = PrivacyUnit(name=policy.unit.name, column=schema.unit, max_rows=policy.unit.max_rows if schema.unit else 1)
    kind = generators.get(choice.name, chosen)
    if not schema.unresolved:
        require_size(kind, schema.domain())
    budget = Budget.of(
        policy.budget.release_epsilon,
        policy.budget.release_delta,
        buys=bool(schema.unresolved),
        composition=kind.composition,
        schedule=kind.schedule,
    )
    _require_enough_people(policy, plan)
    agreed = Terms(
        schema=schema,
        policy=policy,
        plan=plan,
        fit=FitPlan(generator=kind, unit=unit, budget=budget),
        generator=choice.name,
        settings=chosen,
        reasons=choice.reasons,
        cautions=choice.cautions,
        checks=checks,
    )
    cap = Cap.of(policy.budget.lifetime_epsilon, policy.budget.lifetime_delta)
    if not cap.admits(agreed.cost):
        raise PolicyRefusal(
            "not even one release fits the population's lifetime budget: the cap is held at one Renyi order, and half of "
            "lifetime_delta is kept for bought categories; make release_epsilon smaller, or lifetime_delta larger"
        )
    return agreed


def _choice(schema: Schema, policy: Policy, asked: str, settings: Mapping[str, object]) -> choosing.Choice:
    """The generator that is meant, if the policy allows it."""
    allowed = policy.generators.allow
    if asked not in allowed:
        raise PolicyRefusal(f'the policy does not allow the generator "{asked}"; it allows {", ".join(allowed)}')
    return choosing.resolve(asked, len(schema.modelled), settings=settings, allowed=allowed)


def _text(settings: Mapping[str, object]) -> str:
    return json.dumps(dict(settings), sort_keys=True, default=str)


def _require_unit(schema: Schema, policy: Policy) -> None:
    """A policy that protects people needs a schema that says which rows are one person's, and does not model that."""
    if schema.unit in {column.name for column in schema.modelled}:
        raise PolicyRefusal(
            f'column "{schema.unit}" names the {policy.unit.name} and would be modelled; make it kind = "identifier"'
        )
    if schema.unit is None and policy.unit.name not in _ROWS:
        raise PolicyRefusal(
            f'the policy protects a {policy.unit.name}, but the schema names no unit column; declare unit = "COLUMN" in '
            '[table], or, where nobody has more than one row, release under a policy whose [unit] name is "row"'
        )


def _require_enough_people(policy: Policy, plan: AuditPlan) -> None:
    """The declared size, which is an upper bound, must leave the audit as many people as its plan needs at the least."""
    size, share = policy.require_population().public_size, policy.audit.holdout
    people = size * share if policy.audit.control == "holdout" else size / 2
    if people < plan.release.attempts_min:
        raise PolicyRefusal(
            f'the audit plan "{plan.name}" needs at least {plan.release.attempts_min} held-out people, and a population of at '
            f'most {size} with holdout "{float(share):g}" leaves {int(people)}; hold out more, or set control = "half-copy"'
        )
