"""The mechanisms: an exact answer, its sensitivity and a budget go in; a noisy answer and its event come out.

Must never be told a noise scale: it is computed here from the sensitivity and the budget, and rounded up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from privsynth.errors import MechanismError
from privsynth.measurement import Event
from privsynth.privacy.source import MAX_SIGMA, AbstractNoiseSource

_SIGMA_GRID = 1 << 20
_EPSILON_GRID = 1 << 40


def _require_budget(rho: Fraction) -> None:
    if not isinstance(rho, Fraction) or rho <= 0:
        raise MechanismError("a mechanism needs a budget above zero, as an exact fraction")


def gaussian_variance(sensitivity_squared: int, rho: Fraction) -> Fraction:
    """The smallest sigma^2 (a multiple of 2^-20) for which the discrete Gaussian is rho-zCDP.

    Source: Canonne, Kamath, Steinke 2020, theorem 14 (multivariate): sigma^2 >= sensitivity^2 / (2 rho).
    """
    _require_budget(rho)
    variance = Fraction(math.ceil(sensitivity_squared / (2 * rho) * _SIGMA_GRID), _SIGMA_GRID)
    if variance > MAX_SIGMA**2:
        raise MechanismError(
            f"this budget needs noise of more than {MAX_SIGMA} records a cell; raise it, or ask for less"
        )
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
    rho: Fraction,
    stage: str,
    noise: AbstractNoiseSource,
) -> tuple[list[npt.NDArray[np.int64]], Event]:
    """Release integer tables with discrete Gaussian noise of one variance, from one draw.

    Privacy: rho-zCDP for all of them together, when each has the stated squared L2 sensitivity: stacked, k tables have k
        times that, and sigma^2 = k sensitivity^2 / (2 rho) is also what each needs for its rho / k.
    Returns: the noisy tables, shaped like the answers, and the event of each one of them (rho / k).
    """
    share = rho / len(answers)
    variance = gaussian_variance(sensitivity_squared, share)
    event = Event(
        stage=stage,
        mechanism="discrete-gaussian",
        rho=share,
        sensitivity_squared=sensitivity_squared,
        sigma_squared=variance,
    )
    exact = np.concatenate([answer.reshape(-1) for answer in answers])
    noisy = noise.gaussian(exact, variance)
    ends = np.cumsum([answer.size for answer in answers])[:-1]
    parts = np.split(noisy, ends)
    return [part.reshape(answer.shape) for part, answer in zip(parts, answers, strict=True)], event


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
