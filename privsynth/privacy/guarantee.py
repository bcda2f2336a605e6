"""What a fit promises, computed from what it spent: the sentence that a certificate signs and an audit attacks.

Must never promise more than the events add up to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Context, Decimal
from fractions import Fraction
from typing import Final, final

from privsynth.errors import MechanismError
from privsynth.measurement import Event, Transcript
from privsynth.privacy.accounting import (
    CONVERSIONS,
    MAX_EPSILON,
    Composition,
    Exact,
    budget_for,
    epsilon_for,
    positive,
    probability,
)
from privsynth.privacy.sampled_gaussian import MOST_MULTIPLIER, SampledGaussian, Schedule, smallest_multiplier
from privsynth.privacy.unit import PrivacyUnit

MECHANISMS: Final[Mapping[str, str]] = {"sampled-gaussian": "Poisson-subsampled Gaussian"}
"""What a certificate calls a mechanism, where not by the name that events carry."""

GRADIENTS: Final = (
    "sums of clipped gradients are computed in single precision and rounded to an integer grid before that noise is added, and "
    "their sensitivity is taken 1/64 larger to pay for it"
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What one fit may spend: rho for answers, part of it for purchases, gradient steps, and delta split between its two uses.

    `rho` and `training` together are what (epsilon, delta - purchase_delta) allows with this `composition`; `purchase_delta`
    pays for bought categories. Purchases are not Gaussian, so a budget with a part for them is "zcdp", or "rdp".
    """

    epsilon: Fraction
    delta: Fraction
    rho: Fraction
    purchase_rho: Fraction
    purchase_delta: Fraction
    composition: Composition = "zcdp"
    training: SampledGaussian | None = None

    def __post_init__(self) -> None:
        if self.composition in {"gdp", "pld"} and (self.purchase_rho or self.purchase_delta):
            raise MechanismError(
                "what is bought is not learned by Gaussian noise alone; its budget is zCDP or Renyi DP"
            )
        if (self.training is not None) != (self.composition in {"pld", "rdp"}):
            raise MechanismError('gradient steps add up as "pld" or "rdp", and answers alone as "gdp" or "zcdp"')

    @classmethod
    def of(
        cls,
        epsilon: Exact,
        delta: Exact,
        *,
        buys: bool,
        composition: Composition = "zcdp",
        schedule: Schedule | None = None,
        purchase_share: Fraction = Fraction(1, 10),
    ) -> Budget:
        """Split (epsilon, delta): a share of rho and half of delta to purchases where there are any, the rest to the fit.

        Args: `composition` says how the generator's answers add up, "gdp" or "zcdp"; where something is bought, the budget is
            "zcdp" all the same. With a `schedule`, its first share of rho is for answers, and the steps have as little noise
            as the rest allows.
        Raises: MechanismError for numbers that promise nothing, and for a budget too small for the schedule, with one that is
            not; InputError where gradient steps are planned and dp-accounting is missing.
        """
        asked, failure = positive(epsilon, "epsilon"), probability(delta)
        if not 0 < purchase_share < 1:
            raise MechanismError(f"the share for purchases must be between 0 and 1; found {purchase_share}")
        split = _Split(
            delta=failure,
            purchase_delta=failure / 2 if buys else Fraction(0),
            purchase_share=purchase_share if buys else Fraction(0),
            composition=_adding_up(composition, buys=buys, trains=schedule is not None),
            schedule=schedule,
        )
        purchase_rho, rho = split.shares(asked)
        return cls(
            epsilon=asked,
            delta=failure,
            rho=rho,
            purchase_rho=purchase_rho,
            purchase_delta=split.purchase_delta,
            composition=split.composition,
            training=split.training(asked),
        )

    @property
    def for_answers(self) -> Budget:
        """What is left of this budget when everything is bought."""
        return replace(self, rho=self.rho - self.purchase_rho, purchase_rho=Fraction(0), purchase_delta=Fraction(0))


def _adding_up(composition: Composition, *, buys: bool, trains: bool) -> Composition:
    gaussian = composition in {"gdp", "pld"} and not buys
    if trains:
        return "pld" if gaussian else "rdp"
    return "gdp" if gaussian else "zcdp"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Split:
    """How an epsilon is shared out."""

    delta: Fraction
    purchase_delta: Fraction
    purchase_share: Fraction
    composition: Composition
    schedule: Schedule | None

    def shares(self, epsilon: Fraction) -> tuple[Fraction, Fraction]:
        """(rho for purchases, rho for them and all answers)."""
        whole = budget_for(epsilon, self.delta - self.purchase_delta, self.composition)
        purchases = whole * self.purchase_share
        share = Fraction(1) if self.schedule is None else self.schedule.first_share
        return purchases, purchases + (whole - purchases) * share

    def training(self, epsilon: Fraction) -> SampledGaussian | None:
        """The schedule's steps with the least noise that suffices for epsilon.

        Raises: MechanismError naming the smallest epsilon that would do.
        """
        if self.schedule is None:
            return None
        _, rho = self.shares(epsilon)
        found = smallest_multiplier(
            self.schedule, lambda steps, coarse: self._epsilon(rho, steps, coarse=coarse) <= epsilon
        )
        if found is not None:
            return self.schedule.training(found)
        asked = f"epsilon = {float(epsilon):g} at delta = {float(self.delta):g}"
        raise MechanismError(
            f"{asked} does not pay for {self.schedule.steps:,} gradient steps at sampling rate "
            f"{float(self.schedule.sampling_rate):g}, even with {MOST_MULTIPLIER} times their size as noise; ask for an "
            f"epsilon of at least {self._least(self.schedule, epsilon)}, for fewer steps or for a smaller sampling rate"
        )

    def _epsilon(self, rho: Fraction, training: SampledGaussian, *, coarse: bool) -> float:
        return epsilon_for(rho, self.delta - self.purchase_delta, self.composition, training, coarse=coarse)

    def _least(self, schedule: Schedule, low: Fraction) -> str:
        """The smallest epsilon, to two digits and rounded up, that pays for the schedule with the most noise there may be."""
        noisiest = schedule.training(MOST_MULTIPLIER)

        def pays(epsilon: Fraction) -> bool:
            return self._epsilon(self.shares(epsilon)[1], noisiest, coarse=True) <= epsilon

        high = 2 * low
        while high < MAX_EPSILON and not pays(high):
            low, high = high, 2 * high
        for _ in range(10):
            middle = (low + high) / 2
            low, high = (low, middle) if pays(middle) else (middle, high)
        return two_digits_up(high)


def two_digits_up(number: Fraction) -> str:
    """A decimal string of two significant digits that is not below the number, which is above zero."""
    return format(
        Context(prec=2, rounding=ROUND_CEILING).divide(Decimal(number.numerator), Decimal(number.denominator)), "f"
    )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Guarantee:
    """(epsilon, delta)-differential privacy for neighbours that differ in one unit.

    Privacy: `rho` and `purchase_delta` are what the transcript's events add up to or more; epsilon is their
        conversion at delta - purchase_delta. With composition "gdp" all events are Gaussian, and the whole is mu-GDP with
        mu^2 = 2 rho. `training` holds gradient steps beside them.
    """

    rho: Fraction
    delta: Fraction
    purchase_delta: Fraction
    unit: PrivacyUnit
    composition: Composition = "zcdp"
    training: SampledGaussian | None = None

    @property
    def epsilon(self) -> float:
        """Epsilon at delta, rounded up."""
        return epsilon_for(self.rho, self.delta - self.purchase_delta, self.composition, self.training)

    @classmethod
    def for_budget(cls, budget: Budget, unit: PrivacyUnit, transcript: Transcript) -> Guarantee:
        """The guarantee of a fit that was held to `budget`: the whole budget counts as spent.

        Raises: MechanismError when the events add up to more, or not as the budget says: the accounting is broken, and
            nothing may be promised.
        """
        found = cls(
            rho=budget.rho,
            delta=budget.delta,
            purchase_delta=budget.purchase_delta,
            unit=unit,
            composition=budget.composition,
            training=budget.training,
        )
        found.require_covers(transcript)
        return found

    def require_covers(self, transcript: Transcript) -> None:
        """Raise MechanismError when the events add up to more than is promised, or not in the way that it says."""
        if sum((entry.event.rho for entry in transcript), Fraction(0)) > self.rho:
            raise MechanismError(
                "the transcript's events add up to more than the budget; this is a defect of privsynth"
            )
        if sum((entry.event.delta for entry in transcript), Fraction(0)) > self.purchase_delta:
            raise MechanismError(
                "the purchases' deltas add up to more than was set aside; this is a defect of privsynth"
            )
        steps = [entry.event for entry in transcript if entry.event.mechanism == "sampled-gaussian"]
        others = {entry.event.mechanism for entry in transcript} - {"sampled-gaussian"}
        if self.composition in {"gdp", "pld"} and others - {"rounded-gaussian"}:
            raise MechanismError("not all of the transcript's events are Gaussian; this is a defect of privsynth")
        if not _within(steps, self.training):
            raise MechanismError(
                "the transcript's gradient steps are not those of the budget; this is a defect of privsynth"
            )

    def statement(self, *, noise: str, transcript: Transcript) -> dict[str, object]:
        """The `guarantee` object of a certificate; numbers are decimal strings, rounded up."""
        stages: dict[tuple[str, str], list[Fraction]] = {}
        for entry in transcript:
            sums = stages.setdefault((entry.event.stage, entry.event.mechanism), [Fraction(0), Fraction(0)])
            sums[0] += entry.event.rho
            sums[1] += entry.event.delta
        selects = any(entry.event.mechanism == "exponential" for entry in transcript)
        noise_of = (
            f"rounded Gaussian{' and exponential mechanism' if selects else ''}, sampled exactly over the integers"
        )
        found: dict[str, object] = {
            "definition": self._definition,
            "relation": self.unit.relation.value,
            "unit": {"name": self.unit.name, "column": self.unit.column, "maxRows": self.unit.max_rows},
            "rho": decimal_up(self.rho),
            "epsilon": decimal_up(Fraction(self.epsilon), places=4),
            "delta": decimal_up(self.delta, places=15),
            "conversion": CONVERSIONS[self.composition],
            "noise": noise_of if self.training is None else f"{noise_of}; {GRADIENTS}",
            "randomness": noise,
            "stages": [
                {
                    "stage": stage,
                    "mechanism": MECHANISMS.get(mechanism, mechanism),
                    "rho": decimal_up(rho),
                    "delta": decimal_up(delta, places=15),
                }
                for (stage, mechanism), (rho, delta) in stages.items()
            ],
        }
        return found if self.training is None else {**found, "training": _training_statement(self.training)}

    @property
    def _definition(self) -> str:
        """By what the promise is defined: a curve of (epsilon, delta) where there is no single number for it."""
        match self.composition:
            case "gdp":
                return "Gaussian DP"
            case "pld":
                return "(epsilon, delta)-DP"
            case "rdp":
                return "approximate Renyi DP" if self.purchase_delta else "Renyi DP"
            case _:
                return "approximate zCDP" if self.purchase_delta else "zCDP"


def _within(steps: Sequence[Event], planned: SampledGaussian | None) -> bool:
    """Whether these events are at most the steps that were planned, with the noise that was."""
    if planned is None:
        return not steps
    alike = all(
        (event.sampling_rate, event.noise_multiplier) == (planned.sampling_rate, planned.noise_multiplier)
        and event.steps is not None
        and event.steps > 0
        for event in steps
    )
    return alike and sum(event.steps or 0 for event in steps) <= planned.steps


def _training_statement(training: SampledGaussian) -> dict[str, object]:
    return {
        "mechanism": MECHANISMS["sampled-gaussian"],
        "samplingRate": decimal_up(training.sampling_rate, places=15),
        "steps": training.steps,
        "noiseMultiplier": decimal_up(Fraction(math.floor(training.noise_multiplier * 10**10), 10**10), places=10),
    }


def decimal_up(number: Fraction, places: int = 9) -> str:
    """A decimal string that is never below the number: rounded up at that many places, trailing zeros dropped."""
    scaled = -((-number.numerator * 10**places) // number.denominator)
    text = format((Decimal(scaled) / 10**places).quantize(Decimal(1).scaleb(-places), rounding=ROUND_CEILING), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
