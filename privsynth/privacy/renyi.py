"""Renyi divergence of the Poisson-subsampled Gaussian, at any order: for the ledger, and beside what is bought.

Must never return less than the divergence: where it is not computed to the last digits, it is bounded from above.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

_ROOM: Final = 1e-8
"""Relative, for rounding: what is computed here is good to 1e-9 of itself, which `tests` hold against 30 digits."""

_INTEGRATED_TO: Final = 64.0
_EXPONENT_MOST: Final = 600.0
_REACH: Final = 12.0
_STEP: Final = 1 / 8
_NEAR: Final = 2.0**-10
_TERMS: Final = 12


@lru_cache(maxsize=8192)
def divergence(rate: float, noise_multiplier: float, order: float) -> float:
    """Renyi divergence, rounded up, of one sum over units sampled with probability `rate`; adding or removing one unit.

    Privacy: with r the likelihood ratio 1 - q + q exp((2x - 1) / (2 sigma^2)) under x ~ N(0, sigma^2), and A(a) = E[r^a], it is
        log A(a) / (a - 1), and no larger in the other direction.
    Source: Mironov, Talwar, Zhang 2019 ("Renyi differential privacy of the sampled Gaussian mechanism"), theorems 4 and 5.
        log A is convex in the order, as every cumulant generating function is, so that chords lie above it.
    """
    if rate >= 1:
        return order / (2 * noise_multiplier**2) * (1 + _ROOM)
    steepest = order * (order / noise_multiplier + _REACH) / noise_multiplier
    if order <= _INTEGRATED_TO and steepest <= _EXPONENT_MOST:
        log_moment = math.log1p(_excess(rate, noise_multiplier, order))
    else:
        below = max(1, math.floor(order))
        share = order - below
        log_moment = (1 - share) * _log_moment(rate, noise_multiplier, below)
        log_moment += share * _log_moment(rate, noise_multiplier, below + 1) if share else 0.0
    return log_moment / (order - 1) * (1 + _ROOM)


def _excess(rate: float, noise_multiplier: float, order: float) -> float:
    """A(a) - 1 = E[r^a - 1 - a (r - 1)], by the trapezoidal rule.

    Proof that its error is below rounding: r is analytic and not zero where |Im x| < pi sigma^2, so in z = x / sigma the strip
        is pi sigma wide; with steps of min(1, sigma) / 8 the error is of the order exp(-16 pi^2), or exp(-128 pi^2) for the
        Gaussian's part. 12 sigma beyond the largest x that matters, a, less than 1e-31 is left.
    """
    step = min(1.0, noise_multiplier) * _STEP
    z = np.arange(math.floor(-_REACH / step), math.ceil((order / noise_multiplier + _REACH) / step) + 1) * step
    u = rate * np.expm1(z / noise_multiplier - 1 / (2 * noise_multiplier**2))
    bent = np.where(np.abs(u) < _NEAR, _bend(u, order), np.expm1(order * np.log1p(u)) - order * u)
    return float(np.sum(bent * np.exp(-z * z / 2)) * step / math.sqrt(2 * math.pi))


def _bend(u: npt.NDArray[np.float64], order: float) -> npt.NDArray[np.float64]:
    """(1 + u)^a - 1 - a u for small u, without cancellation: the binomial series from its second term on."""
    small = np.clip(u, -_NEAR, _NEAR)
    term = order * small
    total = np.zeros_like(small)
    for k in range(2, _TERMS):
        term = term * small * (order - k + 1) / k
        total += term
    return total


def _log_moment(rate: float, noise_multiplier: float, order: int) -> float:
    """log A at a whole order: A - 1 is a sum of positive terms, the binomial's times exp((k^2 - k) / (2 sigma^2)) - 1."""
    if order < 2:
        return 0.0
    k = np.arange(2, order + 1)
    factorials = _log_factorials(order + 1)
    binomial = factorials[order] - factorials[k] - factorials[order - k]
    chance = binomial + k * math.log(rate) + (order - k) * math.log1p(-rate)
    power = (k * k - k) / (2 * noise_multiplier**2)
    logs = chance + power + np.log1p(-np.exp(-power))
    most = float(logs.max())
    return float(np.logaddexp(0.0, most + math.log(float(np.exp(logs - most).sum()))))


@lru_cache(maxsize=2)
def _all_log_factorials(count: int) -> npt.NDArray[np.float64]:
    return np.array([math.lgamma(number + 1) for number in range(count)])


def _log_factorials(count: int) -> npt.NDArray[np.float64]:
    """log k! for k below `count`, and more."""
    return _all_log_factorials(1 << (count - 1).bit_length())
