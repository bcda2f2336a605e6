"""The mixture: its tables by brute force; its likelihood rises; its gradient by finite differences; where it stops."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.errors import FitError
from privsynth.latent import mixture as mixtures
from privsynth.latent.arrays import NumpyArrays
from privsynth.latent.mixture import Mixture, Refinement, Target, maximise_likelihood, start, wide_tables
from privsynth.latent.observed import Wide
from tests.mixtures import joint, margin, random_mixture

Floats = npt.NDArray[np.float64]
ARRAYS = NumpyArrays()
TOTAL = 1000.0


def target_of(truth: Mixture, wide: tuple[tuple[int, ...], ...] = (), spread: float = 1e-3) -> Target:
    """The exact tables of a mixture, said to have noise; every second pair has twice as much."""
    layout = truth.layout
    spreads = spread * np.array([[1.0 + (i + j) % 2 for j in range(len(layout))] for i in range(len(layout))])
    np.fill_diagonal(spreads, np.inf)
    table = joint(truth)
    return Target(
        layout=layout,
        total=TOTAL,
        pairs=np.where(np.isfinite(layout.blocks(spreads)), truth.pairs(), 0.0),
        spread=layout.blocks(spreads),
        one_way=truth.one_way(),
        one_way_spread=np.linspace(1, 2, layout.total) * spread,
        wide=tuple(Wide(axes=axes, values=TOTAL * margin(table, axes), variance=4.0) for axes in wide),
    )


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(1, 4))
def test_tables_are_sums_over_all_cells(seed: int, sizes: list[int], classes: int) -> None:
    mixture = random_mixture(seed, sizes, classes)
    table, layout = joint(mixture), mixture.layout
    for width in range(len(sizes) + 1):
        for axes in itertools.combinations(range(len(sizes)), width):
            np.testing.assert_allclose(wide_tables(mixture, axes), margin(table, axes))
    pairs = mixture.pairs()
    for i, j in layout.pairs():
        np.testing.assert_allclose(pairs[layout.part(i), layout.part(j)], margin(table, (i, j)))
        np.testing.assert_allclose(wide_tables(mixture, (j, i)), margin(table, (i, j)).T)
    for i in range(len(sizes)):
        np.testing.assert_allclose(mixture.one_way()[layout.part(i)], margin(table, (i,)))


def test_classes_start_as_gamma_factors_around_independence() -> None:
    target = replace(target_of(random_mixture(0)), one_way=np.array([1.0, 0, 0.2, 0.3, 0.5, 0.1, 0.2, 0.3, 0.4]))
    begun = start(target, 5000, np.random.default_rng(0))
    np.testing.assert_allclose(np.add.reduceat(begun.given, [0, 2, 5], axis=0), 1.0)
    np.testing.assert_allclose(begun.weights, 1 / 5000)
    np.testing.assert_allclose(begun.one_way(), target.one_way, atol=0.03)
    assert 0 < begun.given[1].min() < begun.given[1].max() < 1e-6
    factors = np.random.default_rng(1).gamma(3.0, 1 / 3, (3, 100_000)) * target.one_way[2:5, None]
    assert begun.given[2].std() == pytest.approx((factors[0] / factors.sum(axis=0)).std(), rel=0.05)
    again = start(target, 5000, np.random.default_rng(0))
    np.testing.assert_array_equal(again.given, begun.given)


def likelihood(mixture: Mixture, target: Target) -> float:
    """The composite log-likelihood of all pairs, and of tables of three at their weight."""
    layout = target.layout
    found = sum(
        float((table * np.log(wide_tables(mixture, pair))).sum())
        for pair in layout.pairs()
        for table in [target.pairs[layout.part(pair[0]), layout.part(pair[1])]]
    )
    for wide in target.wide:
        found += 4 * float((wide.values / target.total * np.log(wide_tables(mixture, wide.axes))).sum())
    return found


def rises(target: Target, exponent: float, monkeypatch: pytest.MonkeyPatch, steps: int = 40) -> list[float]:
    monkeypatch.setattr(mixtures, "_RELAXATION", exponent)
    current = start(target, 3, np.random.default_rng(1))
    found = [likelihood(current, target)]
    for _ in range(steps):
        current = maximise_likelihood(current, target, ARRAYS, closeness=0.0, iterations=1)
        found.append(likelihood(current, target))
    return found


@pytest.mark.parametrize("seed", range(5))
def test_expectation_maximisation_never_lowers_the_likelihood(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    target = target_of(random_mixture(seed, (2, 3, 4, 2)))
    found = rises(target, 1.0, monkeypatch)
    assert np.diff(found).min() > -1e-6
    assert found[-1] > found[0] + 0.01
    faster = rises(target, 1.6, monkeypatch)
    assert faster[10] > found[10]
    wide = rises(target_of(random_mixture(seed, (2, 3, 4, 3)), ((0, 1, 2),)), 1.0, monkeypatch)
    assert np.diff(wide).min() > -1e-6
    assert wide[-1] > wide[0] + 0.01


def test_one_step_is_the_expected_counts_of_every_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    """Written out cell by cell: what each cell of each pair says of each class, added up and normalised."""
    monkeypatch.setattr(mixtures, "_RELAXATION", 1.0)
    target, begun = target_of(random_mixture(3)), random_mixture(4)
    layout, classes = target.layout, range(3)
    given, weights = np.zeros_like(begun.given), np.zeros(3)
    for i, j in layout.pairs():
        for a, b in itertools.product(range(layout.sizes[i]), range(layout.sizes[j])):
            one, two = layout.starts[i] + a, layout.starts[j] + b
            says = np.array([begun.weights[k] * begun.given[one, k] * begun.given[two, k] for k in classes])
            says *= target.pairs[one, two] / says.sum()
            given[one] += says
            given[two] += says
            weights += says
    given /= np.add.reduceat(given, layout.starts, axis=0)[layout.owner]
    found = maximise_likelihood(begun, target, ARRAYS, closeness=0.0, iterations=1)
    np.testing.assert_allclose(found.given, given, rtol=1e-4)
    np.testing.assert_allclose(found.weights, weights / weights.sum(), rtol=1e-4)


def test_one_step_with_a_table_of_three_counts_it_four_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixtures, "_RELAXATION", 1.0)
    sizes, axes = (2, 3, 4, 2), (0, 1, 3)
    target, begun = target_of(random_mixture(3, sizes), (axes,)), random_mixture(4, sizes)
    layout = target.layout
    posterior = np.zeros_like(begun.given)
    for cell in itertools.product(*(range(sizes[axis]) for axis in axes)):
        places = [int(layout.starts[axis]) + code for axis, code in zip(axes, cell, strict=True)]
        says = begun.weights * begun.given[places].prod(axis=0)
        for place in places:
            posterior[place] += target.wide[0].values[cell] / TOTAL * says / says.sum()
    model = begun.pairs()
    expected = begun.given * ((target.pairs / model) @ begun.given) * begun.weights + 4 * posterior
    mass = np.add.reduceat(expected, layout.starts, axis=0)
    found = maximise_likelihood(begun, target, ARRAYS, closeness=0.0, iterations=1)
    np.testing.assert_allclose(found.given, expected / mass[layout.owner], rtol=1e-4)
    told = mass / np.array([[7.0], [7.0], [3.0], [7.0]])
    np.testing.assert_allclose(found.weights, told.mean(axis=0), rtol=1e-4)


def test_the_truth_is_kept_and_is_found() -> None:
    truth = random_mixture(5, (3, 4, 3, 4))
    target = target_of(truth, ((0, 1, 3),))
    kept = maximise_likelihood(truth, target, ARRAYS, closeness=0.0, iterations=5)
    np.testing.assert_allclose(kept.given, truth.given, atol=1e-5)
    np.testing.assert_allclose(kept.weights, truth.weights, atol=1e-5)
    begun = start(target, 8, np.random.default_rng(0))
    found = maximise_likelihood(begun, target, ARRAYS, closeness=0.0, iterations=400)
    above = truth.layout.above()
    assert np.abs(found.pairs() - truth.pairs())[above].max() < 0.003
    assert np.abs(wide_tables(found, (0, 1, 3)) - wide_tables(truth, (0, 1, 3))).max() < 0.004


def test_an_exclusive_or_is_invisible_to_pairs_and_found_in_the_table_of_three() -> None:
    parity = np.array([[[0.25, 0], [0, 0.25]], [[0, 0.25], [0.25, 0]]])
    plain = replace(target_of(random_mixture(0, (2, 2, 2))), pairs=np.full((6, 6), 0.25), one_way=np.full(6, 0.5))
    begun = start(plain, 12, np.random.default_rng(0))
    blind = maximise_likelihood(begun, plain, ARRAYS, closeness=0.0, iterations=100)
    assert np.abs(wide_tables(blind, (0, 1, 2)) - 1 / 8).max() < 0.05
    told = replace(plain, wide=(Wide(axes=(0, 1, 2), values=TOTAL * parity, variance=4.0),))
    found = maximise_likelihood(begun, told, ARRAYS, closeness=0.0, iterations=200)
    assert np.abs(wide_tables(found, (0, 1, 2)) - parity).max() < 0.03


def distance(mixture: Mixture, target: Target) -> float:
    inside = np.isfinite(target.spread)
    return float((((mixture.pairs() - target.pairs) / target.spread)[inside] ** 2).mean())


def test_it_stops_once_it_is_close_enough() -> None:
    truth = random_mixture(6, (3, 4, 3))
    target = target_of(truth, spread=0.02)
    begun = start(target, 6, np.random.default_rng(0))
    assert distance(begun, target) > 0.3
    reached = maximise_likelihood(begun, target, ARRAYS, closeness=0.1, iterations=500)
    further = maximise_likelihood(begun, target, ARRAYS, closeness=0.001, iterations=500)
    assert 0.001 < distance(reached, target) <= 0.1
    assert distance(further, target) <= 0.001
    same = maximise_likelihood(begun, target, ARRAYS, closeness=10.0, iterations=500)
    np.testing.assert_allclose(same.given, begun.given, rtol=1e-6)


def test_over_relaxation_is_given_up_where_it_does_not_get_closer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exponent that diverges is survived: after the first check, steps are those of the method itself."""
    monkeypatch.setattr(mixtures, "_RELAXATION", 2.4)
    target = target_of(random_mixture(7, (3, 4, 3)))
    begun = start(target, 6, np.random.default_rng(0))
    found = maximise_likelihood(begun, target, ARRAYS, closeness=0.0, iterations=400)
    assert np.abs(found.pairs() - target.pairs)[target.layout.above()].max() < 0.001


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("iterations", [1, 300])
def test_targets_that_are_no_numbers_are_refused(iterations: int) -> None:
    truth = random_mixture(8)
    for bad in (np.nan, np.inf):
        target = target_of(truth)
        pairs = target.pairs.copy()
        pairs[0, 3] = pairs[3, 0] = bad
        with pytest.raises(FitError, match="did not converge after 0 iterations"):
            maximise_likelihood(truth, replace(target, pairs=pairs), ARRAYS, closeness=0.0, iterations=iterations)
        path = Refinement(truth, replace(target, pairs=pairs), ARRAYS)
        path.advance_to(2)
        with pytest.raises(FitError, match="fewer components"):
            _ = path.mixture


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_table_of_three_that_is_no_number_is_refused() -> None:
    truth = random_mixture(8)
    target = target_of(truth, ((0, 1, 2),))
    target.wide[0].values[0, 0, 0] = np.nan
    for iterations, message in ((1, "did not converge;"), (300, "did not converge after 10 iterations;")):
        with pytest.raises(FitError, match=message):
            maximise_likelihood(truth, target, ARRAYS, closeness=0.0, iterations=iterations)


def test_probabilities_stay_positive_so_that_nothing_is_ruled_out_for_ever() -> None:
    target = target_of(random_mixture(9))
    pairs = target.pairs.copy()
    pairs[0], pairs[:, 0] = 0.0, 0.0
    found = maximise_likelihood(random_mixture(1), replace(target, pairs=pairs), ARRAYS, closeness=0.0, iterations=200)
    assert 0 < found.given.min() < 1e-9
