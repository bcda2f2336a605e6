"""The noise itself: its scale, its shape and its independence, from noisy answers and the exact ones they were made of.

Must never be called with answers about private tables.

Every noisy count is turned into an exactly uniform number, by the distribution function that it claims to come from and a
uniform number inside that value's step, and every choice likewise. So each test has the level that it states, for any sigma.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import combinations, pairwise
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth import statistics
from privsynth.audit_plan import ConformanceTerms
from privsynth.findings import Finding, Verdict
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.replay import Call, RecordingNoise

Floats = npt.NDArray[np.float64]

_CLASSES = 20
_LEAST_PAIR = 8
_TAIL = 12
_EDGE = 1e-16
_TABLE_SIGMA = 4096
_PROBES = 500
_PROBE_RATE = Fraction(2, 5)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """One test of the noise: what it guards against, its p-value, and what to say when it rejects or does not."""

    check: str
    threat: str
    p_value: float
    rejected: str
    kept: str
    detectable: float | None = None


def rows(
    terms: ConformanceTerms, runs: Sequence[Sequence[Call]], source: AbstractNoiseSource, *, rng: np.random.Generator
) -> tuple[Finding, ...]:
    """Test all recorded noise, Holm-corrected at `terms.alpha` in all; INCONCLUSIVE where there is too little of it.

    Choices are also asked of the source directly, because those of a fit are often between one good candidate and bad ones.
    """
    normal = [[_normal(call, rng) for call in run if call.kind == "gaussian"] for run in runs]
    recorded = [call for run in runs for call in run if call.kind == "exponential"]
    choices = np.array([_choice(call, rng) for call in (*recorded, *_probes(source))])
    values = np.concatenate([part for run in normal for part in run] or [np.zeros(0)])
    informative = sum(_informative(call) for run in runs for call in run if call.kind == "gaussian")
    tests = [*_tests(terms, normal, values, informative), _selection(choices)]
    adjusted = statistics.holm([test.p_value for test in tests])
    otherwise: Verdict = "PASS" if len(values) >= terms.residuals_min else "INCONCLUSIVE"
    return tuple(_finding(test, p, terms.alpha, otherwise) for test, p in zip(tests, adjusted, strict=True))


def _finding(test: Hypothesis, p_value: float, alpha: float, undecided: Verdict) -> Finding:
    verdict: Verdict = "FAIL" if p_value <= alpha else undecided
    few = "There are too few noisy answers to say."
    return Finding(
        check=test.check,
        family="conformance",
        threat=test.threat,
        verdict=verdict,
        threshold=None,
        detectable=test.detectable,
        ceiling=None,
        meaning={"FAIL": test.rejected, "PASS": test.kept, "INCONCLUSIVE": few}[verdict],
        figures={"adjusted p-value": p_value},
    )


def _informative(call: Call) -> float:
    """How many continuous values a draw is worth: inside a step, of variance 1/12, the value is not the noise's own."""
    return call.exact.size * max(0.0, 1 - 1 / (12 * float(call.parameter))) ** 2


def _tests(
    terms: ConformanceTerms, normal: Sequence[Sequence[Floats]], values: Floats, informative: float
) -> Iterator[Hypothesis]:
    shortfall = 1 - statistics.detectable_noise_share(max(1, math.floor(informative)), alpha=terms.alpha / 10)
    yield Hypothesis(
        check="noise: scale",
        threat="that there is less noise, or more, than claimed",
        p_value=scale_p_value(values),
        rejected="The noise does not have the claimed standard deviation.",
        kept=f"The noise has the claimed standard deviation; {100 * shortfall:.2g} % too little would have been seen.",
        detectable=math.ceil(shortfall * 10_000) / 10_000,
    )
    yield Hypothesis(
        check="noise: shape",
        threat="that the noise is not Gaussian",
        p_value=shape_p_value(values),
        rejected="The noise is not a rounded Gaussian.",
        kept="The noise is spread as a rounded Gaussian.",
    )
    yield Hypothesis(
        check="noise: independence of draws",
        threat="that noise is used twice, and can be subtracted",
        p_value=min(1.0, 2 * min(lag_p_value(normal), pairs_p_value(_within(normal)))),
        rejected="Noise of one answer tells that of another.",
        kept="No draw of noise tells of another one in the same fit.",
    )
    yield Hypothesis(
        check="noise: independence of runs",
        threat="that the noise comes from a seed, and can be repeated",
        p_value=pairs_p_value(_between(normal)),
        rejected="Two fits drew the same noise.",
        kept="No two fits drew the same noise.",
    )


def _selection(choices: Floats) -> Hypothesis:
    return Hypothesis(
        check="selection: distribution",
        threat="that a choice follows the data more closely than it is paid for",
        p_value=_two_sided(float((choices - 0.5).sum()) * math.sqrt(12 / len(choices))),
        rejected="Choices do not have the probabilities that were paid for.",
        kept="Choices have the probabilities that were paid for.",
    )


def _probes(source: AbstractNoiseSource) -> Iterator[Call]:
    """Choices among five candidates, of which each is half as likely again as the one below."""
    recording = RecordingNoise(source)
    for _ in range(_PROBES):
        recording.exponential(np.arange(5), _PROBE_RATE)
    yield from recording.calls


# ---- from answers to numbers whose distribution is known -------------------------------------------------------------


@lru_cache(maxsize=256)
def _steps(sigma_squared: Fraction) -> tuple[int, Floats]:
    """The rounded Gaussian's distribution function from 12 sigma below zero on: (first value, P(X <= value))."""
    sigma = math.sqrt(sigma_squared)
    reach = math.ceil(_TAIL * sigma) + 1
    return -reach, np.array([statistics.normal_cdf((value + 0.5) / sigma) for value in range(-reach, reach + 1)])


def _normal(call: Call, rng: np.random.Generator) -> Floats:
    """Residuals as standard normal numbers: exactly such when the noise is what its sigma says."""
    residual = call.noisy - call.exact
    inside = rng.random(len(residual))
    sigma = math.sqrt(call.parameter)
    if sigma > _TABLE_SIGMA:  # steps of 1/4096 of a standard deviation: the continuous distribution is exact enough
        return (residual + inside - 0.5) / sigma
    first, up_to = _steps(call.parameter)
    place = np.clip(residual - first, 0, len(up_to) - 1)
    below = np.where(place > 0, up_to[np.maximum(place - 1, 0)], 0.0)
    uniform = np.clip(below + inside * (up_to[place] - below), _EDGE, 1 - _EDGE)
    return np.array([statistics.normal_quantile(p) for p in uniform.tolist()])


def _choice(call: Call, rng: np.random.Generator) -> float:
    """A choice as a uniform number: the chance of a better score, and part of the chance of an equal one."""
    gaps = (call.exact - call.exact.max()).astype(np.float64) * float(call.parameter)
    chance = np.exp(gaps)
    chosen = call.exact[call.noisy[0]]
    better, equal = chance[call.exact > chosen].sum(), chance[call.exact == chosen].sum()
    return float((better + rng.random() * equal) / chance.sum())


# ---- tests -----------------------------------------------------------------------------------------------------------


def _two_sided(z: float) -> float:
    return min(1.0, 2 * statistics.normal_cdf(-abs(z)))


def scale_p_value(values: Floats) -> float:
    """Two-sided: the sum of squares is chi-squared."""
    if not len(values):
        return 1.0
    total = float((values**2).sum())
    tails = statistics.chi_squared_lower(total, len(values)), statistics.chi_squared_tail(total, len(values))
    return min(1.0, 2 * min(tails))


def shape_p_value(values: Floats) -> float:
    """Pearson's test on 20 classes of equal probability."""
    if len(values) < 5 * _CLASSES:
        return 1.0
    edges = [statistics.normal_quantile(step / _CLASSES) for step in range(1, _CLASSES)]
    counts = np.bincount(np.searchsorted(edges, values), minlength=_CLASSES)
    expected = len(values) / _CLASSES
    return statistics.chi_squared_tail(float(((counts - expected) ** 2).sum()) / expected, _CLASSES - 1)


def lag_p_value(normal: Sequence[Sequence[Floats]]) -> float:
    """Neighbours inside a draw, and the same cells of consecutive draws: their products add up to about nothing."""
    products = [part[:-1] * part[1:] for run in normal for part in run]
    products += [_overlap(first, second).prod(axis=0) for run in normal for first, second in pairwise(run)]
    every = np.concatenate(products or [np.zeros(0)])
    return _two_sided(float(every.sum()) / math.sqrt(len(every))) if len(every) else 1.0


def _overlap(first: Floats, second: Floats) -> Floats:
    shared = min(len(first), len(second))
    return np.stack([first[:shared], second[:shared]])


def _within(normal: Sequence[Sequence[Floats]]) -> Iterator[Floats]:
    """Every two draws of one fit."""
    return (_overlap(first, second) for run in normal for first, second in combinations(run, 2))


def _between(normal: Sequence[Sequence[Floats]]) -> Iterator[Floats]:
    """Every fit with the first one and with the one before it, draw by draw."""
    for turn in range(1, len(normal)):
        for other in sorted({0, turn - 1}):
            yield from (_overlap(first, second) for first, second in zip(normal[turn], normal[other], strict=False))


def pairs_p_value(pairs: Iterator[Floats]) -> float:
    """The strongest correlation among many pairs of draws, each of at least 8 values, Bonferroni-corrected.

    The square of the correlation of independent normal numbers has a beta distribution, exactly (Fisher 1915).
    """
    strongest: dict[int, float] = {}
    tested = 0
    for first, second in pairs:
        size = len(first)
        if size < _LEAST_PAIR:
            continue
        tested += 1
        centred = first - first.mean(), second - second.mean()
        spread = float((centred[0] ** 2).sum() * (centred[1] ** 2).sum())
        squared = float((centred[0] * centred[1]).sum()) ** 2 / spread if spread else 1.0
        strongest[size] = max(strongest.get(size, 0.0), squared)
    p_values = (statistics.beta_cdf(1 - squared, (size - 2) / 2, 0.5) for size, squared in strongest.items())
    return min(1.0, tested * min(p_values)) if tested else 1.0
