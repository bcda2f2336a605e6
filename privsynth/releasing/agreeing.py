"""What every release rests on, of one table or of several: policy, audit plan, generator, budget, and checks of them.

Must never read a record or touch the ledger.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from privsynth import choosing
from privsynth.auditing import AuditPlan
from privsynth.errors import PolicyRefusal
from privsynth.fitting import FitPlan
from privsynth.generator import AbstractGenerator
from privsynth.histories.measuring import HistoryPlan
from privsynth.policy import Policy
from privsynth.policy.check_result import CheckResult
from privsynth.privacy.accounting import Cap, Cost
from privsynth.privacy.guarantee import Budget
from privsynth.privacy.unit import PrivacyUnit

ROWS: Final = frozenset({"row", "record"})
"""What a policy calls its unit when it protects single rows."""

ONE_IDENTIFIER: Final = "Every row of a {unit} carries that {unit}'s identifier in the column {column}."
NO_IDENTIFIER: Final = (
    "Each row is protected by itself: who has several rows is protected for each one, not for all together."
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What a certificate says of the schema and of what is released: digest, columns, rows; of several tables, each one."""

    digest: str
    columns: int
    rows: int
    tables: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AbstractTerms(ABC):
    """Everything public that a release rests on; two attempts with the same digest are the same release.

    `fit` is the plan that spends, of one table or of several; `generator` is a generator's name, never "auto"; `reasons` say
    why "auto" chose it, where it did, and `cautions` what else is expected to do better, where it was named.
    """

    policy: Policy
    plan: AuditPlan
    fit: FitPlan | HistoryPlan
    generator: str
    settings: Mapping[str, object]
    reasons: tuple[str, ...]
    cautions: tuple[str, ...]
    checks: tuple[CheckResult, ...]

    @property
    @abstractmethod
    def title(self) -> str:
        """What is released, by its name in the schema."""

    @property
    @abstractmethod
    def schema_digest(self) -> str:
        """SHA-256 of the schema."""

    @property
    @abstractmethod
    def described(self) -> Described:
        """What the certificate will say of the schema, with a placeholder for every number of rows."""

    @property
    def budget(self) -> Budget:
        """What the fit may spend."""
        return self.fit.budget

    @property
    def unit(self) -> PrivacyUnit:
        """Whose participation is protected."""
        return self.fit.unit

    @property
    def kind(self) -> AbstractGenerator:
        """The generator with its settings."""
        return self.fit.generator

    @property
    def digest(self) -> str:
        """SHA-256 over the policy, the schema, the audit plan and the generator's settings."""
        parts = (self.policy.digest, self.schema_digest, self.plan.digest, self.generator, _text(self.settings))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @property
    def cost(self) -> Cost:
        """What the ledger is charged: the whole budget, whether or not the generator uses it up."""
        return Cost.of(self.budget.rho, self.budget.purchase_delta, self.budget.training)

    @property
    def account(self) -> tuple[str, Cap]:
        """The unit and the cap for life that the population's account must have."""
        budget = self.policy.budget
        return f"{self.unit.name} ({self.unit.relation.value})", Cap.of(budget.lifetime_epsilon, budget.lifetime_delta)

    @property
    def continues(self) -> Mapping[str, object] | None:
        """What the certificate says of an earlier release that this one goes on from; None where there is none."""
        return None

    @property
    def not_covered(self) -> tuple[str, ...]:
        """What the certificate adds to what its guarantee does not cover."""
        return ()

    @property
    def about_rows(self) -> str:
        """What the guarantee takes for granted about whose row is whose."""
        unit = self.unit
        return NO_IDENTIFIER if unit.column is None else ONE_IDENTIFIER.format(unit=unit.name, column=unit.column)


def passed(checks: tuple[CheckResult, ...]) -> tuple[CheckResult, ...]:
    """The checks of a schema, none of which failed. Raises: PolicyRefusal with every reason."""
    failed = [check for check in checks if check.result == "fail"]
    if failed:
        reasons = "; ".join(f"{check.rule}: {check.detail}" for check in failed)
        raise PolicyRefusal(f"the schema does not meet the policy: {reasons}")
    return checks


def choose(
    policy: Policy, attributes: int, *, asked: str | None, settings: Mapping[str, object], but: Sequence[str] = ()
) -> choosing.Choice:
    """The generator that is meant, if the policy allows it; `but` names those that cannot be chosen here."""
    wanted, allowed = asked or policy.generators.default, policy.generators.allow
    if wanted not in allowed:
        raise PolicyRefusal(f'the policy does not allow the generator "{wanted}"; it allows {", ".join(allowed)}')
    possible = [name for name in allowed if name not in but]
    return choosing.resolve(wanted, attributes, settings=settings, allowed=possible)


def require_affordable(agreed: AbstractTerms) -> None:
    """Refuse a release that no account of this policy could ever pay for."""
    _, cap = agreed.account
    if not cap.admits(agreed.cost):
        raise PolicyRefusal(
            "not even one release fits the population's lifetime budget: the cap is held at one Renyi order, and half of "
            "lifetime_delta is kept for bought categories; make release_epsilon smaller, or lifetime_delta larger"
        )


def require_enough_people(policy: Policy, plan: AuditPlan) -> None:
    """The declared size, which is an upper bound, must leave the audit as many people as its plan needs at the least."""
    size, share = policy.require_population().public_size, policy.audit.holdout
    people = size * share if policy.audit.control == "holdout" else size / 2
    if people < plan.release.attempts_min:
        raise PolicyRefusal(
            f'the audit plan "{plan.name}" needs at least {plan.release.attempts_min} held-out people, and a population of at '
            f'most {size} with holdout "{float(share):g}" leaves {int(people)}; hold out more, or set control = "half-copy"'
        )


def _text(settings: Mapping[str, object]) -> str:
    return json.dumps(dict(settings), sort_keys=True, default=str)
