"""Refinement: its gradient by finite differences of the loss, its steps against Adam written out, and that it descends."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest

from privsynth.latent.arrays import AbstractArrays, NumpyArrays
from privsynth.latent.layout import Layout
from privsynth.latent.mixture import Mixture, Refinement, Target, wide_tables
from privsynth.latent.observed import Wide
from tests.mixtures import random_mixture

Floats = npt.NDArray[np.float64]
SIZES = (2, 3, 4, 2)
TOTAL = 500.0


class Double:
    """Numpy in double precision, so that finite differences can be told from rounding."""

    def __init__(self) -> None:
        single = NumpyArrays()
        self.give, self.exp, self.log, self.sqrt = single.give, single.exp, single.log, single.sqrt

    def take(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        return values.copy()

    def at_least(self, array: Floats, least: float) -> Floats:
        return np.maximum(array, least)


DOUBLE: AbstractArrays = Double()  # type: ignore[assignment]


def target(seed: int, wide: tuple[tuple[int, ...], ...]) -> Target:
    rng = np.random.default_rng(seed)
    layout = Layout(SIZES)
    spread = rng.uniform(0.01, 0.1, (4, 4))
    spread = spread + spread.T
    np.fill_diagonal(spread, np.inf)
    pairs = rng.uniform(0, 0.3, (layout.total,) * 2)
    shapes = [tuple(SIZES[axis] for axis in axes) for axes in wide]
    return Target(
        layout=layout,
        total=TOTAL,
        pairs=np.where(layout.owner[:, None] == layout.owner[None, :], 0.0, pairs + pairs.T),
        spread=layout.blocks(spread),
        one_way=rng.uniform(0, 0.5, layout.total),
        one_way_spread=rng.uniform(0.02, 0.2, layout.total),
        wide=tuple(
            Wide(axes=axes, values=TOTAL * rng.uniform(0, 0.3, shape), variance=rng.uniform(100, 900))
            for axes, shape in zip(wide, shapes, strict=True)
        ),
    )


def loss(mixture: Mixture, goal: Target) -> float:
    """Half the squared error of every cell of every table over its noise variance."""
    layout = goal.layout
    found = float((((mixture.one_way() - goal.one_way) / goal.one_way_spread) ** 2).sum())
    for i, j in layout.pairs():
        cells = layout.part(i), layout.part(j)
        found += float((((wide_tables(mixture, (i, j)) - goal.pairs[cells]) / goal.spread[cells]) ** 2).sum())
    for wide in goal.wide:
        apart = TOTAL * wide_tables(mixture, wide.axes) - wide.values
        found += float((apart**2).sum()) / wide.variance
    return found / 2


def moved(mixture: Mixture, given: Floats, weights: Floats) -> Mixture:
    """A step in the logarithms, normalised."""
    raised, heavier = mixture.given * np.exp(given), mixture.weights * np.exp(weights)
    layout = mixture.layout
    raised = raised / np.add.reduceat(raised, layout.starts, axis=0)[layout.owner]
    return Mixture(layout=layout, given=raised, weights=heavier / heavier.sum())


@pytest.mark.parametrize("wide", [(), ((0, 1, 2),), ((0, 1, 3), (0, 2, 3), (0, 1, 2, 3))], ids=["pairs", "one", "many"])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_gradient_is_the_slope_of_the_loss(seed: int, wide: tuple[tuple[int, ...], ...]) -> None:
    goal, mixture = target(seed, wide), random_mixture(seed + 5, SIZES)
    slope, slope_weights = Refinement(mixture, goal, DOUBLE)._gradient()
    step = 1e-5
    for place, which in itertools.product(range(sum(SIZES)), range(3)):
        towards = np.zeros_like(mixture.given)
        towards[place, which] = step
        up, down = (loss(moved(mixture, sign * towards, np.zeros(3)), goal) for sign in (1, -1))
        assert slope[place, which] == pytest.approx((up - down) / (2 * step), rel=1e-5, abs=1e-5)
    for which in range(3):
        towards = np.eye(3)[which] * step
        up, down = (loss(moved(mixture, 0 * mixture.given, sign * towards), goal) for sign in (1, -1))
        assert slope_weights[which] == pytest.approx((up - down) / (2 * step), rel=1e-5, abs=1e-5)


def test_steps_are_adam_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kingma, Ba 2015, algorithm 1, at rate .01 and decays .9 and .99."""
    goal, current = target(2, ((0, 1, 2),)), random_mixture(3, SIZES)
    path = Refinement(current, goal, DOUBLE)
    means, squares = [0.0, 0.0], [0.0, 0.0]
    for step in range(1, 8):
        slopes = Refinement(current, goal, DOUBLE)._gradient()
        moves = []
        for which, slope in enumerate(slopes):
            means[which] = 0.9 * means[which] + 0.1 * slope
            squares[which] = 0.99 * squares[which] + 0.01 * slope**2
            moves.append(-0.01 * (means[which] / (1 - 0.9**step)) / np.sqrt(squares[which] / (1 - 0.99**step)))
        current = moved(current, *moves)
        path.advance_to(step)
        assert path.step == step
        np.testing.assert_allclose(path.mixture.given, current.given, rtol=1e-8)
        np.testing.assert_allclose(path.mixture.weights, current.weights, rtol=1e-8)
    path.advance_to(3)
    assert path.step == 7


def test_it_descends_towards_the_tables_it_is_given_and_stays_a_mixture() -> None:
    goal, begun = target(4, ((0, 1, 2),)), random_mixture(4, SIZES, 6)
    path = Refinement(begun, goal, NumpyArrays())
    losses = [loss(path.mixture, goal)]
    for step in (20, 60, 150):
        path.advance_to(step)
        found = path.mixture
        losses.append(loss(found, goal))
        np.testing.assert_allclose(np.add.reduceat(found.given, found.layout.starts, axis=0), 1, atol=1e-5)
        assert found.weights.sum() == pytest.approx(1, abs=1e-5)
        assert found.given.min() > 0
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.95 * losses[0]


def test_probabilities_that_are_zero_can_come_back() -> None:
    goal, begun = target(5, ()), random_mixture(5, SIZES)
    begun.given[0, 0], begun.given[1, 0] = 0.0, 1.0
    begun.weights[:] = [1.0, 0.0, 0.0]
    path = Refinement(begun, goal, NumpyArrays())
    path.advance_to(5)
    assert path.mixture.given[0, 0] > 0
    assert path.mixture.weights.min() > 0
