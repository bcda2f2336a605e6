"""From how well neighbouring inputs can be told apart to bounds on mu and epsilon, and from rho to what it implies, in floats.

Must never be what a release is accounted with: it recomputes, in other ways, what `privacy/accounting.py` proves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth import statistics
from privsynth.privacy.accounting import ORDERS, Composition, training_rdp
from privsynth.privacy.sampled_gaussian import SampledGaussian
from privsynth.sampled_curve import SampledCurve

Floats = npt.NDArray[np.float64]

_STEPS = 80
_ORDERS = 1 + np.exp(np.linspace(math.log(1e-4), math.log(1e7), 20_000))
_TINIEST = 1e-300
_GRID = 20_000


# ---- what rho implies ------------------------------------------------------------------------------------------------


def gaussian_delta(mu: float, epsilon: float) -> float:
    """The hockey-stick divergence of N(mu, 1) from N(0, 1), for any real epsilon. Source: Balle, Wang 2018, theorem 8."""
    if mu <= 0:
        return max(0.0, -math.expm1(epsilon))
    tail = statistics.normal_cdf(-mu / 2 - epsilon / mu)
    weighted = math.exp(epsilon + math.log(tail)) if tail > 0 else 0.0
    return max(0.0, statistics.normal_cdf(mu / 2 - epsilon / mu) - weighted)


def gaussian_epsilon(mu: float, delta: float) -> float:
    """The smallest epsilon >= 0 at which mu-GDP has this delta."""
    return _where_falls(lambda epsilon: gaussian_delta(mu, epsilon), delta)


def zcdp_epsilon(rho: float, delta: float) -> float:
    """An epsilon that rho-zCDP implies at delta: the best of 20,000 Renyi orders (Canonne, Kamath, Steinke 2020)."""
    a = _ORDERS
    every = rho * a + np.log1p(-1 / a) - (math.log(delta) + np.log(a)) / (a - 1)
    return max(0.0, float(every.min()))


def implied_epsilon(
    rho: float, delta: float, composition: Composition, training: SampledGaussian | None = None
) -> float:
    """Epsilon at delta of answers whose rhos add up to `rho` by this composition, and of gradient steps."""
    if training is not None:
        if composition == "pld":
            return SampledCurve.of(training, rho).epsilon(delta)
        return _renyi_epsilon(rho, delta, training)
    if rho <= 0:
        return 0.0
    return gaussian_epsilon(math.sqrt(2 * rho), delta) if composition == "gdp" else zcdp_epsilon(rho, delta)


def _renyi_epsilon(rho: float, delta: float, training: SampledGaussian) -> float:
    """The best of the ledger's orders."""
    a = np.array([float(order) for order in ORDERS])
    every = rho * a + np.array(training_rdp(training)) + np.log1p(-1 / a) - (math.log(delta) + np.log(a)) / (a - 1)
    return max(0.0, float(every.min()))


def _where_falls(curve: Callable[[float], float], delta: float) -> float:
    """Where a falling curve reaches delta, at or above zero."""
    if curve(0.0) <= delta:
        return 0.0
    high = 1.0
    while curve(high) > delta and high < 1e6:
        high *= 2
    low = 0.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if curve(middle) > delta else (low, middle)
    return low


# ---- from errors of a test to bounds ---------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """How often a test with a threshold fixed beforehand erred: on `runs` answers about each of two neighbours.

    Units: `false_positives` of the answers about the first, `false_negatives` of those about the second.
    """

    false_positives: int
    false_negatives: int
    runs: int

    def mu_between(self, alpha: float) -> tuple[float, float]:
        """Bounds on mu, each at confidence 1 - alpha, whatever mu-GDP mechanism made the answers (Clopper-Pearson twice).

        The upper one says how well this test told them apart, and bounds nothing that another test might find.
        """
        share = alpha / 2
        upper = [statistics.proportion_upper(count, self.runs, share) for count in self._counts]
        lower = [statistics.proportion_lower(count, self.runs, share) for count in self._counts]
        return -sum(map(_quantile, upper)), -sum(map(_quantile, lower))

    def gdp_p_value(self, mu: float) -> float:
        """P-value of "mu-GDP", whose false negative rate is at least Phi(Phi^-1(1 - false positive rate) - mu).

        Source: Dong, Roth, Su 2022.
        """
        return self.p_value(lambda rate: statistics.normal_cdf(-_quantile(rate) - mu))

    def advantage_p_value(self, advantage: float) -> float:
        """P-value of "the two rates of error add up to at least 1 - advantage"."""
        return self.p_value(lambda rate: max(0.0, 1 - advantage - rate))

    def p_value(self, least: Callable[[float], float]) -> float:
        """P-value of "the false negative rate is at least `least(false positive rate)`", a falling function.

        Whatever the rates, one of the two counts had to be this small: twice the larger of the two tails, at the rates of the
        curve where that is largest, which is where they cross.
        """
        low, high = 0.0, 1.0
        for _ in range(_STEPS):
            rate = (low + high) / 2
            one, other = self._up_to(self.false_positives, rate), self._up_to(self.false_negatives, least(rate))
            low, high = (rate, high) if one > other else (low, rate)
        rate = low
        tails = self._up_to(self.false_positives, rate), self._up_to(self.false_negatives, least(high))
        return min(1.0, 2 * max(min(tails), 0.0))

    def epsilon_lower(self, delta: float, alpha: float, *, group: int = 1) -> float:
        """Lower bound of epsilon at delta for one unit, from neighbours that differ in `group` units; for any mechanism.

        Source: Kairouz, Oh, Viswanath 2015 for the region of (epsilon, delta); group privacy: (g epsilon, delta
            (e^(g epsilon) - 1) / (e^epsilon - 1)).
        """
        positive, negative = (statistics.proportion_upper(count, self.runs, alpha / 2) for count in self._counts)

        def refuted(epsilon: float) -> bool:
            failure = group_delta(epsilon, delta, group)
            grown = math.exp(min(700.0, group * epsilon))
            return grown * positive + negative < 1 - failure or positive + grown * negative < 1 - failure

        if not refuted(0.0):
            return 0.0
        low, high = 0.0, 700.0 / group
        for _ in range(_STEPS):
            middle = (low + high) / 2
            low, high = (middle, high) if refuted(middle) else (low, middle)
        return low

    @property
    def _counts(self) -> tuple[int, int]:
        return self.false_positives, self.false_negatives

    def _up_to(self, count: int, rate: float) -> float:
        """P(at most `count` of the runs) at this rate."""
        if count >= self.runs or rate <= 0:
            return 1.0
        return statistics.beta_cdf(1 - rate, self.runs - count, count + 1) if rate < 1 else 0.0


def _quantile(rate: float) -> float:
    return statistics.normal_quantile(min(max(rate, _TINIEST), 1 - 1e-16))


def group_delta(epsilon: float, delta: float, group: int) -> float:
    """The delta of `group` units, of a mechanism that is (epsilon, delta)-DP for one."""
    return min(1.0, delta * sum(math.exp(min(700.0, turn * epsilon)) for turn in range(group)))


def best_group(mu: float, delta: float, runs: int, alpha: float, most: int = 12) -> int:
    """How many units let `runs` answers of a mu-GDP mechanism show the largest epsilon for one: decided beforehand."""
    return max(range(1, most + 1), key=lambda group: _expected(mu, delta, runs, alpha, group)[0])


def best_threshold(mu: float, delta: float, runs: int, alpha: float, group: int) -> float:
    """The log-likelihood ratio above which such a test best says "the other table", decided beforehand."""
    return _expected(mu, delta, runs, alpha, group)[1]


def _expected(mu: float, delta: float, runs: int, alpha: float, group: int) -> tuple[float, float]:
    """The largest expected `epsilon_lower` over some thresholds, and its threshold; normal approximations suffice to choose."""
    spread = group * mu
    z = statistics.normal_quantile(1 - alpha / 2)
    found = (0.0, 0.0)
    for step in range(61):
        threshold = spread * (step / 10 - 1)
        rates = (
            statistics.normal_cdf(-threshold / spread - spread / 2),
            statistics.normal_cdf(threshold / spread - spread / 2),
        )
        positive, negative = (p + z * math.sqrt(p / runs) + (z * z + 2) / (2 * runs) for p in rates)
        epsilon = gaussian_epsilon(mu, delta)
        room = 1 - negative - group_delta(epsilon, delta, group)
        if room > positive:
            found = max(found, (math.log(room / positive) / group, threshold))
    return found


def shows_twice(mu: float, runs: int, alpha: float, power: float = 0.95) -> bool:
    """Whether `runs` answers would refute mu-GDP at alpha with this power if the mechanism were really 2 mu-GDP."""
    rate = statistics.normal_cdf(-mu)
    z = statistics.normal_quantile(1 - (1 - power) / 2)
    count = min(runs, math.ceil(runs * rate + z * math.sqrt(runs * rate * (1 - rate))))
    return Errors(false_positives=count, false_negatives=count, runs=runs).gdp_p_value(mu) <= alpha


# ---- the exact curve -------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, kw_only=True)
class Curve:
    """The privacy loss of one Gaussian mechanism together with independent choices, each from known weights.

    Args: `mu` of all Gaussian answers together; `choices` holds, for each choice, the log-probabilities of its candidates on
        the one table and on the other. Losses of choices are rounded down to a grid, so that delta is a lower bound.
    """

    mu: float
    choices: Sequence[tuple[Floats, Floats]] = ()

    def delta(self, epsilon: float) -> float:
        """Hockey-stick divergence at epsilon, in the direction in which it is larger."""
        return max(self._towards(epsilon, losses) for losses in (self._forth, self._back))

    def epsilon(self, delta: float) -> float:
        """The epsilon at which this delta is reached."""
        return _where_falls(self.delta, delta)

    @cached_property
    def _forth(self) -> tuple[Floats, Floats]:
        return _losses([(other, one) for one, other in self.choices])

    @cached_property
    def _back(self) -> tuple[Floats, Floats]:
        return _losses(list(self.choices))

    def _towards(self, epsilon: float, losses: tuple[Floats, Floats]) -> float:
        values, chances = losses
        return float(sum(p * gaussian_delta(self.mu, epsilon - loss) for loss, p in zip(values, chances, strict=True)))


def _losses(choices: Sequence[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    """The sum of log(p / q) under p over independent choices, on at most a few hundred values: (values, probabilities).

    Rounding down happens twice: on a fine grid while adding, on a coarse one at the end.
    """
    if not choices:
        return np.zeros(1), np.ones(1)
    reach = sum(float(np.abs(p - q).max()) for p, q in choices)
    step = max(2 * reach / _GRID, 1e-12)
    first, chances = 0, np.ones(1)
    for p, q in choices:
        place = np.floor((p - q) / step).astype(np.int64)
        chances = np.convolve(chances, np.bincount(place - place.min(), weights=np.exp(p)))
        first += int(place.min())
    values = (first + np.arange(len(chances))) * step
    coarse = max(2 * reach / 400, step)
    block = np.floor((values - values[0]) / coarse).astype(np.int64)
    return values[0] + coarse * np.arange(block[-1] + 1), np.bincount(block, weights=chances).astype(np.float64)
