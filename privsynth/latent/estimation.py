"""From noisy tables to a mixture, to the pair tables that records should have, and to how far both are off.

Must never see anything but a transcript's tables: the fit can be redone by anyone who has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth import progress
from privsynth.latent.arrays import AbstractArrays, arrays_for
from privsynth.latent.dealing import draw_independently, split_groups
from privsynth.latent.layout import Layout, pair_counts
from privsynth.latent.mixture import Mixture, Refinement, Target, maximise_likelihood, start, wide_tables
from privsynth.latent.observed import Observed
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

_REPLICATES, _REPLICATED_CLASSES, _MADE_UP = 4, 200, 200_000
"""Refits to tables noised again, for the expected errors, their classes (fewer: noise is what they are to show), and at
most how many records are made up for each: the roughness of more records is below any noise."""

_PAIR = 2

_FINEST = 3000
"""Levels of all attributes together up to which the tables that records follow are tables of levels, not of groups."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """A fitted mixture and what records should look like.

    Shapes: `within[i]` is each level's share of its group; `grouped` is (groups, groups) counts of all pairs; `tables` the same
        over `fine`, the layout of levels, or of groups where there are too many levels; `pair_error` is (attributes,
        attributes), the expected L1 error of each pair's normalised table, and on the diagonal of each attribute's own.
        Without pairs, `grouped` and `tables` are None, and errors of pairs are NaN. `steps` is how many of refinement were
        taken; None where that is not known, or there were none to choose.
    """

    total: float
    mixture: Mixture
    within: tuple[Floats, ...]
    fine: Layout
    grouped: Floats | None
    tables: Floats | None
    pair_error: Floats
    steps: int | None = None


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
    steps, mixture, risk = _least_risk(seen, (first, second), noise, arrays)
    fitted = replace(_completed(seen, first.one_way, mixture), steps=steps)
    if not predicting:
        return _unpredicted(fitted)
    errors = _expected_errors(seen, fitted, risk, components, steps, arrays)
    if fitted.fine.sizes != seen.domain.sizes:
        errors = _of_levels(errors, fitted, seen)
    return replace(fitted, pair_error=errors)


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


def _expected_errors(
    seen: Observed, fitted: Fitted, risk: float, components: int, steps: int, arrays: AbstractArrays
) -> Floats:
    """Expected L1 error of all tables: tables of made-up records are noised as the real ones were, fitted, and compared.

    The records are drawn from the fitted mixture, so that the roughness that chance gives real tables, and that no fit can
    see below the noise, is in them too. What shrinkage has lost is not: where the estimated risk is larger than what the
    refits err by, what pairs err by beyond their attributes' own errors is widened by that.
    Source: Efron 2004 (parametric bootstrap of prediction error), with Stein's estimate for its bias.
    """
    rng = np.random.default_rng(_SEED + 1)
    above = seen.layout.above()
    sigma = seen.layout.blocks(seen.sigma)[above]
    errors, squares = np.zeros_like(fitted.pair_error), 0.0
    for replicate in range(_REPLICATES):
        progress.report("expected errors", replicate, _REPLICATES)
        truth, levels = _made_up(fitted, seen, rng)
        drawn, _ = replace(seen, pairs=truth.grouped).with_noise(1.0, rng)
        noisy = tuple(
            counts + np.sqrt(variance) * rng.standard_normal(len(counts))
            for counts, variance in zip(levels, seen.level_variances, strict=True)
        )
        begun = _begin(replace(drawn, levels=noisy), min(components, _REPLICATED_CLASSES), arrays)
        path = Refinement(begun.mixture, begun.raw, arrays)
        path.advance_to(steps)
        again = _completed(drawn, begun.one_way, path.mixture)
        errors += _distances(truth, again, levels, seen)
        apart = again.total * again.mixture.pairs()[above] - truth.grouped[above]
        squares += float(((apart / sigma) ** 2).sum())
    errors /= _REPLICATES
    return _widened(errors, max(1.0, risk / max(squares / _REPLICATES, 1e-300)))


def _of_levels(errors: Floats, fitted: Fitted, seen: Observed) -> Floats:
    """Errors of tables over levels, from those of tables over groups.

    Inside groups, shares err as their attribute's one-way table does. And records fall on a group's cells by chance: a cell of
    m expected records is off by sqrt(2 m / pi) on average (at most 2 m), which no model can know.
    """
    layout = fitted.mixture.layout
    counts = np.maximum(fitted.total * fitted.mixture.pairs(), 0.0)
    spread = np.concatenate(
        [np.bincount(of, weights=np.sqrt(share)) for of, share in zip(seen.group_of, fitted.within, strict=True)]
    )
    by_chance = np.sqrt(2 / np.pi * counts)
    more = np.minimum(2 * counts, by_chance * np.outer(spread, spread)) - np.minimum(2 * counts, by_chance)
    single = np.diag(errors)
    out = np.sqrt(errors**2 + single[:, None] ** 2 + single[None, :] ** 2)
    for i, j in layout.pairs():
        out[i, j] = out[j, i] = out[i, j] + more[layout.part(i), layout.part(j)].sum() / fitted.total
    np.fill_diagonal(out, single)
    return np.minimum(2.0, out)


def _widened(errors: Floats, ratio: float) -> Floats:
    """Errors of pairs with the part that is not their attributes' own multiplied by the root of a ratio of squares."""
    single = np.diag(errors) ** 2
    own = single[:, None] + single[None, :]
    joint = np.sqrt(own + ratio * np.maximum(errors**2 - own, 0.0))
    return np.minimum(2.0, np.where(np.eye(len(errors), dtype=bool), errors, np.maximum(errors, joint)))


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Truth:
    """Pair tables of made-up records. Shapes: as in `Fitted`."""

    total: float
    grouped: Floats
    tables: Floats


def _made_up(fitted: Fitted, seen: Observed, rng: np.random.Generator) -> tuple[_Truth, list[Floats]]:
    """Tables of as many independent records as there are, at most `_MADE_UP`; and their counts of levels."""
    rows = min(round(fitted.total), _MADE_UP)
    groups = draw_independently(fitted.mixture, rows, rng)
    parts = zip(groups, seen.group_of, fitted.within, strict=True)
    codes = [split_groups(*part, rng) for part in parts]
    scale = fitted.total / rows
    grouped = pair_counts(groups, seen.layout) * scale
    tables = grouped if fitted.fine is seen.layout else pair_counts(codes, fitted.fine) * scale
    sizes = seen.domain.sizes
    counts = (np.bincount(column, minlength=size) for column, size in zip(codes, sizes, strict=True))
    return _Truth(total=fitted.total, grouped=grouped, tables=tables), [
        scale * one.astype(np.float64) for one in counts
    ]


def _distances(truth: _Truth, fitted: Fitted, levels: Sequence[Floats], seen: Observed) -> Floats:
    """L1 distances of a fit's normalised tables from the truth's: pairs, and on the diagonal single attributes."""
    assert fitted.tables is not None
    out = np.zeros_like(fitted.pair_error)
    apart = np.abs(truth.tables / truth.total - fitted.tables / fitted.total)
    for i, j in fitted.fine.pairs():
        out[i, j] = out[j, i] = apart[fitted.fine.part(i), fitted.fine.part(j)].sum()
    groups = fitted.mixture.layout.split(fitted.mixture.one_way())
    for i, (chance, of, share) in enumerate(zip(groups, seen.group_of, fitted.within, strict=True)):
        out[i, i] = np.abs(levels[i] / truth.total - chance[of] * share).sum()
    return out
