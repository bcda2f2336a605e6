"""Gradient steps as a mechanism: the Poisson-subsampled Gaussian, taken a number of times that is fixed beforehand.

Must never take a sampling rate, a number of steps or a noise multiplier from data: they are public, and part of the plan.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, final

from privsynth.errors import InputError, MechanismError

if TYPE_CHECKING:
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution

GRID: Final = 1 << 10
"""Noise multipliers that are computed are multiples of 1 / GRID."""

LEAST_MULTIPLIER: Final = Fraction(1, 4)
MOST_MULTIPLIER: Final = Fraction(200)
"""Below the one, less noise buys nothing worth having; above the other, a step learns nothing."""

MOST_STEPS: Final = 100_000
"""Up to so many steps, epsilon is computed in seconds and was held against exact values."""

NO_REPLACEMENT: Final = (
    "sampled gradients are accounted for adding or removing a unit, and nothing tight is proved for replacing one under "
    "Poisson sampling; take the relation add-remove, or a generator of tables"
)

_ROOM: Final = 1e-6
_REACH: Final = 10.0
"""Beyond so many sigma lies less than dp-accounting follows."""

_MASS_ROOM: Final = 2.0**-42
_MASS_ROOM_EACH: Final = 2.0**-52
_MISSING: Final = (
    'gradient steps are accounted with dp-accounting, which is not installed: pip install "privsynth[deep]"'
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SampledGaussian:
    """`steps` sums of clipped gradients, each over units that are sampled independently with probability `sampling_rate`.

    Units: `noise_multiplier` is the Gaussian's sigma over the L2 sensitivity of one unit.
    """

    sampling_rate: Fraction
    steps: int
    noise_multiplier: Fraction

    def __post_init__(self) -> None:
        _require_schedule(self.sampling_rate, self.steps)
        if type(self.noise_multiplier) is not Fraction or self.noise_multiplier <= 0:
            raise MechanismError("a noise multiplier is an exact fraction above 0")

    def to_json(self) -> dict[str, Any]:
        """A JSON object; exact numbers are strings "p/q"."""
        return {
            "samplingRate": str(self.sampling_rate),
            "steps": self.steps,
            "noiseMultiplier": str(self.noise_multiplier),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SampledGaussian:
        """Read what `to_json` wrote."""
        return cls(
            sampling_rate=Fraction(value["samplingRate"]),
            steps=value["steps"],
            noise_multiplier=Fraction(value["noiseMultiplier"]),
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What a generator declares of its training before it knows the budget.

    Units: `first_share` of the whole budget's rho (of mu^2) goes to the answers that training starts from; 0 for none.
    """

    sampling_rate: Fraction
    steps: int
    first_share: Fraction

    def __post_init__(self) -> None:
        _require_schedule(self.sampling_rate, self.steps)
        if type(self.first_share) is not Fraction or not 0 <= self.first_share < 1:
            raise MechanismError("the first share of a budget is an exact fraction, at least 0 and below 1")

    def training(self, noise_multiplier: Fraction) -> SampledGaussian:
        """The steps with this much noise."""
        return SampledGaussian(sampling_rate=self.sampling_rate, steps=self.steps, noise_multiplier=noise_multiplier)

    def allows(self, training: SampledGaussian) -> bool:
        """Whether these are the declared steps, with any noise."""
        return (training.sampling_rate, training.steps) == (self.sampling_rate, self.steps)


def _require_schedule(sampling_rate: Fraction, steps: int) -> None:
    if type(sampling_rate) is not Fraction or not 0 < sampling_rate <= 1:
        raise MechanismError("a sampling rate is an exact fraction above 0 and at most 1")
    if type(steps) is not int or not 1 <= steps <= MOST_STEPS:
        raise MechanismError(f"training takes a whole number of steps, from 1 to {MOST_STEPS:,}; found {steps!r}")


# ---- privacy loss distributions --------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def loss_epsilon(training: SampledGaussian, *, rho: Fraction, delta: Fraction, coarse: bool = False) -> float:
    """Epsilon at delta, rounded up, of all steps and of Gaussian answers with mu^2 = 2 rho together.

    `coarse` is faster, and larger by a few parts in a thousand at the most.
    Privacy: for adding or removing one unit, the larger of the two directions; the pairs of distributions that dominate single
        mechanisms dominate their adaptive composition (Zhu, Dong, Wang 2022, theorems 10 and 11), and Gaussian answers with
        adaptively chosen scales are dominated by one of their total mu, wherever among the steps they are asked. Losses
        are put on a grid pessimistically, by connecting the dots (Doroshenko et al. 2022). What floats round is paid
        for by taking mass from delta and by a relative 1e-6.
    Raises: MechanismError for a delta too small to be told from rounding; InputError without dp-accounting.
    """
    found: float = _composed(training, rho, coarse=coarse).get_epsilon_for_delta(_usable(delta, training))
    if not math.isfinite(found):
        raise MechanismError(
            f"no epsilon can be stated at delta = {float(delta):g} for so little noise; ask for more noise"
        )
    return math.nextafter(found * (1 + _ROOM), math.inf) if found > 0 else 0.0


def loss_delta(training: SampledGaussian, *, rho: Fraction, epsilon: float) -> float:
    """Delta at epsilon, rounded up, of the same: the curve of `loss_epsilon`."""
    found = float(_composed(training, rho, coarse=False).get_delta_for_epsilon(epsilon / (1 + _ROOM)))
    return min(1.0, found * (1 + _ROOM) + _lost(training))


def _lost(training: SampledGaussian) -> float:
    """Probability that rounding in Fourier transforms may have lost: 2^-52 of the whole a step, and 2^-42."""
    return _MASS_ROOM + _MASS_ROOM_EACH * training.steps


def _usable(delta: Fraction, training: SampledGaussian) -> float:
    lost = _lost(training)
    if float(delta) < 4 * lost:
        raise MechanismError(
            f"delta = {float(delta):g} cannot be told from rounding over {training.steps:,} gradient steps; ask for at least "
            f"{4 * lost:.1g}"
        )
    return float(delta) - lost


def _interval(training: SampledGaussian, rho: Fraction) -> float:
    """The losses' grid, a power of two: a 64th of what one step's losses spread, but not millions of points.

    A coarser grid is less tight and holds as well.
    """
    rate, multiplier = float(training.sampling_rate), float(training.noise_multiplier)
    ends = ((1 / multiplier + _REACH) / multiplier - multiplier**-2 / 2, -_REACH / multiplier - multiplier**-2 / 2)
    most, least = (_loss(rate, tilt) for tilt in ends)
    single = min(1 / multiplier, rate * math.sqrt(math.expm1(min(700.0, multiplier**-2))))
    whole = math.sqrt(2 * rho + training.steps * single**2)
    return 2.0 ** math.floor(math.log2(max(single / 64, whole / 2**15, (most - least) / 2**18)))


def _loss(rate: float, tilt: float) -> float:
    """log(1 - rate + rate e^tilt)."""
    if rate == 1 or tilt > 700:
        return tilt + math.log(rate)
    return math.log1p(rate * math.expm1(tilt))


@lru_cache(maxsize=16)
def _composed(training: SampledGaussian, rho: Fraction, *, coarse: bool) -> PrivacyLossDistribution:
    try:
        from dp_accounting.pld import privacy_loss_distribution as losses
    except ImportError:
        raise InputError(_MISSING) from None
    interval = _interval(training, rho) * (8 if coarse else 1)
    steps = losses.from_gaussian_mechanism(
        float(training.noise_multiplier),
        sampling_prob=float(training.sampling_rate),
        value_discretization_interval=interval,
    ).self_compose(training.steps)
    if not rho:
        return steps
    answers = losses.from_gaussian_mechanism(1 / math.sqrt(2 * rho), value_discretization_interval=interval)
    return steps.compose(answers)


# ---- the noise that a budget needs -----------------------------------------------------------------------------------


def smallest_multiplier(schedule: Schedule, suffices: Callable[[SampledGaussian, bool], bool]) -> Fraction | None:
    """The smallest noise multiplier on the grid that suffices; None where the largest one does not.

    Args: `suffices(training, coarse)` is asked coarsely to find the place, and finely there: what is returned suffices finely,
        and one step of the grid less does not (unless it is the least there is).
    """

    def enough(place: int, *, coarse: bool) -> bool:
        return suffices(schedule.training(Fraction(place, GRID)), coarse)

    least, most = math.ceil(LEAST_MULTIPLIER * GRID), math.floor(MOST_MULTIPLIER * GRID)
    found = _bisected(least, most, lambda place: enough(place, coarse=True))
    low, high, reach = found - 1, found, 1
    while high < most and not enough(high, coarse=False):
        low, high, reach = high, min(most, high + reach), 2 * reach
    if high == most and not enough(most, coarse=False):
        return None
    if high == found:
        reach = 1
        while high > least and enough(max(least, high - reach), coarse=False):
            high, reach = max(least, high - reach), 2 * reach
        low = max(least - 1, high - reach)
    return Fraction(_bisected(low + 1, high, lambda place: enough(place, coarse=False)), GRID)


def _bisected(low: int, high: int, enough: Callable[[int], bool]) -> int:
    """The first of low .. high that is enough, where more always is; `high` where none below it is."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low
