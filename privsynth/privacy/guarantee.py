"""What a fit promises, computed from what it spent: the sentence that a certificate signs and an audit attacks.

Must never promise more than the events add up to.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction
from typing import final

from privsynth.errors import MechanismError
from privsynth.measurement import Transcript
from privsynth.privacy.accounting import (
    CONVERSIONS,
    Composition,
    Exact,
    budget_for,
    epsilon_of,
    gaussian_epsilon_of,
    positive,
    probability,
)
from privsynth.privacy.unit import PrivacyUnit


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What one fit may spend: rho for everything, part of it for purchases, and delta split between its two uses.

    `rho` is what (epsilon, delta - purchase_delta) allows to answers with this `composition`; `purchase_delta` pays for
    bought categories. Purchases are not Gaussian, so a budget with a part for them is "zcdp".
    """

    epsilon: Fraction
    delta: Fraction
    rho: Fraction
    purchase_rho: Fraction
    purchase_delta: Fraction
    composition: Composition = "zcdp"

    def __post_init__(self) -> None:
        if self.composition == "gdp" and (self.purchase_rho or self.purchase_delta):
            raise MechanismError("what is bought is not learned by Gaussian noise alone; its budget is zCDP")

    @classmethod
    def of(
        cls,
        epsilon: Exact,
        delta: Exact,
        *,
        buys: bool,
        composition: Composition = "zcdp",
        purchase_share: Fraction = Fraction(1, 10),
    ) -> Budget:
        """Split (epsilon, delta): all of it to the fit, or a share of rho and half of delta to purchases.

        Args: `composition` is the generator's; where something is bought, the budget is "zcdp" all the same.
        Raises: MechanismError for numbers that promise nothing.
        """
        asked, failure = positive(epsilon, "epsilon"), probability(delta)
        if not 0 < purchase_share < 1:
            raise MechanismError(f"the share for purchases must be between 0 and 1; found {purchase_share}")
        purchase_delta = failure / 2 if buys else Fraction(0)
        adding_up: Composition = "zcdp" if buys else composition
        rho = budget_for(asked, failure - purchase_delta, adding_up)
        return cls(
            epsilon=asked,
            delta=failure,
            rho=rho,
            purchase_rho=rho * purchase_share if buys else Fraction(0),
            purchase_delta=purchase_delta,
            composition=adding_up,
        )

    @property
    def for_answers(self) -> Budget:
        """What is left of this budget when everything is bought."""
        return replace(self, rho=self.rho - self.purchase_rho, purchase_rho=Fraction(0), purchase_delta=Fraction(0))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Guarantee:
    """(epsilon, delta)-differential privacy for neighbours that differ in one unit.

    Privacy: `rho` and `purchase_delta` are what the transcript's events add up to or more; epsilon is their
        conversion at delta - purchase_delta. With composition "gdp" all events are Gaussian, and the whole is mu-GDP with
        mu^2 = 2 rho.
    """

    rho: Fraction
    delta: Fraction
    purchase_delta: Fraction
    unit: PrivacyUnit
    composition: Composition = "zcdp"

    @property
    def epsilon(self) -> float:
        """Epsilon at delta, rounded up."""
        convert = gaussian_epsilon_of if self.composition == "gdp" else epsilon_of
        return convert(self.rho, self.delta - self.purchase_delta)

    @classmethod
    def for_budget(cls, budget: Budget, unit: PrivacyUnit, transcript: Transcript) -> Guarantee:
        """The guarantee of a fit that was held to `budget`: the whole budget counts as spent.

        Raises: MechanismError when the events add up to more, or not as the budget says: the accounting is broken, and
            nothing may be promised.
        """
        if sum((entry.event.rho for entry in transcript), Fraction(0)) > budget.rho:
            raise MechanismError(
                "the transcript's events add up to more than the budget; this is a defect of privsynth"
            )
        if sum((entry.event.delta for entry in transcript), Fraction(0)) > budget.purchase_delta:
            raise MechanismError(
                "the purchases' deltas add up to more than was set aside; this is a defect of privsynth"
            )
        if budget.composition == "gdp" and any(entry.event.mechanism != "rounded-gaussian" for entry in transcript):
            raise MechanismError("not all of the transcript's events are Gaussian; this is a defect of privsynth")
        return cls(
            rho=budget.rho,
            delta=budget.delta,
            purchase_delta=budget.purchase_delta,
            unit=unit,
            composition=budget.composition,
        )

    def statement(self, *, noise: str, transcript: Transcript) -> dict[str, object]:
        """The `guarantee` object of a certificate; numbers are decimal strings, rounded up."""
        stages: dict[tuple[str, str], list[Fraction]] = {}
        for entry in transcript:
            sums = stages.setdefault((entry.event.stage, entry.event.mechanism), [Fraction(0), Fraction(0)])
            sums[0] += entry.event.rho
            sums[1] += entry.event.delta
        gaussian = self.composition == "gdp"
        selects = any(entry.event.mechanism == "exponential" for entry in transcript)
        return {
            "definition": "Gaussian DP" if gaussian else "approximate zCDP" if self.purchase_delta else "zCDP",
            "relation": self.unit.relation.value,
            "unit": {"name": self.unit.name, "column": self.unit.column, "maxRows": self.unit.max_rows},
            "rho": decimal_up(self.rho),
            "epsilon": decimal_up(Fraction(self.epsilon), places=4),
            "delta": decimal_up(self.delta, places=15),
            "conversion": CONVERSIONS[self.composition],
            "noise": f"rounded Gaussian{' and exponential mechanism' if selects else ''}, sampled exactly over the integers",
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
