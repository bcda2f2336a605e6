"""The noise source by itself, asked what the fits at hand did not ask: other sizes, other counts, ties, many candidates.

Must never be asked about private tables: exact answers and noisy ones are compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

import numpy as np

from privsynth.conformance import residuals
from privsynth.conformance.choices import log_chances, pearson_p_value
from privsynth.conformance.hypothesis import Hypothesis
from privsynth.conformance.noise_tests import scale_p_value, shape_p_value, tails_p_value
from privsynth.conformance.residuals import Floats, Int64s
from privsynth.privacy.source import MAX_COUNT_SIGMA, AbstractNoiseSource
from privsynth.replay import RecordingNoise

_SIGMAS = tuple(
    Fraction(sigma) for sigma in ("0.3", 1, "2.5", 40, 210, 1000, 9000, 2 * MAX_COUNT_SIGMA, 1 << 24, 1 << 38)
)
_DRAWS = {1: 48, 7: 8, 300: 1}
"""How often noise is drawn for tables of so many cells, at each sigma."""

_LARGE, _LARGE_SIGMAS = (1 << 17) + 3, _SIGMAS[1:4]
"""One large table at some sigmas: past the block in which noise is drawn."""

_WEIGHTS, _WEIGHTS_SIGMAS = 20_000, _SIGMAS[-3:-1]
"""Sums of gradients have many cells at once, and large sigmas."""

_SLOW = 9000
"""From this sigma on noise of few cells is slow to draw: no table of 300 cells then."""

_EXACT = np.array([0, 3, 180, -40, 1500, 70_123, 1 << 40], dtype=np.int64)
"""Counts that noise may not depend on."""

_SINGLY, _AT_ONCE = 200, 2000
_MANY = 1200
_NEVER = 1e-15

_CHOICES: Mapping[str, tuple[Int64s, Fraction]] = {
    "equal candidates": (np.zeros(8, dtype=np.int64), Fraction(1)),
    "some equal candidates": (np.array([3, 7, 7, 0, 7, 7], dtype=np.int64), Fraction(2, 5)),
    "equal candidates and far worse ones": (np.array([-9, 5, -9, 5, 5, -9], dtype=np.int64), Fraction(16)),
    "very many candidates": (np.arange(_MANY, dtype=np.int64), Fraction(4, _MANY)),
    "very many equal candidates": (np.full(_MANY, 11, dtype=np.int64), Fraction(1, 3)),
    "a rate of almost nothing": (np.arange(6, dtype=np.int64) * 1000, Fraction(1, 1 << 50)),
    "scores of almost 2^60": ((np.arange(5, dtype=np.int64) - 2) << 58, Fraction(3, 1 << 60)),
}


def tests(source: AbstractNoiseSource, *, rng: np.random.Generator) -> Iterator[Hypothesis]:
    """The tests "noise: source" and "selection: source"."""
    yield _noise(source, rng)
    yield _choices(source)


def _noise(source: AbstractNoiseSource, rng: np.random.Generator) -> Hypothesis:
    found: dict[str, list[Floats]] = {}
    for sigma in _SIGMAS:
        sizes = [size for size, times in _DRAWS.items() for _ in range(times) if size < 300 or sigma < _SLOW]
        sizes += [_LARGE] * (sigma in _LARGE_SIGMAS) + [_WEIGHTS] * (sigma in _WEIGHTS_SIGMAS)
        for size in sizes:
            normal = _drawn(source, size, sigma, rng)
            found.setdefault(f"sigma {float(sigma):.4g}", []).append(normal)
            found.setdefault(f"{size:,} cells", []).append(normal)
    every = {what: np.concatenate(parts) for what, parts in found.items()}
    p_values = {
        what: residuals.of_the_least([scale_p_value(values), shape_p_value(values), tails_p_value(values)])
        for what, values in every.items()
    }
    weakest = min(p_values, key=p_values.__getitem__)
    return Hypothesis(
        check="noise: source",
        threat="that the source's noise is right only for the sigmas and tables that were tried here",
        p_value=residuals.of_the_least(list(p_values.values())),
        rejected=f"The source's noise is not a rounded Gaussian of the sigma that it was asked for, at {weakest}.",
        kept=f"The source's noise is what it was asked for, from sigma {float(_SIGMAS[0]):g} to {float(_SIGMAS[-1]):.2g}, for "
        f"tables of 1 to {_LARGE:,} cells and counts of any size.",
    )


def _drawn(source: AbstractNoiseSource, size: int, sigma: Fraction, rng: np.random.Generator) -> Floats:
    recording = RecordingNoise(source)
    recording.gaussian(np.resize(np.roll(_EXACT, int(rng.integers(len(_EXACT)))), size), sigma**2)
    return residuals.normal(recording.calls[0], rng)


def _choices(source: AbstractNoiseSource) -> Hypothesis:
    p_values: dict[str, float] = {}
    for what, (scores, rate) in _CHOICES.items():
        chances = np.exp(log_chances(scores, rate))
        singly = np.array([source.exponential(scores, rate) for _ in range(_SINGLY)], dtype=np.int64)
        counts = [np.bincount(of, minlength=len(scores)) for of in (singly, source.choices(scores, rate, _AT_ONCE))]
        p_values[what] = residuals.of_the_least([choices_p_value(of, chances) for of in counts])
    weakest = min(p_values, key=p_values.__getitem__)
    return Hypothesis(
        check="selection: source",
        threat="that the source's choices are right only for the scores and rates that were tried here",
        p_value=residuals.of_the_least(list(p_values.values())),
        rejected=f"The source does not choose with the probabilities that it was asked for, among {weakest}.",
        kept=f"The source chooses as it was asked to, among equal candidates, up to {_MANY:,} of them, and at extreme rates.",
    )


def choices_p_value(counts: Int64s, chances: Floats) -> float:
    """Pearson's test; nothing is left of a source that chooses what it never may."""
    if counts[chances < _NEVER].any():
        return float(chances[chances < _NEVER].sum() * counts.sum())
    return pearson_p_value(counts, chances)
