"""What shows in very many draws alone: how far out noise reaches, cells without any, repeated calls, candidates of low chance.

Must never be asked about private tables: exact answers and noisy ones are compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

import numpy as np

from privsynth import statistics
from privsynth.conformance.choices import log_chances
from privsynth.conformance.hypothesis import Hypothesis
from privsynth.conformance.noise_tests import scale_p_value
from privsynth.conformance.residuals import Int64s, normal, of_the_least
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.replay import Call

_DRAWS, _BLOCK, _SIGMA = 1 << 22, 1 << 18, 200
_FAR = (3.0, 3.5, 4.0, 4.5)
_CALLS, _CELLS, _CALLED_SIGMA = 2048, 256, 40
_CHOSEN = 1 << 21
_SCORES = -np.repeat(np.arange(13), [1] * 12 + [8])
"""Candidates of ever lower chance, and some of the lowest."""


def tests(source: AbstractNoiseSource, *, rng: np.random.Generator) -> Iterator[Hypothesis]:
    """The tests "noise: rare events" and "selection: rare candidates"."""
    p_values = {**_drawn(source), **_called(source, rng)}
    weakest = min(p_values, key=p_values.__getitem__)
    yield Hypothesis(
        check="noise: rare events",
        threat="that some cells have no noise, noise ends where delta begins, or a call repeats another",
        p_value=of_the_least(list(p_values.values())),
        rejected=f"The noise is not the rounded Gaussian that was asked for: {weakest} do not come as often as they should.",
        kept=f"Of {_DRAWS:,} draws, as many as there should be lie beyond {_FAR[0]:g} to {_FAR[-1]:g} sigma, at zero and on "
        f"either side; of {_CALLS:,} calls no two gave the same. Farther out was not looked.",
    )
    counts = np.bincount(-_SCORES[source.choices(_SCORES, Fraction(1), _CHOSEN)], minlength=13)
    each = np.exp(log_chances(_SCORES, Fraction(1)))
    chances = np.bincount(-_SCORES, weights=each)
    yield Hypothesis(
        check="selection: rare candidates",
        threat="that candidates of low chance are never chosen, which tells that their scores are low",
        p_value=of_the_least(
            [binomial_p_value(int(n), _CHOSEN, float(p)) for n, p in zip(counts, chances, strict=True)]
        ),
        rejected="Candidates of low chance are not chosen as often as they should be.",
        kept=f"Candidates are chosen as often as they should be, down to a chance of {each[-1]:.1g}.",
    )


def _drawn(source: AbstractNoiseSource) -> Mapping[str, float]:
    """Counts of many draws at one sigma, each against its binomial distribution."""
    above = {far: np.zeros(2, dtype=np.int64) for far in _FAR}
    zero = positive = 0
    for _ in range(_DRAWS // _BLOCK):
        noise = source.gaussian(np.zeros(_BLOCK, dtype=np.int64), Fraction(_SIGMA**2))
        zero, positive = zero + int((noise == 0).sum()), positive + int((noise > 0).sum())
        for far in above:
            above[far] += np.array([(noise >= far * _SIGMA).sum(), (noise <= -far * _SIGMA).sum()])
    at_zero = 1 - 2 * statistics.normal_cdf(-0.5 / _SIGMA)
    found = {
        "zeros": binomial_p_value(zero, _DRAWS, at_zero),
        "positive values": binomial_p_value(positive, _DRAWS - zero, 0.5),
    }
    for far, counts in above.items():
        one_side = statistics.normal_cdf(-(far * _SIGMA - 0.5) / _SIGMA)
        sides = [binomial_p_value(int(count), _DRAWS, one_side) for count in counts]
        both = binomial_p_value(int(counts.sum()), _DRAWS, 2 * one_side)
        found[f"values beyond {far:g} sigma"] = of_the_least([*sides, both])
    return found


def _called(source: AbstractNoiseSource, rng: np.random.Generator) -> Mapping[str, float]:
    """Many calls of one shape: all different, with noise in the first cell and in the last."""
    zeros, variance = np.zeros(_CELLS, dtype=np.int64), Fraction(_CALLED_SIGMA**2)
    noise = np.stack([source.gaussian(zeros, variance) for _ in range(_CALLS)])
    different = len(np.unique(noise, axis=0)) == _CALLS
    return {
        "calls that differ": 1.0 if different else 0.0,
        "sizes of first cells": _cells_p_value(noise[:, 0], variance, rng),
        "sizes of last cells": _cells_p_value(noise[:, -1], variance, rng),
    }


def _cells_p_value(noise: Int64s, variance: Fraction, rng: np.random.Generator) -> float:
    call = Call(kind="gaussian", shape=noise.shape, parameter=variance, exact=np.zeros_like(noise), noisy=noise.copy())
    return scale_p_value(normal(call, rng))


def binomial_p_value(count: int, runs: int, rate: float) -> float:
    """Two-sided, exact: twice the smaller tail at `count`."""
    up_to = 1.0 if count >= runs else statistics.beta_cdf(1 - rate, runs - count, count + 1)
    from_it = 1.0 if count <= 0 else statistics.beta_cdf(rate, count, runs - count + 1)
    return min(1.0, 2 * min(up_to, from_it))
