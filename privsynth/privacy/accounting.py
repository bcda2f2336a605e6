"""Accounting: from what was spent to what it means, and from what is allowed to what may be spent.

Must never look at data, and must never round in the spender's favour: costs are integers rounded up, caps rounded down.

The currency inside a release is rho, in exact fractions: zCDP, or where all noise is Gaussian mu-GDP with mu^2 = 2 rho, which
is more; gradient steps, whose number and noise are fixed beforehand, come on top. The ledger's is Renyi DP at a fixed grid of
orders; a mu-GDP release costs its rho there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Literal, TypeAlias, final

from privsynth.errors import MechanismError
from privsynth.privacy import gaussian_curve, renyi
from privsynth.privacy.sampled_gaussian import SampledGaussian, loss_epsilon

Exact: TypeAlias = Fraction | int | str | float
"""A number given exactly: a fraction, an integer, a decimal string, or a float taken at its binary value."""

Composition: TypeAlias = Literal["gdp", "zcdp", "pld", "rdp"]
"""How the answers of one fit add up: Gaussian noise alone ("gdp"), or any mechanism that is zCDP ("zcdp"); and the same with
gradient steps beside them, by privacy loss distributions ("pld"), or by Renyi divergences ("rdp")."""

NANO = 10**9
PICO = 10**12
MAX_EPSILON = 10_000

ORDERS: tuple[Fraction, ...] = tuple(1 + Fraction(round(1000 * 2 ** (step / 4)), 1000) for step in range(-12, 61))
"""Renyi orders that the ledger keeps, from 1.125 to 32,769, a quarter of an octave apart (of order minus one)."""

CONVERSIONS: Mapping[Composition, str] = {
    "zcdp": "zCDP to (epsilon, delta) by Canonne, Kamath, Steinke 2020, proposition 12, minimised over the order",
    "gdp": "mu-GDP, mu = sqrt(2 rho), to (epsilon, delta) by the Gaussian mechanism's own curve (Balle, Wang 2018, theorem 8; "
    "Dong, Roth, Su 2022)",
    "pld": "privacy loss distributions of the Gaussian answers (mu = sqrt(2 rho)) and of every Poisson-subsampled Gaussian "
    "step, composed numerically with pessimistic rounding (Koskela et al. 2020; Doroshenko et al. 2022), the larger of the "
    "directions add and remove",
    "rdp": "Renyi DP of the answers (rho times the order) and of every Poisson-subsampled Gaussian step (Mironov, Talwar, "
    "Zhang 2019), to (epsilon, delta) by Canonne, Kamath, Steinke 2020, proposition 12, minimised over the ledger's orders",
}
"""What a certificate says about how its epsilon was computed."""

_GAUSSIAN_RHO_MOST = 20_000
_EPSILON_BITS = 44


def positive(value: Exact, what: str) -> Fraction:
    """Read an exact positive number; MechanismError for zero, negative, NaN, infinite or unreadable ones."""
    try:
        number = Fraction(value)
    except (ValueError, OverflowError, TypeError, ZeroDivisionError):
        raise MechanismError(f"{what} must be a positive number, written like 1.0 or 1e-6") from None
    if number <= 0:
        raise MechanismError(f"{what} must be above zero; {what} = {value} promises nothing that can be computed")
    return number


def probability(value: Exact, what: str = "delta") -> Fraction:
    """Read an exact probability strictly between 0 and 1."""
    number = positive(value, what)
    if number < Fraction(1, 10**300):
        raise MechanismError(f"{what} = {value} is too small to compute with; ask for at least 1e-300")
    if number >= 1:
        raise MechanismError(f"{what} must be below 1, and far below one over the number of people; found {value}")
    return number


def _epsilon_at_order(rdp: float, order: float, delta: float) -> float:
    """(epsilon, delta) from Renyi divergence `rdp` at one order. Source: CKS 2020, proposition 12."""
    return rdp + math.log1p(-1 / order) - (math.log(delta) + math.log(order)) / (order - 1)


def epsilon_of(rho: Exact, delta: Exact) -> float:
    """An epsilon that rho-zCDP implies at delta, minimised over the order, rounded up.

    Privacy: every order gives a valid bound, so the search's tolerance costs tightness and never validity.
    Source: Canonne, Kamath, Steinke 2020, proposition 12, minimised over the order.
    """
    if rho == 0:
        return 0.0
    cost, failure = float(positive(rho, "rho")), float(probability(delta))

    def at(log_order: float) -> float:
        order = 1 + math.exp(log_order)
        return _epsilon_at_order(cost * order, order, failure)

    low, high = math.log(1e-6), math.log(1e9)
    for _ in range(200):
        third = (high - low) / 3
        if at(low + third) <= at(high - third):
            high -= third
        else:
            low += third
    return max(0.0, at((low + high) / 2)) * (1 + 1e-12)


def rho_for(epsilon: Exact, delta: Exact) -> Fraction:
    """The largest rho (a multiple of 2**-60) whose epsilon at delta is at most `epsilon`.

    Raises: MechanismError when epsilon or delta is not a positive number, or delta is not below 1.
    """
    target, failure = _target(epsilon), probability(delta)
    low, high = 0, 2**60 * (int(target) + 1)
    while high - low > 1:
        middle = (low + high) // 2
        if epsilon_of(Fraction(middle, 2**60), failure) <= target:
            low = middle
        else:
            high = middle
    return _budget(low, epsilon, delta)


def _target(epsilon: Exact) -> Fraction:
    target = positive(epsilon, "epsilon")
    if target > MAX_EPSILON:
        raise MechanismError(f"epsilon = {epsilon} is no protection; ask for at most {MAX_EPSILON}")
    return target


def _budget(units: int, epsilon: Exact, delta: Exact) -> Fraction:
    if units == 0:
        raise MechanismError(f"epsilon = {epsilon} at delta = {delta} leaves no budget; raise one of them")
    return Fraction(units, 2**60)


@lru_cache(maxsize=256)
def gaussian_epsilon_of(rho: Exact, delta: Exact) -> float:
    """The epsilon that mu-GDP with mu^2 = 2 rho implies at delta: the Gaussian mechanism's own, rounded up.

    Privacy: the result is proved by enclosures (`gaussian_curve.suffices`); it is within 1e-12 of the smallest. Beyond rho =
        20,000, where nothing is protected, it is the zCDP bound, which holds too.
    """
    if rho == 0:
        return 0.0
    cost, failure = positive(rho, "rho"), probability(delta)
    bound = epsilon_of(cost, failure)
    if cost > _GAUSSIAN_RHO_MOST:
        return bound
    low, high = Fraction(0), Fraction(bound)
    if gaussian_curve.suffices(cost, low, failure):
        return 0.0
    while (high - low) * 2**_EPSILON_BITS > high:
        middle = (low + high) / 2
        if gaussian_curve.suffices(cost, middle, failure):
            high = middle
        else:
            low = middle
    return math.nextafter(float(high), math.inf)


@lru_cache(maxsize=256)
def gaussian_rho_for(epsilon: Exact, delta: Exact) -> Fraction:
    """A rho (a multiple of 2**-60), largest to within 1e-10, for which mu-GDP with mu^2 = 2 rho has `epsilon` at delta.

    Its `gaussian_epsilon_of` is at most `epsilon`. Raises: as `rho_for`.
    """
    target, failure = _target(epsilon), probability(delta)
    room = target * (1 - Fraction(1, 2**36))  # for the rounding of gaussian_epsilon_of
    low, high = 0, 2**60 * (int(target) + 1)
    while gaussian_curve.suffices(Fraction(high, 2**60), room, failure):
        low, high = high, 2 * high
    while high - low > max(1, low >> _EPSILON_BITS):
        middle = (low + high) // 2
        if gaussian_curve.suffices(Fraction(middle, 2**60), room, failure):
            low = middle
        else:
            high = middle
    return _budget(low, epsilon, delta)


def budget_for(epsilon: Exact, delta: Exact, composition: Composition) -> Fraction:
    """The rho that (epsilon, delta) leaves to answers that add up this way, where there is nothing else."""
    return gaussian_rho_for(epsilon, delta) if composition in {"gdp", "pld"} else rho_for(epsilon, delta)


@lru_cache(maxsize=256)
def training_rdp(training: SampledGaussian) -> tuple[float, ...]:
    """Renyi divergence of all its steps at ORDERS, rounded up."""
    rate, multiplier = float(training.sampling_rate), float(training.noise_multiplier)
    return tuple(training.steps * renyi.divergence(rate, multiplier, float(order)) for order in ORDERS)


def renyi_epsilon_of(rho: Exact, delta: Exact, training: SampledGaussian) -> float:
    """The epsilon that rho-zCDP answers and gradient steps imply together at delta, at the best of ORDERS, rounded up.

    Source: Mironov 2017, proposition 1 (adaptive composition); Canonne, Kamath, Steinke 2020, proposition 12.
    """
    cost, failure = float(Fraction(rho)), float(probability(delta))
    each = zip(ORDERS, training_rdp(training), strict=True)
    found = (_epsilon_at_order(cost * float(order) + rdp, float(order), failure) for order, rdp in each)
    return max(0.0, min(found)) * (1 + 1e-12)


def epsilon_for(
    rho: Fraction,
    delta: Fraction,
    composition: Composition,
    training: SampledGaussian | None = None,
    *,
    coarse: bool = False,
) -> float:
    """The epsilon at delta of answers that add up to rho this way, and of gradient steps, rounded up.

    Args: `coarse` is for searching (`sampled_gaussian.loss_epsilon`).
    Raises: MechanismError where there are gradient steps and the composition has no place for them, or the other way round.
    """
    if (training is not None) != (composition in {"pld", "rdp"}):
        raise MechanismError(
            f'"{composition}" does not say how {"gradient steps" if training else "answers alone"} add up'
        )
    if training is None:
        return gaussian_epsilon_of(rho, delta) if composition == "gdp" else epsilon_of(rho, delta)
    if composition == "pld":
        return loss_epsilon(training, rho=rho, delta=delta, coarse=coarse)
    return renyi_epsilon_of(rho, delta, training)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a release costs, as the ledger keeps it.

    Units: `nano_rdp[i]` is 1e-9 of Renyi divergence at ORDERS[i], rounded up; `pico_delta` 1e-12 of probability, rounded up.
    Privacy: costs of adaptively chosen releases add up at a fixed order (Feldman, Zrnic 2021; Whitehouse et al. 2023).
    """

    nano_rdp: tuple[int, ...]
    pico_delta: int

    def __post_init__(self) -> None:
        if len(self.nano_rdp) != len(ORDERS) or min((*self.nano_rdp, self.pico_delta)) < 0:
            raise MechanismError(f"a cost has {len(ORDERS)} orders and no negative part")

    @classmethod
    def of(cls, rho: Exact, delta: Exact = 0, training: SampledGaussian | None = None) -> Cost:
        """The cost of rho-zCDP (a straight line in the order) with additional failure probability delta; and of `training`."""
        spent, failure = Fraction(rho), Fraction(delta)
        steps = (0.0,) * len(ORDERS) if training is None else training_rdp(training)
        return cls(
            nano_rdp=tuple(
                math.ceil(spent * order * NANO) + math.ceil(Fraction(rdp) * NANO)
                for order, rdp in zip(ORDERS, steps, strict=True)
            ),
            pico_delta=math.ceil(failure * PICO),
        )

    @classmethod
    def total(cls, costs: Iterable[Cost]) -> Cost:
        """The sum of costs; the zero cost for none."""
        out = cls.of(0)
        for cost in costs:
            out = out + cost
        return out

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            nano_rdp=tuple(a + b for a, b in zip(self.nano_rdp, other.nano_rdp, strict=True)),
            pico_delta=self.pico_delta + other.pico_delta,
        )


def _room(epsilon: Fraction, delta: Fraction, order: Fraction) -> float:
    """Renyi divergence that (epsilon, delta / 2) leaves at an order."""
    return float(epsilon) - _epsilon_at_order(0.0, float(order), float(delta / 2))


@lru_cache(maxsize=256)
def _best_order(epsilon: Fraction, delta: Fraction) -> int:
    return max(range(len(ORDERS)), key=lambda index: _room(epsilon, delta, ORDERS[index]) / float(ORDERS[index]))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """What a population may ever spend: (epsilon, delta) for life, held at one Renyi order fixed in advance.

    Half of delta pays for the conversion, half for mechanisms with a failure probability of their own.
    Privacy: a filter at a fixed order stays valid when releases are chosen adaptively; the order that admits the most
        zCDP is chosen here, from epsilon and delta alone, and never again.
    Source: Feldman, Zrnic 2021 ("Individual privacy accounting via a Renyi filter"), for the fixed-order filter.
    """

    epsilon: Fraction
    delta: Fraction

    def __post_init__(self) -> None:
        if positive(self.epsilon, "lifetime epsilon") > MAX_EPSILON:
            raise MechanismError(f"a lifetime epsilon above {MAX_EPSILON} is no protection; ask for less")
        probability(self.delta, "lifetime delta")
        if self.nano_rdp <= 0:
            raise MechanismError("the lifetime epsilon and delta leave no budget; raise one of them")

    @classmethod
    def of(cls, epsilon: Exact, delta: Exact) -> Cap:
        """Read a cap from exact numbers."""
        return cls(epsilon=positive(epsilon, "lifetime epsilon"), delta=probability(delta, "lifetime delta"))

    @property
    def order_index(self) -> int:
        """Index into ORDERS of the order at which this cap is held."""
        return _best_order(self.epsilon, self.delta)

    @property
    def nano_rdp(self) -> int:
        """The cap at that order, rounded down."""
        return math.floor(_room(self.epsilon, self.delta, ORDERS[self.order_index]) * (1 - 1e-12) * NANO)

    @property
    def pico_delta(self) -> int:
        """The cap on the sum of the mechanisms' own failure probabilities, rounded down."""
        return math.floor(self.delta / 2 * PICO)

    def admits(self, cost: Cost) -> bool:
        """Whether a population that has spent `cost` in all is within this cap."""
        return cost.nano_rdp[self.order_index] <= self.nano_rdp and cost.pico_delta <= self.pico_delta

    def epsilon_spent(self, cost: Cost) -> float:
        """Epsilon, at this cap's delta, of all that was spent, at the order that shows it smallest; 0 when nothing was.

        For reading, not a bound on adaptively chosen releases: that is the cap itself, which `admits` holds at one order.
        """
        if cost == Cost.of(0):
            return 0.0
        each = zip(cost.nano_rdp, ORDERS, strict=True)
        failure = float(self.delta / 2)
        return max(0.0, min(_epsilon_at_order(rdp / NANO, float(order), failure) for rdp, order in each)) * (1 + 1e-12)
