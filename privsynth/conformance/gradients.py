"""What canaries of a training show: whether its sampling is Poisson's, and how much they tell of one unit.

Must never be given canaries of a table that holds anybody's records.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from privsynth import one_run, statistics
from privsynth.audit_plan import ConformanceTerms
from privsynth.conformance.hypothesis import Hypothesis
from privsynth.conformance.planted import Flags, Planted, in_equal_parts, plant
from privsynth.conformance.rare import binomial_p_value
from privsynth.conformance.residuals import Floats, Int64s, of_the_least
from privsynth.conformance.watching import Trained
from privsynth.epsilon_bounds import Errors
from privsynth.findings import Curve
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.sampled_curve import SampledCurve

_CONFIDENCE = 0.01
_SHARE = 0.1
"""The part of the canaries whose coins are guessed."""

_POINTS = 21
_REACH, _STEPS = 4.0, 10
"""Noise multipliers from a quarter of the claimed one to four times it are tried, to a part in 400."""


def count_of(terms: ConformanceTerms) -> int:
    """How many canaries are planted."""
    return 1 << min(16, (3 * terms.transcripts - 1).bit_length())


def tests(
    terms: ConformanceTerms, trained: Trained, delta: float, noise: AbstractNoiseSource, rng: np.random.Generator
) -> Iterator[Hypothesis]:
    """The tests "sampling: rate", "sampling: independence" and "gradients: canaries"."""
    planted = plant(trained, count_of(terms), noise, rng)
    yield from _sampling(planted)
    yield _told(planted, delta, rng)


# ---- sampling --------------------------------------------------------------------------------------------------------


def _sampling(planted: Planted) -> Iterator[Hypothesis]:
    rate = float(planted.plan.sampling_rate)
    taken = planted.took_part[:, planted.included]
    seen, of = int(taken.sum()), taken.size
    yield Hypothesis(
        check="sampling: rate",
        threat="that units take part more often than the amplification is accounted for",
        p_value=binomial_p_value(seen, of, rate),
        rejected=f"Units took part in {seen / max(1, of):.4g} of the gradient steps; claimed is {rate:.4g}.",
        kept=f"Units took part in {seen / max(1, of):.4g} of the gradient steps, as {rate:.4g} claims.",
        estimate=seen / max(1, of),
    )
    p_values = {
        "in two steps": of_the_least(_together(taken, rate)),
        "in step with their neighbours": of_the_least(_together(_halves(taken), rate)),
        "in a number of steps": _chi_squared(_steps_of_each(taken), len(taken), rate),
        "in batches of a size": _sizes(taken.sum(axis=1), taken.shape[1], rate),
    }
    weakest = min(p_values, key=p_values.__getitem__)
    yield Hypothesis(
        check="sampling: independence",
        threat="that batches are dealt out, of one size or in epochs, where coins of their own are accounted for",
        p_value=of_the_least(list(p_values.values())),
        rejected=f"Units do not take part by coins of their own: not {weakest}.",
        kept="Units take part by coins of their own: over steps, beside each other, and in batches whose sizes vary as they "
        "must.",
    )


def _together(taken: Flags, rate: float) -> list[float]:
    """For every two steps, how many units took part in both: binomial."""
    return [
        binomial_p_value(int((one & other).sum()), taken.shape[1], rate**2)
        for one, other in itertools.combinations(taken, 2)
    ]


def _halves(taken: Flags) -> Flags:
    """All units of an even place, over all steps, and their neighbours."""
    even = taken.shape[1] // 2 * 2
    return np.stack([taken[:, 0:even:2].reshape(-1), taken[:, 1:even:2].reshape(-1)])


def _steps_of_each(taken: Flags) -> list[int]:
    """How many units took part in 0, 1, 2, ... steps."""
    return [int(count) for count in np.bincount(taken.sum(axis=0), minlength=len(taken) + 1)]


def _chi_squared(counts: list[int], steps: int, rate: float) -> float:
    """Pearson's test against the binomial distribution; numbers of steps that few units have are put together."""
    total = sum(counts)
    expected = [
        total * math.comb(steps, number) * rate**number * (1 - rate) ** (steps - number) for number in range(steps + 1)
    ]
    classes: list[tuple[float, float]] = []
    held = (0.0, 0.0)
    for seen, should in zip(counts, expected, strict=True):
        held = held[0] + seen, held[1] + should
        if held[1] >= 20:
            classes.append(held)
            held = (0.0, 0.0)
    if not classes:
        return 1.0
    classes[-1] = classes[-1][0] + held[0], classes[-1][1] + held[1]
    away = sum((seen - should) ** 2 / should for seen, should in classes)
    return statistics.chi_squared_tail(away, len(classes) - 1) if len(classes) > 1 else 1.0


def _sizes(sizes: Int64s, units: int, rate: float) -> float:
    """Batches vary as binomial numbers do: the squares of what they are off by are neither small nor large together.

    Half a unit is taken off or added, for the steps of whole numbers.
    """
    variance = units * rate * (1 - rate)
    if variance < 10:
        return 1.0
    away = np.abs(sizes - units * rate)
    most, least = float(((away + 0.5) ** 2).sum() / variance), float((np.maximum(0, away - 0.5) ** 2).sum() / variance)
    tails = statistics.chi_squared_lower(most, len(sizes)), statistics.chi_squared_tail(least, len(sizes))
    return min(1.0, 2 * min(tails))


# ---- epsilon ---------------------------------------------------------------------------------------------------------


def _told(planted: Planted, delta: float, rng: np.random.Generator) -> Hypothesis:
    """Canaries' scores against the trade-off curve of the plan.

    Given the plan, scores of different canaries are independent: so many answers about each of two neighbours.
    """
    plan, scores = planted.plan, planted.scores()
    claimed = SampledCurve.of(plan)
    out, into = in_equal_parts(scores, planted.included)
    middle = Errors(false_positives=int((out > 0).sum()), false_negatives=int((into <= 0).sum()), runs=max(1, len(out)))
    guesses = one_run.guess(scores, planted.included, share=_SHARE, rng=rng)
    nominal, shown = claimed.epsilon(delta), _epsilon_lower(middle, claimed, delta)
    free = one_run.epsilon_lower(guesses, delta=delta, alpha=_CONFIDENCE)
    told = (
        f"Of {len(scores):,} canaries in one training of {plan.steps} gradient steps, epsilon at delta = {delta:g} is at least "
        f"{shown:.3g} if steps are Poisson-subsampled Gaussians, and {free:.3g} whatever they are ({guesses.right} of "
        f"{guesses.made} guesses right; {100 * (1 - _CONFIDENCE):g} % confidence each); its plan allows {nominal:.4g}"
    )
    return Hypothesis(
        check="gradients: canaries",
        threat="that the noisy sums of gradients tell more about one unit than the training is accounted for",
        p_value=of_the_least(
            [middle.p_value(claimed.least_missed), one_run.p_value(guesses, epsilon=nominal, delta=delta)]
        ),
        rejected=f"{told}: the guarantee does not hold.",
        kept=f"{told}.",
        estimate=shown,
        interval=(shown, nominal),
        curve=_curve(out, into),
        allowed=tuple((rate, 1 - claimed.least_missed(rate)) for rate in np.linspace(0, 1, 41).tolist()),
        figures={"epsilon, any mechanism": free, "epsilon, as sampled Gaussian": shown, "epsilon of the plan": nominal},
    )


def _epsilon_lower(errors: Errors, claimed: SampledCurve, delta: float) -> float:
    """Epsilon of the most private sampled Gaussian, of the plan's rate and steps, that these errors do not refute."""
    least = claimed.shift / _REACH
    low, high = least, claimed.shift * _REACH
    for _ in range(_STEPS):
        middle = math.sqrt(low * high)
        tried = SampledCurve(rate=claimed.rate, steps=claimed.steps, shift=middle)
        low, high = (middle, high) if errors.p_value(tried.least_missed) <= _CONFIDENCE else (low, middle)
    shown = SampledCurve(rate=claimed.rate, steps=claimed.steps, shift=low)
    return shown.epsilon(delta) if low > least else 0.0


def _curve(out: Floats, into: Floats) -> Curve:
    cuts = np.quantile(np.concatenate([out, into]), np.linspace(1, 0, _POINTS))
    points = [(float((out > cut).mean()), float((into > cut).mean())) for cut in cuts]
    return ((0.0, 0.0), *points, (1.0, 1.0))
