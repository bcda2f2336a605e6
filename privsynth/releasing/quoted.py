"""What every quote says, of one table or of several: what a release would cost, and what its population has left for life.

Must never read a record or change the ledger.
"""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass, field
from fractions import Fraction

from privsynth.privacy.accounting import Cap, Cost
from privsynth.privacy.guarantee import decimal_up
from privsynth.privacy.ledger import AbstractLedger
from privsynth.releasing.agreeing import AbstractTerms


@dataclass(frozen=True, slots=True, kw_only=True)
class AbstractQuote(ABC):
    """What a release under these terms would cost, where the ledger holds so much against its population already.

    `reasons` say why "auto" chose the generator, where it did.
    """

    agreed: AbstractTerms = field(repr=False)
    held: Cost = field(repr=False)
    reasons: tuple[str, ...]

    @property
    def population(self) -> str:
        """Whose budget it is."""
        return self.agreed.policy.require_population().id

    @property
    def unit(self) -> str:
        """What the policy calls whom it protects."""
        return self.agreed.policy.unit.name

    @property
    def generator(self) -> str:
        """The generator's name, never "auto"."""
        return self.agreed.generator

    @property
    def epsilon(self) -> str:
        """Of this release."""
        return decimal_up(self.agreed.policy.budget.release_epsilon)

    @property
    def delta(self) -> str:
        """Of this release."""
        return decimal_up(self.agreed.policy.budget.release_delta, 15)

    @property
    def spent_epsilon(self) -> str:
        """What the population has spent for life, in epsilon."""
        return decimal_up(Fraction(self._cap.epsilon_spent(self.held)), 4)

    @property
    def cap_epsilon(self) -> str:
        """What it may spend."""
        return decimal_up(self._cap.epsilon)

    @property
    def admitted(self) -> bool:
        """Whether the release fits what is left."""
        return self._cap.admits(self.held + self.agreed.cost)

    @property
    def _cap(self) -> Cap:
        return self.agreed.account[1]

    def _cost_to_json(self) -> dict[str, object]:
        """The first keys of the quote's JSON object."""
        return {
            "population": self.population,
            "release": {"epsilon": self.epsilon, "delta": self.delta, "admitted": self.admitted},
            "lifetime": {"spentEpsilon": self.spent_epsilon, "capEpsilon": self.cap_epsilon},
            "generator": self.generator,
            "reasons": list(self.reasons),
        }

    def _cost_lines(self, whose: str = "") -> list[str]:
        """The first lines of the quote; `whose` says whom the release's budget is for, where that needs saying."""
        return [
            f"this release: epsilon {self.epsilon} at delta {self.delta}{whose}, generator {self.generator}",
            f'population "{self.population}": {self.spent_epsilon} of {self.cap_epsilon} spent for life; '
            + ("the release fits" if self.admitted else "the release does NOT fit"),
        ]


def held_by(ledger: AbstractLedger | None, agreed: AbstractTerms) -> Cost:
    """What the ledger holds against the population already; nothing where it does not know it.

    Raises: RefusedError, as the release would, where the population's account was opened in other terms.
    """
    population = agreed.policy.require_population().id
    if ledger is None or population not in ledger.populations():
        return Cost.of(0)
    unit, cap = agreed.account
    ledger.require_terms(population, unit=unit, cap=cap)
    balance = ledger.balance(population)
    return balance.spent + balance.reserved
