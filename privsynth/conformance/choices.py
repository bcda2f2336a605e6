"""The choices of selections: whether they follow the scores as closely as was paid for, stage by stage.

Must never be called with scores of private tables.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import final

import numpy as np

from privsynth import statistics
from privsynth.audit_plan import ConformanceTerms
from privsynth.conformance import residuals
from privsynth.conformance.hypothesis import Hypothesis
from privsynth.conformance.noise_tests import Sample
from privsynth.conformance.residuals import Floats, Int64s
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.replay import Call

_OPEN = 4.0
"""Rate times the range of the scores that a source is probed with: open enough for every candidate to be chosen."""

_LEAST_RATE = Fraction(1, 1 << 50)
"""Below it, no scores within int64 make a difference."""

_LEAST_EXPECTED = 20.0
_SINGLY = 300
_SEVERAL = 5
_MANY = 50
"""Most candidates that a source is probed with; with more, each is chosen too rarely to say much."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The derivative of the log-likelihood by the log of the rate, and its variance: of any number of choices.

    The most powerful test against a rate that is a little off: rate * (score chosen - its expectation), summed.
    Source: Rao 1948.
    """

    total: float = 0.0
    variance: float = 0.0

    def __add__(self, other: Score) -> Score:
        return Score(total=self.total + other.total, variance=self.variance + other.variance)

    @property
    def z(self) -> float:
        """Standard normal if the rate is right; above zero where choices follow the scores too closely."""
        return self.total / math.sqrt(self.variance) if self.variance > 0 else 0.0


def score_of(scores: Int64s, rate: Fraction, counts: Int64s) -> Score:
    """The score of choices among the same candidates, `counts` of each."""
    utilities, chances = utilities_of(scores, rate), np.exp(log_chances(scores, rate))
    mean = float(chances @ utilities)
    return Score(
        total=float(counts @ (utilities - mean)),
        variance=float(counts.sum()) * float(chances @ (utilities - mean) ** 2),
    )


def utilities_of(scores: Int64s, rate: Fraction) -> Floats:
    """Rate times score, below the largest."""
    return np.asarray((scores - scores.max()).astype(np.float64) * float(rate))


def log_chances(scores: Int64s, rate: Fraction) -> Floats:
    """Log-probabilities of the exponential mechanism's candidates."""
    utilities = utilities_of(scores, rate)
    return np.asarray(utilities - math.log(float(np.exp(utilities).sum())))


def tests(
    terms: ConformanceTerms, samples: Sequence[Sample], source: AbstractNoiseSource, *, rng: np.random.Generator
) -> Iterator[Hypothesis]:
    """The test "selection: distribution": of the fits' own choices, and of a source asked at their rates with open scores.

    Fits often choose between one good candidate and bad ones, which says nothing about the rate. A source without selections
    to serve is probed all the same.
    """
    stages: dict[str, list[Call]] = {}
    for sample in samples:
        for stage, call in sample.calls():
            if call.kind == "exponential":
                stages.setdefault(stage, []).append(call)
    p_values: dict[str, float] = {}
    detectable = 0.0
    for stage, calls in (stages or {"a probe": []}).items():
        p_values[stage], variance = _stage(terms, calls, source, rng)
        hypotheses = 3 * max(1, len(stages))
        z = statistics.normal_quantile(1 - terms.alpha / (20 * hypotheses)) + statistics.normal_quantile(0.95)
        detectable = max(detectable, z / math.sqrt(variance))
    yield _distribution(p_values, detectable)


def _distribution(p_values: Mapping[str, float], detectable: float) -> Hypothesis:
    weakest = min(p_values, key=p_values.__getitem__)
    return Hypothesis(
        check="selection: distribution",
        threat="that a choice follows the data more closely than it is paid for",
        p_value=residuals.of_the_least(list(p_values.values())),
        rejected=f'Choices of stage "{weakest}" do not have the probabilities that were paid for.',
        kept="Choices have the probabilities that were paid for; a rate that is "
        f"{100 * detectable:.2g} % too large in any one stage would have been seen.",
        detectable=math.ceil(detectable * 10_000) / 10_000,
        figures={f"p-value of {stage}": p_value for stage, p_value in p_values.items()},
    )


def _stage(
    terms: ConformanceTerms, calls: Sequence[Call], source: AbstractNoiseSource, rng: np.random.Generator
) -> tuple[float, float]:
    """P-value of one stage's choices, and the variance of their score."""
    score, shapes = Score(), []
    for call in calls:
        score += score_of(call.exact, call.parameter, np.bincount(call.noisy, minlength=call.exact.size))
    questions = _questions(calls)
    for candidates, rate in questions:
        probe = np.rint(np.linspace(0, _OPEN / float(rate), candidates)).astype(np.int64)
        one_by_one = [source.exponential(probe, rate) for _ in range(_SINGLY)]
        for chosen in (np.array(one_by_one), source.choices(probe, rate, terms.probes // len(questions))):
            counts = np.bincount(chosen, minlength=candidates)
            score += score_of(probe, rate, counts)
            shapes.append(pearson_p_value(counts, np.exp(log_chances(probe, rate))))
    shapes.append(ranks_p_value(np.array([residuals.choice(call, rng) for call in calls])))
    return residuals.of_the_least([residuals.two_sided(score.z), residuals.of_the_least(shapes)]), score.variance


def _questions(calls: Sequence[Call]) -> list[tuple[int, Fraction]]:
    """Some distinct (candidates, rate) of a stage, the last ones among them."""
    probed = [call for call in calls if call.parameter > _LEAST_RATE]
    distinct = list(dict.fromkeys((min(_MANY, max(2, call.exact.size)), call.parameter) for call in probed))
    places = np.unique(np.linspace(0, max(0, len(distinct) - 1), _SEVERAL).round().astype(int))
    return [distinct[place] for place in places.tolist()] if distinct else [(_SEVERAL, Fraction(2, 5))]


def ranks_p_value(uniform: Floats) -> float:
    """Two-sided: choices as uniform numbers, from the best score (0) to the worst (1), are one half on average."""
    if not len(uniform):
        return 1.0
    return residuals.two_sided(float((uniform - 0.5).sum()) * math.sqrt(12 / len(uniform)))


def pearson_p_value(counts: Int64s, chances: Floats) -> float:
    """Pearson's test, neighbouring candidates taken together until each class is expected often enough."""
    expected = chances * counts.sum()
    classes = np.floor(np.cumsum(expected) / (2 * _LEAST_EXPECTED) - 1e-9).astype(np.int64)
    _, classes = np.unique(classes, return_inverse=True)
    observed, wanted = np.bincount(classes, weights=counts), np.bincount(classes, weights=expected)
    kept = wanted >= _LEAST_EXPECTED
    observed, wanted = np.append(observed[kept], observed[~kept].sum()), np.append(wanted[kept], wanted[~kept].sum())
    if wanted[-1] < _LEAST_EXPECTED:
        observed, wanted = np.append(observed[:-2], observed[-2:].sum()), np.append(wanted[:-2], wanted[-2:].sum())
    if len(wanted) < 2:
        return 1.0
    return statistics.chi_squared_tail(float(((observed - wanted) ** 2 / wanted).sum()), len(wanted) - 1)
