"""From noisy tables to a mixture, to the pair tables that records should have, and to how far both are off.

Must never see anything but a transcript's tables: the fit can be redone by anyone who has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.latent.arrays import AbstractArrays, arrays_for
from privsynth.latent.fitted import Fitted
from privsynth.latent.layout import Layout
from privsynth.latent.mixture import Mixture, Refinement, Target, maximise_likelihood, start, wide_tables
from privsynth.latent.observed import Observed
from privsynth.latent.predicting import expected_errors
from privsynth.latent.reconciling import OneWay, products, reconcile
from privsynth.latent.shrinkage import denoise, shrink_towards

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_SEED = 20_261
"""Of the fit's own random numbers (classes to start from, perturbations): public, so that a fit can be repeated."""

_STEPS = (0, 10, 20, 30, 45, 60, 90, 130, 200, 300)
"""Steps of refinement after which its risk is estimated."""

_PERTURBATION = 0.3
"""Standard deviations of noise by which the risk estimate perturbs the tables."""

_PATIENCE = 0.2
"""The first step whose estimated risk is within this part of all that is gained is taken: L1 likes less than squares do."""

_CLOSENESS = 0.15
"""Part of the noise's variance to which the mixture follows the denoised tables."""

_ITERATIONS, _WIDE_ITERATIONS = 600, 80

_CLASSES_A_GROUP, _RECORDS_A_CLASS, _LEAST_CLASSES, _PRODUCTS = 30, 3, 400, 40_000_000
"""More classes keep more of what lies beyond pairs, but follow noise where there are few records for each; and a step costs
classes times squared groups, which decides where there are many."""

_MANY, _MOST_PRODUCTS = 50_000, 4
"""From so many records on, the time that counting them takes anyway allows more, up to so many times."""

_REPLICATED_CLASSES = 200
"""Classes of refits for the expected errors: fewer, because noise is what they are to show."""

_PAIR = 2

_FINEST = 3000
"""Levels of all attributes together up to which the tables that records follow are tables of levels, not of groups."""


def fit(seen: Observed, *, components: int, predicting: bool = True) -> Fitted:
    """Fit a mixture to all tables, choose how far to follow their noise by estimated risk, and predict the errors.

    Args: `components` bounds the number of classes; few groups need fewer, and many afford fewer. Without `predicting` no
        errors are predicted, which takes most of the time where there are many attributes: those of all pairs are NaN.
    Raises: FitError when the fit does not converge.
    """
    if seen.pairs is None:
        return _independent(seen)
    components = _classes(seen, components)
    arrays = arrays_for(seen.layout.total**2 * components)
    shaken, noise = seen.with_noise(_PERTURBATION, np.random.default_rng(_SEED))
    first, second = (_begin(each, components, arrays) for each in (seen, shaken))
    steps, mixture, _ = _least_risk(seen, (first, second), noise, arrays)
    fitted = replace(_completed(seen, first.one_way, mixture), steps=steps)
    if not predicting:
        return _unpredicted(fitted)

    def refit(other: Observed) -> Fitted:
        begun = _begin(other, min(components, _REPLICATED_CLASSES), arrays)
        path = Refinement(begun.mixture, begun.raw, arrays)
        path.advance_to(steps)
        return _completed(other, begun.one_way, path.mixture)

    return replace(fitted, pair_error=expected_errors(seen, fitted, refit, _SEED + 1))


def fit_again(seen: Observed, *, components: int, steps: int | None = None) -> Fitted:
    """Fit other tables of the same kind, with as many steps of refinement as the first fit chose; errors are not predicted.

    Args: without `steps` they are chosen as `fit` chooses them, which takes twice as long.
    Raises: FitError when the fit does not converge.
    """
    if seen.pairs is None:
        return _independent(seen)
    components = _classes(seen, components)
    arrays = arrays_for(seen.layout.total**2 * components)
    begun = _begin(seen, components, arrays)
    if steps is None:
        shaken, noise = seen.with_noise(_PERTURBATION, np.random.default_rng(_SEED))
        steps, mixture, _ = _least_risk(seen, (begun, _begin(shaken, components, arrays)), noise, arrays)
    else:
        path = Refinement(begun.mixture, begun.raw, arrays)
        path.advance_to(steps)
        mixture = path.mixture
    return _unpredicted(replace(_completed(seen, begun.one_way, mixture), steps=steps))


def _unpredicted(fitted: Fitted) -> Fitted:
    return replace(fitted, pair_error=np.full_like(fitted.pair_error, np.nan))


def _classes(seen: Observed, most: int) -> int:
    """How many classes: at most `most`, and what groups, estimated records and time bear."""
    groups, records = seen.layout.total, int(reconcile(seen).total)
    products = _PRODUCTS * min(max(1.0, records / _MANY), _MOST_PRODUCTS)
    affordable = max(_LEAST_CLASSES, int(products / groups**2))
    return max(1, min(most, _CLASSES_A_GROUP * groups, records // _RECORDS_A_CLASS, affordable))


def sketch(seen: Observed, *, components: int) -> Fitted:
    """The mixture of the denoised tables alone: what `fit` starts from, for planning; without tables and errors."""
    begun = _begin(seen, components, arrays_for(seen.layout.total**2 * components))
    return _untabled(seen, begun.one_way, begun.mixture)


def fine_layout(seen: Observed) -> Layout:
    """The layout of the tables that records follow."""
    levels = Layout(seen.domain.sizes)
    return levels if levels.total <= _FINEST else seen.layout


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Begun:
    """One-way tables, the mixture of the denoised pairs, and the raw tables to refine it on."""

    one_way: OneWay
    mixture: Mixture
    raw: Target


def _begin(seen: Observed, components: int, arrays: AbstractArrays) -> _Begun:
    assert seen.pairs is not None
    one_way = reconcile(seen)
    variances = [
        np.full(size, variance) * np.bincount(of)
        for size, variance, of in zip(seen.layout.sizes, seen.level_variances, seen.group_of, strict=True)
    ]
    raw = Target(
        layout=seen.layout,
        total=one_way.total,
        pairs=seen.pairs / one_way.total,
        spread=seen.layout.blocks(seen.sigma) / one_way.total,
        one_way=one_way.groups / one_way.total,
        one_way_spread=np.sqrt(np.concatenate(variances)) / one_way.total,
        wide=seen.wide,
    )
    denoised = denoise(seen, products(one_way, seen.layout), one_way.groups) / one_way.total
    target = replace(raw, pairs=denoised, wide=())
    begun = start(target, components, np.random.default_rng(_SEED))
    mixture = maximise_likelihood(begun, target, arrays, closeness=_CLOSENESS, iterations=_ITERATIONS)
    if seen.wide:
        shrunk = tuple(
            replace(
                wide,
                values=shrink_towards(wide.values, wide.variance, one_way.total * wide_tables(mixture, wide.axes)),
            )
            for wide in seen.wide
        )
        target = replace(target, wide=shrunk)
        mixture = maximise_likelihood(mixture, target, arrays, closeness=0.0, iterations=_WIDE_ITERATIONS)
    return _Begun(one_way=one_way, mixture=mixture, raw=raw)


def _least_risk(
    seen: Observed, begun: tuple[_Begun, _Begun], noise: Floats, arrays: AbstractArrays
) -> tuple[int, Mixture, float]:
    """Refine until the estimated risk no longer falls: (steps, mixture, squared error in units of the noise's variance).

    Stein's unbiased estimate of the squared error of all pair tables, with its divergence by Monte Carlo: the same fit of
    tables perturbed by a known noise, step by step beside the first.
    Source: Stein 1981; Ramani, Blu, Unser 2008.
    """
    assert seen.pairs is not None
    above = seen.layout.above()
    sigma = seen.layout.blocks(seen.sigma)[above]
    noisy, drawn = seen.pairs[above], noise[above]
    paths = [Refinement(each.mixture, each.raw, arrays) for each in begun]
    totals = [each.one_way.total for each in begun]
    kept: list[Mixture] = []
    risks: list[float] = []
    for step in _STEPS:
        for path in paths:
            path.advance_to(step)
        kept.append(paths[0].mixture)
        answer, moved = (
            total * mixture.pairs()[above] for total, mixture in zip(totals, (kept[-1], paths[1].mixture), strict=True)
        )
        misfit = float((((noisy - answer) / sigma) ** 2).sum())
        divergence = float((drawn * (moved - answer) / sigma).sum()) / _PERTURBATION
        risks.append(misfit - noisy.size + 2 * divergence)
        if len(risks) - 1 - int(np.argmin(risks)) >= 2:
            break
    least = min(risks)
    chosen = next(place for place, risk in enumerate(risks) if risk <= least + _PATIENCE * (risks[0] - least))
    return _STEPS[chosen], kept[chosen], risks[chosen]


def _completed(seen: Observed, one_way: OneWay, mixture: Mixture) -> Fitted:
    """The pair tables that records should have: the mixture's, plus what still stands out of the noise around them."""
    grouped = denoise(seen, one_way.total * mixture.pairs(), one_way.total * mixture.one_way())
    within = one_way.within(seen.group_of)
    fine = fine_layout(seen)
    return Fitted(
        total=one_way.total,
        mixture=mixture,
        within=within,
        fine=fine,
        grouped=grouped,
        tables=grouped if fine is seen.layout else expand(grouped, seen, within),
        pair_error=np.zeros((len(fine), len(fine))),
    )


def _independent(seen: Observed) -> Fitted:
    """The product of the one-way tables, one class; what pairs err by cannot be told from one-way tables."""
    one_way = reconcile(seen)
    given = one_way.groups[:, None] / one_way.total
    fitted = _untabled(seen, one_way, Mixture(layout=seen.layout, given=given, weights=np.ones(1)))
    for i, (counts, variance) in enumerate(zip(one_way.levels, seen.level_variances, strict=True)):
        sigma = np.sqrt(variance)
        error = np.minimum(0.8 * sigma, 2 * counts + 0.4 * sigma).sum() / one_way.total
        fitted.pair_error[i, i] = min(2.0, error)
    return fitted


def _untabled(seen: Observed, one_way: OneWay, mixture: Mixture) -> Fitted:
    """A mixture without tables for records to follow; its errors are not known."""
    attributes = len(seen.layout)
    return Fitted(
        total=one_way.total,
        mixture=mixture,
        within=one_way.within(seen.group_of),
        fine=fine_layout(seen),
        grouped=None,
        tables=None,
        pair_error=np.full((attributes, attributes), np.nan),
    )


def expand(grouped: Floats, seen: Observed, within: Sequence[Floats]) -> Floats:
    """Spread tables of groups over levels; cells that a rule leaves no row for are zero. Shapes: (levels, levels)."""
    starts = seen.layout.starts.tolist()
    place = np.concatenate([of + start for of, start in zip(seen.group_of, starts, strict=True)])
    share = np.concatenate(within)
    tables = grouped[np.ix_(place, place)] * share[:, None] * share[None, :]
    levels = Layout(seen.domain.sizes)
    for one in seen.domain.impossible:
        if len(one.clique) == _PAIR:
            i, j = map(seen.domain.index, one.clique)
            allowed = ~one.table(seen.domain)
            tables[levels.part(i), levels.part(j)] *= allowed
            tables[levels.part(j), levels.part(i)] *= allowed.T
    return np.asarray(tables)
