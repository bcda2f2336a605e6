"""What a fit promises, computed from what it spent: the sentence that a certificate signs and an audit attacks.

Must never promise more than the events add up to.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction
from typing import final

from privsynth.errors import MechanismError
from privsynth.measurement import Transcript
from privsynth.privacy.accounting import CONVERSION, Exact, epsilon_of, positive, probability, rho_for
from privsynth.privacy.unit import PrivacyUnit


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What one fit may spend: rho for everything, part of it for purchases, and delta split between its two uses.

    `rho` is what (epsilon, conversion_delta) allows; `purchase_delta` pays for bought categories.
    """

    epsilon: Fraction
    delta: Fraction
    rho: Fraction
    purchase_rho: Fraction
    purchase_delta: Fraction

    @classmethod
    def of(cls, epsilon: Exact, delta: Exact, *, buys: bool, purchase_share: Fraction = Fraction(1, 10)) -> Budget:
        """Split (epsilon, delta): all of it to the fit, or a share of rho and half of delta to purchases.

        Raises: MechanismError for numbers that promise nothing.
        """
        asked, failure = positive(epsilon, "epsilon"), probability(delta)
        if not 0 < purchase_share < 1:
            raise MechanismError(f"the share for purchases must be between 0 and 1; found {purchase_share}")
        purchase_delta = failure / 2 if buys else Fraction(0)
        rho = rho_for(asked, failure - purchase_delta)
        return cls(
            epsilon=asked,
            delta=failure,
            rho=rho,
            purchase_rho=rho * purchase_share if buys else Fraction(0),
            purchase_delta=purchase_delta,
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Guarantee:
    """(epsilon, delta)-differential privacy for neighbours that differ in one unit.

    Privacy: `rho` and `purchase_delta` are what the transcript's events add up to or more; epsilon is their
        conversion at delta - purchase_delta.
    """

    rho: Fraction
    delta: Fraction
    purchase_delta: Fraction
    unit: PrivacyUnit

    @property
    def epsilon(self) -> float:
        """Epsilon at delta, rounded up."""
        return epsilon_of(self.rho, self.delta - self.purchase_delta)

    @classmethod
    def for_budget(cls, budget: Budget, unit: PrivacyUnit, transcript: Transcript) -> Guarantee:
        """The guarantee of a fit that was held to `budget`: the whole budget counts as spent.

        Raises: MechanismError when the events add up to more: the accounting is broken, and nothing may be promised.
        """
        if sum((entry.event.rho for entry in transcript), Fraction(0)) > budget.rho:
            raise MechanismError(
                "the transcript's events add up to more than the budget; this is a defect of privsynth"
            )
        if sum((entry.event.delta for entry in transcript), Fraction(0)) > budget.purchase_delta:
            raise MechanismError(
                "the purchases' deltas add up to more than was set aside; this is a defect of privsynth"
            )
        return cls(rho=budget.rho, delta=budget.delta, purchase_delta=budget.purchase_delta, unit=unit)

    def statement(self, *, noise: str, transcript: Transcript) -> dict[str, object]:
        """The `guarantee` object of a certificate; numbers are decimal strings, rounded up."""
        stages: dict[tuple[str, str], list[Fraction]] = {}
        for entry in transcript:
            sums = stages.setdefault((entry.event.stage, entry.event.mechanism), [Fraction(0), Fraction(0)])
            sums[0] += entry.event.rho
            sums[1] += entry.event.delta
        return {
            "definition": "zCDP" if not self.purchase_delta else "approximate zCDP",
            "relation": self.unit.relation.value,
            "unit": {"name": self.unit.name, "column": self.unit.column, "maxRows": self.unit.max_rows},
            "rho": decimal_up(self.rho),
            "epsilon": decimal_up(Fraction(self.epsilon), places=4),
            "delta": decimal_up(self.delta, places=15),
            "conversion": CONVERSION,
            "noise": "discrete Gaussian and exponential mechanism, sampled exactly over the integers",
            "randomness": noise,
            "stages": [
                {"stage": stage, "mechanism": mechanism, "rho": decimal_up(rho), "delta": decimal_up(delta, places=15)}
                for (stage, mechanism), (rho, delta) in stages.items()
            ],
        }


def decimal_up(number: Fraction, places: int = 9) -> str:
    """A decimal string that is never below the number: rounded up at that many places, trailing zeros dropped."""
    scaled = -((-number.numerator * 10**places) // number.denominator)
    text = format((Decimal(scaled) / 10**places).quantize(Decimal(1).scaleb(-places), rounding=ROUND_CEILING), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
