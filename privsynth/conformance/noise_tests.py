"""The noise of Gaussian answers: its scale and its shape stage by stage, and its independence.

Must never be called with answers about private tables.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, pairwise
from typing import final

import numpy as np

from privsynth import progress, statistics
from privsynth.audit_plan import ConformanceTerms
from privsynth.conformance import residuals
from privsynth.conformance.fits import Asked, Run, asked_again
from privsynth.conformance.hypothesis import Hypothesis
from privsynth.conformance.residuals import Floats
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.replay import Call, RecordingNoise

_CLASSES = 20
_FAR = 3.0
_LEAST_PAIR = 8
_MOST_AGAIN = 100
"""Fits asked again as a whole; what is still missing then is asked for at once."""

_GOLDEN = (math.sqrt(5) - 1) / 2

_PART = 1 << 15
_PARTS = 5
"""A large table of five parts: sources may draw in blocks, of up to four of them."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """The fits of one budget: recorded ones, their questions asked of the source again, and more of what they ask seldom.

    `label` follows a stage's name; empty for a release's own budget. `keys` are those of the recorded fits.
    """

    label: str
    fits: tuple[tuple[Asked, ...], ...]
    again: tuple[tuple[Asked, ...], ...]
    more: tuple[tuple[str, Call], ...]
    keys: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, label: str, runs: Sequence[Run], source: AbstractNoiseSource, terms: ConformanceTerms) -> Sample:
        """Ask the questions of recorded fits again, until each stage has the plan's number of noisy answers.

        Whole fits are asked again first, in turn and in their order, because a source may remember what it was asked.
        """
        fits = tuple(tuple(run.asked()) for run in runs)
        again: list[tuple[Asked, ...]] = []
        have = _sizes(fits)
        while have and min(have.values()) < terms.residuals_min and len(again) < _MOST_AGAIN:
            turn = len(again) % len(runs)
            again.append(tuple(asked_again(runs[turn], fits[turn], source)))
            for stage, size in _sizes(again[-1:]).items():
                have[stage] += size
        progress.report("conformance: noise", 1, 1)
        more = _more(fits, have, source, terms)
        keys = tuple(key for run in runs for key in run.noise.keys)
        return cls(label=label, fits=fits, again=tuple(again), more=more, keys=keys)

    @classmethod
    def few(cls, runs: Sequence[Run], source: AbstractNoiseSource, terms: ConformanceTerms, *, cells: int) -> Sample:
        """Recorded fits that ask for very many noisy answers: of each use of noise whole tables of up to so many cells."""
        fits = tuple(tuple(_fewer(asked, cells) for asked in run.asked()) for run in runs)
        more = _more(fits, _sizes(fits), source, terms)
        return cls(label="", fits=fits, again=(), more=more, keys=tuple(key for run in runs for key in run.noise.keys))

    def calls(self) -> Iterator[tuple[str, Call]]:
        """All uses of noise, with their stages as they are named here."""
        for fit in (*self.fits, *self.again):
            for asked in fit:
                yield f"{asked.stage}{self.label}", asked.call
        for stage, call in self.more:
            yield f"{stage}{self.label}", call


def _sizes(fits: Sequence[Sequence[Asked]]) -> dict[str, int]:
    """Noisy answers a stage, of the stages that have Gaussian ones."""
    found: dict[str, int] = {}
    for fit in fits:
        for asked in fit:
            if asked.call.kind == "gaussian":
                found[asked.stage] = found.get(asked.stage, 0) + asked.call.exact.size
    return found


def _more(
    fits: Sequence[Sequence[Asked]], have: Mapping[str, int], source: AbstractNoiseSource, terms: ConformanceTerms
) -> tuple[tuple[str, Call], ...]:
    """What stages lack of the plan's number of noisy answers, asked for at once."""
    return tuple(
        (stage, _many(call, -(-(terms.residuals_min - size) // call.exact.size), source))
        for stage, size in have.items()
        if size < terms.residuals_min
        for call in [_first(fits, stage)]
    )


def _fewer(asked: Asked, cells: int) -> Asked:
    """Some whole tables of a use of noise, evenly from all of them, with at most so many cells; one at least."""
    call = asked.call
    if call.kind != "gaussian" or call.exact.size <= cells:
        return asked
    sizes = np.array([math.prod(shape) for shape in asked.shapes])
    order = np.argsort(np.arange(len(sizes)) * _GOLDEN % 1)
    kept = np.sort(order[np.cumsum(sizes[order]) <= cells])
    kept = kept if kept.size else np.array([sizes.argmin()])
    starts = np.cumsum(sizes) - sizes
    places = np.concatenate([np.arange(starts[table], starts[table] + sizes[table]) for table in kept.tolist()])
    exact, noisy = call.exact[places], call.noisy[places]
    few = Call(kind="gaussian", shape=exact.shape, parameter=call.parameter, exact=exact, noisy=noisy)
    return Asked(call=few, events=asked.events, shapes=tuple(asked.shapes[table] for table in kept.tolist()))


def _first(fits: Sequence[Sequence[Asked]], stage: str) -> Call:
    return next(one.call for fit in fits for one in fit if one.stage == stage and one.call.kind == "gaussian")


def _many(call: Call, times: int, source: AbstractNoiseSource) -> Call:
    """One question asked many times at once."""
    recording = RecordingNoise(source)
    recording.gaussian(np.tile(call.exact, times), call.parameter)
    return recording.calls[0]


def tests(
    terms: ConformanceTerms, samples: Sequence[Sample], source: AbstractNoiseSource, *, rng: np.random.Generator
) -> Iterator[Hypothesis]:
    """The tests "noise: scale", "noise: shape", "noise: independence of draws" and "noise: independence of runs"."""
    by_stage, worth = _by_stage(samples, rng)
    enough = bool(by_stage) and min(map(len, by_stage.values())) >= terms.residuals_min
    large = _large(samples, source, rng) if by_stage else []
    if large:
        by_stage["a large table"] = np.concatenate(large[-1:])
        worth["a large table"] = float(len(large[-1]))
    yield _scale(terms, by_stage, min(worth.values(), default=0.0), enough=enough)
    yield _shape(by_stage, enough=enough)
    fits = [[[asked.call for asked in fit] for fit in sample.fits] for sample in samples]
    normal = [[_normals(calls, rng) for calls in kind] for kind in fits]
    keys = [key for sample in samples for key in sample.keys]
    yield from _independence([*(run for kind in normal for run in kind), large], normal, keys, enough=enough)


def _by_stage(samples: Sequence[Sample], rng: np.random.Generator) -> tuple[dict[str, Floats], dict[str, float]]:
    """The residuals of each stage as normal numbers, and how many continuous ones they are worth."""
    alike: dict[tuple[str, Fraction], list[Call]] = {}
    for sample in samples:
        for stage, call in sample.calls():
            if call.kind == "gaussian":
                alike.setdefault((stage, call.parameter), []).append(call)
    values: dict[str, list[Floats]] = {}
    worth: dict[str, float] = {}
    for (stage, _), calls in alike.items():
        values.setdefault(stage, []).append(residuals.normal(residuals.together(calls), rng))
        worth[stage] = worth.get(stage, 0.0) + sum(map(residuals.informative, calls))
    return {stage: np.concatenate(parts) for stage, parts in values.items()}, worth


def _large(samples: Sequence[Sample], source: AbstractNoiseSource, rng: np.random.Generator) -> list[Floats]:
    """One draw for a large table, with the first sigma that was asked for, in parts."""
    sigma_squared = next(call.parameter for sample in samples for _, call in sample.calls() if call.kind == "gaussian")
    recording = RecordingNoise(source)
    recording.gaussian(np.zeros(_PARTS * _PART, dtype=np.int64), sigma_squared)
    return np.split(residuals.normal(recording.calls[0], rng), _PARTS)


def _normals(calls: Sequence[Call], rng: np.random.Generator) -> list[Floats]:
    return [residuals.normal(call, rng) for call in calls if call.kind == "gaussian"]


# ---- stage by stage --------------------------------------------------------------------------------------------------


def _weakest(p_values: Mapping[str, float]) -> str:
    return min(p_values, key=p_values.__getitem__, default="")


def _scale(terms: ConformanceTerms, by_stage: Mapping[str, Floats], worth: float, *, enough: bool) -> Hypothesis:
    p_values = {stage: scale_p_value(values) for stage, values in by_stage.items()}
    alpha = terms.alpha / (10 * max(1, len(by_stage)))
    shortfall = 1 - statistics.detectable_noise_share(max(1, math.floor(worth)), alpha=alpha)
    weakest = _weakest(p_values)
    spread = math.sqrt(float((by_stage[weakest] ** 2).mean())) if weakest else 1.0
    return Hypothesis(
        check="noise: scale",
        threat="that there is less noise, or more, than claimed",
        p_value=residuals.of_the_least(list(p_values.values())),
        rejected=f'The noise of stage "{weakest}" has {spread:.3g} times the claimed standard deviation.',
        kept=f"The noise of each stage has the claimed standard deviation; {100 * shortfall:.2g} % too little in any one "
        f'would have been seen. Furthest from it: stage "{weakest}", with {spread:.3g} times it.',
        shown=enough,
        detectable=math.ceil(shortfall * 10_000) / 10_000,
        estimate=spread,
        figures={f"p-value of {stage}": p_value for stage, p_value in p_values.items()},
    )


def _shape(by_stage: Mapping[str, Floats], *, enough: bool) -> Hypothesis:
    p_values = {f'stage "{stage}"': shape_p_value(values) for stage, values in by_stage.items()}
    p_values["all stages, far out,"] = tails_p_value(np.concatenate([*by_stage.values(), np.zeros(0)]))
    return Hypothesis(
        check="noise: shape",
        threat="that the noise is not Gaussian",
        p_value=residuals.of_the_least(list(p_values.values())),
        rejected=f"The noise of {_weakest(p_values)} is not a rounded Gaussian.",
        kept="The noise of each stage is spread as a rounded Gaussian, and reaches as far.",
        shown=enough,
    )


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


def tails_p_value(values: Floats) -> float:
    """Noise that is cut off, or far too large: how many values lie beyond three sigma, and how far the furthest is.

    Both exact: the number is binomial, and P(none is beyond m) = (1 - 2 Phi(-m))^n.
    """
    count = len(values)
    if not count:
        return 1.0
    far, chance = int(np.count_nonzero(np.abs(values) > _FAR)), 2 * statistics.normal_cdf(-_FAR)
    up_to = statistics.beta_cdf(1 - chance, count - far, far + 1) if far < count else 1.0
    from_on = statistics.beta_cdf(chance, far, count - far + 1) if far else 1.0
    inside = math.exp(count * math.log1p(-2 * statistics.normal_cdf(-float(np.abs(values).max()))))
    return min(1.0, 4 * min(up_to, from_on, inside, 1 - inside))


# ---- independence ----------------------------------------------------------------------------------------------------


def _independence(
    draws: Sequence[Sequence[Floats]],
    kinds: Sequence[Sequence[Sequence[Floats]]],
    keys: Sequence[bytes],
    *,
    enough: bool,
) -> Iterator[Hypothesis]:
    """Args: `draws` of each fit; `kinds`, the fits of each kind of table and budget; `keys` of all of them."""
    yield Hypothesis(
        check="noise: independence of draws",
        threat="that noise is used twice, and can be subtracted",
        p_value=min(1.0, 2 * min(lag_p_value(draws), pairs_p_value(_within(draws)))),
        rejected="Noise of one answer tells that of another.",
        kept="No draw of noise tells of another one in the same fit.",
        shown=enough,
    )
    yield Hypothesis(
        check="noise: independence of runs",
        threat="that the noise comes from a seed, and can be repeated",
        p_value=residuals.of_the_least(
            [pairs_p_value(_between([fit for kind in kinds for fit in kind])), keys_p_value(keys)]
        ),
        rejected="Two fits drew the same noise, or keys that can be guessed.",
        kept="No two fits drew the same noise, and no key came twice.",
        shown=enough,
    )


def keys_p_value(keys: Sequence[bytes]) -> float:
    """Keys that come twice, or whose bits are not fair coins."""
    if len(set(keys)) < len(keys):
        return len(keys) ** 2 * 2.0**-256
    bits = np.unpackbits(np.frombuffer(b"".join(keys), dtype=np.uint8))
    return residuals.two_sided((2 * float(bits.sum()) - len(bits)) / math.sqrt(len(bits))) if len(bits) else 1.0


def lag_p_value(normal: Sequence[Sequence[Floats]]) -> float:
    """Neighbours inside a draw, and the same cells of consecutive draws: their products add up to about nothing."""
    products = [part[:-1] * part[1:] for run in normal for part in run]
    products += [_overlap(first, second).prod(axis=0) for run in normal for first, second in pairwise(run)]
    every = np.concatenate(products or [np.zeros(0)])
    return residuals.two_sided(float(every.sum()) / math.sqrt(len(every))) if len(every) else 1.0


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
