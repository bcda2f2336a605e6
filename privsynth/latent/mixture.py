"""Mixture: a hidden class, and attributes that are independent given it; fitted to tables of pairs, and of more attributes.

Must never see records: its targets are tables, noisy or made from noisy ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.errors import FitError
from privsynth.latent.arrays import AbstractArrays, Array
from privsynth.latent.layout import Layout
from privsynth.latent.observed import Wide

Floats = npt.NDArray[np.float64]

_RELAXATION = 1.6
"""Exponent of the multiplicative update: 1 is EM itself; 1.6 takes half the iterations and was never seen to diverge."""

_WIDE_WEIGHT = 4.0
"""How many pairs a table of three attributes counts for: it is measured because pairs say nothing of it."""

_CHECKED_EVERY = 10
_TINY = 1e-12


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mixture:
    """P(x) = sum over classes k of weights[k] times the product of given[place of x_i, k].

    Shapes: `given` is (groups, classes) over a layout, each attribute's block of a column sums to 1; `weights` (classes,).
    """

    layout: Layout
    given: Floats
    weights: Floats

    def pairs(self) -> Floats:
        """The probability tables of all pairs (the diagonal blocks mean nothing). Shapes: (groups, groups)."""
        return np.asarray((self.given * self.weights) @ self.given.T)

    def one_way(self) -> Floats:
        """The probabilities of all groups. Shapes: (groups,)."""
        return np.asarray(self.given @ self.weights)


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """What a mixture is fitted to, in probabilities: tables and the standard deviation of their noise.

    Shapes: `pairs` and `spread` are (groups, groups), `spread` infinite in the diagonal blocks; `one_way` and
        `one_way_spread` are (groups,). `wide` holds counts, in units of `total` records.
    """

    layout: Layout
    total: float
    pairs: Floats
    spread: Floats
    one_way: Floats
    one_way_spread: Floats
    wide: tuple[Wide, ...] = ()


def start(target: Target, classes: int, rng: np.random.Generator) -> Mixture:
    """Classes that differ from independence at random: gamma factors of shape 3, of mean 1, for every group."""
    layout = target.layout
    shares = np.maximum(target.one_way, 1e-9)
    given = shares[:, None] * rng.gamma(3.0, 1 / 3.0, (layout.total, classes))
    given /= np.add.reduceat(given, layout.starts, axis=0)[layout.owner]
    return Mixture(layout=layout, given=given, weights=np.full(classes, 1 / classes))


@final
class _Wide:
    """One table of three attributes or more, moved into an array namespace."""

    def __init__(self, wide: Wide, layout: Layout, total: float, arrays: AbstractArrays) -> None:
        self.parts = [layout.part(axis) for axis in wide.axes]
        self.axes = wide.axes
        turned = [np.moveaxis(wide.values, axis, 0) for axis in range(wide.values.ndim)]
        self.tables = [arrays.take(table.reshape(table.shape[0], -1) / total) for table in turned]
        self.weight = total**2 / wide.variance

    def others(self, given: Array, axis: int) -> Array:
        """Probabilities of all cells of the other attributes, given each class. Shapes: (cells, classes)."""
        rest = [given[part] for place, part in enumerate(self.parts) if place != axis]
        product = rest[0]
        for factor in rest[1:]:
            product = (product[:, None, :] * factor[None, :, :]).reshape(-1, factor.shape[-1])
        return product


def maximise_likelihood(
    begun: Mixture, target: Target, arrays: AbstractArrays, *, closeness: float, iterations: int
) -> Mixture:
    """Over-relaxed expectation maximisation for the composite likelihood of all tables.

    Stops once the mixture's pair tables differ from the target's by `closeness` of the noise's variance, on average over
    cells (the discrepancy principle: what is closer than that follows noise), or after `iterations`. Where it gets no
    closer, the over-relaxation is given up, and steps are those of EM itself.
    Raises: FitError when probabilities are no longer numbers.
    Source: Dempster, Laird, Rubin 1977 (EM); Varin, Reid, Firth 2011 (composite likelihood).
    """
    layout = target.layout
    given, weights = arrays.take(begun.given), arrays.take(begun.weights)
    pairs, precision = arrays.take(target.pairs), arrays.take(_precision(target))
    wides = [_Wide(wide, layout, target.total, arrays) for wide in target.wide]
    indicator, owner = arrays.take(layout.indicator()), arrays.take(layout.owner)
    terms = np.full(len(layout), float(max(1, len(layout) - 1)))
    for wide in wides:
        terms[list(wide.axes)] += _WIDE_WEIGHT
    share = arrays.take((1 / terms[layout.owner])[:, None])
    relaxation, before = _RELAXATION, np.inf
    cells = max(1, int(np.count_nonzero(np.isfinite(target.spread))))
    for iteration in range(iterations):
        model = arrays.at_least((given * weights) @ given.T, _TINY)
        if iteration % _CHECKED_EVERY == 0:
            distance = float((((model - pairs) ** 2) * precision).sum()) / cells
            if not np.isfinite(distance):
                raise _diverged(iteration)
            if distance <= closeness:
                break
            relaxation = relaxation if distance < before else 1.0
            before = distance
        expected = (pairs / model) @ given
        for wide in wides:
            for axis, part in enumerate(wide.parts):
                rest = wide.others(given, axis)
                ratio = wide.tables[axis] / arrays.at_least((given[part] * weights) @ rest.T, _TINY)
                expected[part] += _WIDE_WEIGHT * (ratio @ rest)
        given = given * (expected * share) ** relaxation
        mass = indicator @ given
        weights = weights * mass.mean(0)
        weights = weights / weights.sum()
        given = given / arrays.at_least(mass, 1e-30)[owner] + _TINY
    return _checked(layout, given, weights, arrays)


def _precision(target: Target) -> Floats:
    """1 / noise variance of every pair cell; 0 in the diagonal blocks."""
    return np.where(np.isfinite(target.spread), 1 / np.maximum(target.spread, 1e-300) ** 2, 0.0)


def _checked(layout: Layout, given: Array, weights: Array, arrays: AbstractArrays) -> Mixture:
    mixture = Mixture(layout=layout, given=arrays.give(given), weights=arrays.give(weights))
    if not np.isfinite(mixture.given).all() or not np.isfinite(mixture.weights).all():
        raise _diverged(None)
    return mixture


def _diverged(iteration: int | None) -> FitError:
    when = "" if iteration is None else f" after {iteration} iterations"
    return FitError(
        f"the latent class model did not converge{when}; the measurements are kept: fit them again with fewer "
        "components, or with another generator, at no cost"
    )


@final
class Refinement:
    """Least squares on the raw noisy tables, by Adam on the logarithms of a mixture's probabilities, in steps.

    The loss is each cell's squared error over its noise variance, so that its minimum is the maximum likelihood fit, noise
    included: whoever uses this stops early.
    Source: Kingma, Ba 2015 (Adam).
    """

    _RATE, _FIRST, _SECOND = 0.01, 0.9, 0.99

    def __init__(self, begun: Mixture, target: Target, arrays: AbstractArrays) -> None:
        self._layout, self._arrays = begun.layout, arrays
        self._given, self._weights = arrays.take(begun.given), arrays.take(begun.weights)
        self._pairs = arrays.take(target.pairs)
        self._precision = arrays.take(_precision(target))
        self._one_way = arrays.take(target.one_way)
        self._one_way_precision = arrays.take(1 / target.one_way_spread**2)
        self._wides = [_Wide(wide, begun.layout, target.total, arrays) for wide in target.wide]
        self._indicator, self._owner = arrays.take(begun.layout.indicator()), arrays.take(begun.layout.owner)
        self._moments: list[tuple[Array, Array]] = [(0.0, 0.0), (0.0, 0.0)]
        self._step = 0

    @property
    def step(self) -> int:
        """Steps taken so far."""
        return self._step

    @property
    def mixture(self) -> Mixture:
        """The mixture as it stands. Raises: FitError when probabilities are no longer numbers."""
        return _checked(self._layout, self._given, self._weights, self._arrays)

    def advance_to(self, step: int) -> None:
        """Take steps until so many have been taken in all."""
        arrays = self._arrays
        while self._step < step:
            self._step += 1
            slope_given, slope_weights = self._gradient()
            logits = arrays.log(arrays.at_least(self._given, 1e-9)) - self._move(0, slope_given)
            raised = arrays.exp(logits)
            self._given = raised / arrays.at_least(self._indicator @ raised, 1e-30)[self._owner]
            raised = arrays.exp(arrays.log(arrays.at_least(self._weights, 1e-9)) - self._move(1, slope_weights))
            self._weights = raised / raised.sum()

    def _gradient(self) -> tuple[Array, Array]:
        """The loss's slope in the logarithms of `given` and `weights`."""
        given, weights = self._given, self._weights
        pulled = (((given * weights) @ given.T - self._pairs) * self._precision) @ given
        error = (given @ weights - self._one_way) * self._one_way_precision
        slope = (pulled + error[:, None]) * weights
        slope_weights = (given * pulled).sum(0) / 2 + given.T @ error
        for wide in self._wides:
            for axis, part in enumerate(wide.parts):
                rest = wide.others(given, axis)
                pulled = (((given[part] * weights) @ rest.T - wide.tables[axis]) * wide.weight) @ rest
                slope[part] += pulled * weights
                slope_weights = slope_weights + (given[part] * pulled).sum(0) / len(wide.parts)
        slope = given * (slope - (self._indicator @ (slope * given))[self._owner])
        return slope, weights * (slope_weights - (slope_weights * weights).sum())

    def _move(self, which: int, slope: Array) -> Array:
        """Adam's step for this slope."""
        mean, square = self._moments[which]
        mean = self._FIRST * mean + (1 - self._FIRST) * slope
        square = self._SECOND * square + (1 - self._SECOND) * slope * slope
        self._moments[which] = (mean, square)
        scale = self._arrays.sqrt(square / (1 - self._SECOND**self._step))
        return self._RATE * (mean / (1 - self._FIRST**self._step)) / (scale + _TINY)


def wide_tables(mixture: Mixture, axes: Sequence[int]) -> Floats:
    """The mixture's probability table of some attributes. Shapes: their numbers of groups, in this order."""
    product = mixture.weights[None, :]
    for axis in axes[:-1]:
        factor = mixture.given[mixture.layout.part(axis)]
        product = (product[:, None, :] * factor[None, :, :]).reshape(-1, factor.shape[-1])
    shape = tuple(mixture.layout.sizes[axis] for axis in axes)
    last = mixture.given[mixture.layout.part(axes[-1])] if axes else np.ones((1, len(mixture.weights)))
    return np.asarray((product @ last.T).reshape(shape))
