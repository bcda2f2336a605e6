"""Auditing a claim with one run: canaries are put in by fair coins, the coins are guessed, and the right guesses counted.

Must never be given guesses that were chosen with knowledge of the coins, nor a number of guesses that the coins decided.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.errors import AuditError
from privsynth.statistics import normal_cdf, normal_quantile

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
BlowUpInverse: TypeAlias = Callable[[float], float]
"""The smallest chance that an event has on one of two neighbours, by its chance on the other."""

_MOST_EPSILON = 64.0
_MOST_MU = 64.0
_STEPS = 50


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Guesses:
    """How many canaries there were, of how many the coin was guessed, and how many guesses were right.

    Raises: AuditError unless 0 <= right <= made <= canaries, with at least one canary.
    """

    canaries: int
    made: int
    right: int

    def __post_init__(self) -> None:
        if not (0 <= self.right <= self.made <= self.canaries and self.canaries):
            raise AuditError(
                f"{self.right} right guesses of {self.made} on {self.canaries} canaries: expected no more guesses than canaries"
            )


def guess(score: Floats, included: Flags, *, share: float, rng: np.random.Generator) -> Guesses:
    """Guess "in" for the canaries that score highest and "out" for those that score lowest, and count.

    `share` of all canaries are guessed, half of them each way; equal scores are ordered by `rng`, which knows no coin.
    """
    each = max(1, round(len(score) * share / 2))
    if len(score) < 2 or 2 * each > len(score):
        raise AuditError(
            f"a share of {share} of {len(score)} canaries leaves none to guess each way; take more canaries"
        )
    order = np.lexsort((rng.random(len(score)), score))
    right = int((~included[order[:each]]).sum() + included[order[-each:]].sum())
    return Guesses(canaries=len(score), made=2 * each, right=right)


# ---- (epsilon, delta) ------------------------------------------------------------------------------------------------


def _tail(trials: int, chance: float) -> Floats:
    """P(Binomial(trials, chance) >= k) for k = 0..trials. Shapes: (trials + 1,)."""
    k = np.arange(trials + 1)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, trials + 1)))])
    wrong = max(1 - chance, 1e-300)
    log = log_factorial[trials] - log_factorial[k] - log_factorial[trials - k]
    weights = np.exp(log + k * math.log(chance) + (trials - k) * math.log(wrong))
    tail: Floats = np.minimum(1.0, np.cumsum(weights[::-1])[::-1])
    return tail


def p_value(guesses: Guesses, *, epsilon: float, delta: float) -> float:
    """Chance of at least so many right guesses where one canary more or less keeps (epsilon, delta)-DP: an upper bound.

    With f(v) = P(Binomial(guesses, e^epsilon / (1 + e^epsilon)) >= v) it is
    f(v) + 2 m delta max over i = 1..m of (f(v - i) - f(v)) / i, for m canaries and v right guesses.
    Source: Steinke, Nasr, Jagielski 2023, "Privacy auditing with one (1) training run", theorem 5.2.
    """
    f = _tail(guesses.made, 1 / (1 + math.exp(-epsilon)))
    beta, right = float(f[guesses.right]), guesses.right
    if not right:
        return 1.0
    steps = np.arange(1, right + 1)
    alpha = float(((f[right - steps] - beta) / steps).max())
    return min(1.0, beta + 2 * guesses.canaries * delta * alpha)


def epsilon_lower(guesses: Guesses, *, delta: float, alpha: float) -> float:
    """The largest epsilon that the guesses refute at this delta, with confidence 1 - alpha; 0 where they refute none."""
    return _largest(lambda epsilon: p_value(guesses, epsilon=epsilon, delta=delta) <= alpha, _MOST_EPSILON)


def _largest(refuted: Callable[[float], bool], top: float) -> float:
    """The largest parameter that is refuted, to a part in 2^50 of the range and never above it."""
    if not refuted(0.0):
        return 0.0
    low, high = 0.0, top
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low


# ---- Gaussian DP -----------------------------------------------------------------------------------------------------


def _refuted(guesses: Guesses, inverse: BlowUpInverse, alpha: float) -> bool:
    """Whether so many right guesses cannot have a chance of alpha or more under a trade-off function.

    Were it alpha, the masses of right and of wrong guesses above each count would bound those below it, one count after the
    other, and all chances together would come to more than one.
    Source: Mahloujifar, Melis, Chaudhuri 2024, "Auditing f-differential privacy in one run", theorem 4.3 and its recursion.
    """
    made, right, canaries = guesses.made, guesses.right, guesses.canaries
    if not right:
        return False
    good, bad = alpha * right / canaries, alpha * (made - right) / canaries
    for count in range(right - 1, -1, -1):
        below = max(bad, inverse(good))
        good += count / (made - count) * (below - bad)
        bad = below
        if good + bad > made / canaries:
            return True
    return False


def _gaussian_inverse(mu: float) -> BlowUpInverse:
    def inverse(chance: float) -> float:
        return normal_cdf(normal_quantile(chance) - mu) if 0 < chance < 1 else float(chance >= 1)

    return inverse


def gaussian_p_value(guesses: Guesses, *, mu: float) -> float:
    """Chance of at least so many right guesses where one canary more or less keeps mu-GDP: an upper bound, to 1e-9.

    Tighter than `p_value` at any (epsilon, delta) of the same mechanism. Source: as `_refuted`.
    """
    inverse = _gaussian_inverse(mu)
    low, high = 0.0, 1.0
    while high - low > 1e-3 * high and high > 1e-9:
        middle = (low + high) / 2 if low else high / 8
        low, high = (low, middle) if _refuted(guesses, inverse, middle) else (middle, high)
    return high


def mu_lower(guesses: Guesses, *, alpha: float) -> float:
    """The largest mu that the guesses refute, with confidence 1 - alpha; 0 where they refute none."""
    return _largest(lambda mu: _refuted(guesses, _gaussian_inverse(mu), alpha), _MOST_MU)
