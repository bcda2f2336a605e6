"""What a release of one table rests on: every check that can be made without the table, before anything is spent.

Must never read a record or touch the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import final

from privsynth import generators
from privsynth.auditing import AuditPlan
from privsynth.errors import PolicyRefusal
from privsynth.fitting import FitPlan, require_size
from privsynth.policy import Policy
from privsynth.privacy.guarantee import Budget
from privsynth.privacy.unit import PrivacyUnit
from privsynth.releasing.agreeing import (
    ROWS,
    AbstractTerms,
    Described,
    choose,
    passed,
    require_affordable,
    require_enough_people,
)
from privsynth.schema import Schema


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Terms(AbstractTerms):
    """What a release of one table rests on."""

    schema: Schema
    fit: FitPlan

    @property
    def title(self) -> str:
        """The table's name."""
        return self.schema.table.name

    @property
    def schema_digest(self) -> str:
        """The schema's digest."""
        return self.schema.digest()

    @property
    def described(self) -> Described:
        """One row, as long as nothing was drawn."""
        return described(self.schema, 1)


def described(schema: Schema, rows: int) -> Described:
    """What the certificate says of a table."""
    return Described(digest=schema.digest(), columns=len(schema.released), rows=rows)


def terms(
    schema: Schema, policy: Policy, *, generator: str | None = None, settings: Mapping[str, object] | None = None
) -> Terms:
    """Check everything that can be checked without the table, and say what a release would rest on.

    Raises: PolicyError, PolicyRefusal, SchemaError or MechanismError; nothing is spent and no record is read.
    """
    policy.require_current(datetime.now(UTC).date())
    checks = passed(policy.check_schema(schema))
    chosen, plan = dict(settings or {}), AuditPlan.load(policy.audit.plan)
    choice = choose(policy, len(schema.modelled), asked=generator, settings=chosen)
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
    require_enough_people(policy, plan)
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
    require_affordable(agreed)
    return agreed


def _require_unit(schema: Schema, policy: Policy) -> None:
    """A policy that protects people needs a schema that says which rows are one person's, and does not model that."""
    if schema.unit in {column.name for column in schema.modelled}:
        raise PolicyRefusal(
            f'column "{schema.unit}" names the {policy.unit.name} and would be modelled; make it kind = "identifier"'
        )
    if schema.unit is None and policy.unit.name not in ROWS:
        raise PolicyRefusal(
            f'the policy protects a {policy.unit.name}, but the schema names no unit column; declare unit = "COLUMN" in '
            '[table], or, where nobody has more than one row, release under a policy whose [unit] name is "row"'
        )
