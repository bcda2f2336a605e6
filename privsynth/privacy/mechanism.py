"""The mechanisms: an exact answer, its sensitivity and a budget go in; a noisy answer and its event come out.

Must never be told a noise scale: it is computed here from the sensitivity and the budget, and rounded up.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from privsynth.errors import MechanismError
from privsynth.measurement import Event
from privsynth.privacy.sampled_gaussian import SampledGaussian
from privsynth.privacy.source import MAX_COUNT_SIGMA, MAX_SIGMA, AbstractNoiseSource

_SIGMA_GRID = 1 << 20
_EPSILON_GRID = 1 << 40


def _require_budget(rho: Fraction) -> None:
    if type(rho) is not Fraction or rho <= 0:
        raise MechanismError("a mechanism needs a budget above zero, as an exact fraction")


def gaussian_variance(sensitivity_squared: int, rho: Fraction, *, most: int = MAX_COUNT_SIGMA) -> Fraction:
    """The smallest sigma^2 (a multiple of 2^-20) for which Gaussian noise is rho-zCDP, and mu-GDP with mu^2 = 2 rho.

    Source: Bun, Steinke 2016, proposition 6; Dong, Roth, Su 2022, theorem 1: sigma^2 >= sensitivity^2 / (2 rho).
    Raises: MechanismError when sigma would be above `most`.
    """
    _require_budget(rho)
    variance = Fraction(math.ceil(sensitivity_squared / (2 * rho) * _SIGMA_GRID), _SIGMA_GRID)
    if variance > most**2:
        raise MechanismError(f"this budget needs noise of more than {most} records a cell; raise it, or ask for less")
    return variance


def sampled_variance(sensitivity: int, plan: SampledGaussian) -> Fraction:
    """The smallest sigma^2 (a multiple of 2^-20) with sigma at least `noise_multiplier` times the sensitivity.

    Raises: MechanismError when sigma would be above 2^40.
    """
    variance = Fraction(math.ceil((plan.noise_multiplier * sensitivity) ** 2 * _SIGMA_GRID), _SIGMA_GRID)
    if variance > MAX_SIGMA**2:
        raise MechanismError("this budget needs more noise than can be drawn; raise it, or take fewer steps")
    return variance


def exponential_epsilon(rho: Fraction) -> Fraction:
    """The largest epsilon (a multiple of 2^-40) for which the exponential mechanism is rho-zCDP: epsilon^2 / 8 <= rho.

    Source: Cesar, Rogers 2021: the mechanism's privacy loss has range epsilon, and epsilon-bounded range is
        epsilon^2/8-zCDP.
    """
    _require_budget(rho)
    squared = 8 * rho * _EPSILON_GRID**2
    return Fraction(math.isqrt(math.floor(squared)), _EPSILON_GRID)


def gaussian(
    answers: Sequence[npt.NDArray[np.int64]],
    *,
    sensitivity_squared: int,
    shares: Sequence[Fraction],
    stage: str,
    noise: AbstractNoiseSource,
    most: int = MAX_COUNT_SIGMA,
) -> tuple[list[npt.NDArray[np.int64]], list[Event]]:
    """Release integer tables with rounded Gaussian noise, the t-th for its share of the budget.

    Privacy: mu-GDP with mu^2 = 2 rho, and so rho-zCDP, for all of them together, rho the sum of the shares, when each has
        the stated squared L2 sensitivity. Proof: divided by their sigmas and stacked, the tables have squared sensitivity
        sum(sensitivity^2 / sigma_t^2) <= 2 rho, so adding N(0, sigma_t^2) to each is one Gaussian mechanism; the exact
        answers are integers, so answer + round(noise) = round(answer + noise) is computed from its output alone.
    Returns: the noisy tables, shaped like the answers, and the event of each one of them.
    """
    variances = [gaussian_variance(sensitivity_squared, share, most=most) for share in shares]
    noisy: list[npt.NDArray[np.int64]] = []
    for variance, alike in itertools.groupby(zip(variances, answers, strict=True), key=lambda pair: pair[0]):
        tables = [answer for _, answer in alike]
        drawn = noise.gaussian(np.concatenate([table.reshape(-1) for table in tables]), variance)
        ends = np.cumsum([table.size for table in tables])[:-1]
        noisy += [part.reshape(table.shape) for part, table in zip(np.split(drawn, ends), tables, strict=True)]
    return noisy, [
        Event(
            stage=stage,
            mechanism="rounded-gaussian",
            rho=share,
            sensitivity_squared=sensitivity_squared,
            sigma_squared=variance,
        )
        for share, variance in zip(shares, variances, strict=True)
    ]


def exponential(
    scores: npt.NDArray[np.int64], *, sensitivity: int, rho: Fraction, stage: str, noise: AbstractNoiseSource
) -> tuple[int, Event]:
    """Choose a candidate of high score: P(i) proportional to exp(epsilon * scores[i] / (2 * sensitivity)).

    Privacy: rho-zCDP when one unit changes each score by at most `sensitivity`, in either direction (the coefficient 1/2
        is for scores that are not monotone).
    Returns: the chosen index and the event.
    """
    epsilon = exponential_epsilon(rho)
    event = Event(stage=stage, mechanism="exponential", rho=rho, sensitivity_squared=sensitivity**2, epsilon=epsilon)
    return noise.exponential(scores, epsilon / (2 * sensitivity)), event
