"""Estimation: what is fitted comes nearer to the truth than what was measured; risk, errors, levels, impossible cells."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest

from privsynth.domain import Impossible
from privsynth.latent import estimation
from privsynth.latent.arrays import NumpyArrays
from privsynth.latent.estimation import expand, fine_layout, fit, sketch
from privsynth.latent.fitted import Fitted
from privsynth.latent.mixture import Refinement, wide_tables
from privsynth.latent.observed import Observed, observe
from privsynth.latent.reconciling import reconcile
from tests.mixtures import domain_of, joint, margin, measured, noisy, random_mixture

Floats = npt.NDArray[np.float64]
SIZES = (3, 4, 5, 2)
TRUTH = random_mixture(11, SIZES, 3)
TOTAL = 20_000
COUNTS = np.random.default_rng(0).multinomial(TOTAL, joint(TRUTH).ravel()).reshape(SIZES).astype(np.float64)
GROUPS = {"c": (0, 1, 1, 0, 2)}


def observed(sigma: float, seed: int = 0, groups: Mapping[str, tuple[int, ...]] | None = None) -> Observed:
    return observe(
        domain_of(SIZES), list(measured(domain_of(SIZES), COUNTS, sigma, np.random.default_rng(seed), groups))
    )


@lru_cache
def fitted(sigma: float, seed: int = 0) -> Fitted:
    return fit(observed(sigma, seed), components=20)


def errors(tables: Floats, seen: Observed) -> Floats:
    """L1 distance of each pair's normalised table from the truth's."""
    layout = seen.layout
    found = []
    for i, j in layout.pairs():
        table = tables[layout.part(i), layout.part(j)]
        found.append(np.abs(table / table.sum() - margin(COUNTS, (i, j)) / TOTAL).sum())
    return np.array(found)


@pytest.mark.parametrize(("sigma", "part"), [(10.0, 1.2), (30.0, 0.8), (100.0, 0.8), (600.0, 1.05)])
def test_fitted_tables_are_nearer_than_measured_ones_and_than_independence(sigma: float, part: float) -> None:
    """With little noise as near as what was measured, with much as near as independence, between them nearer than both."""
    seen, found = observed(sigma), fitted(sigma)
    assert seen.pairs is not None
    assert found.grouped is not None
    raw = errors(np.maximum(seen.pairs, 0), seen).mean()
    one_way = reconcile(seen)
    independent = errors(np.outer(one_way.groups, one_way.groups), seen).mean()
    for tables in (found.mixture.pairs(), found.grouped):
        assert errors(tables, seen).mean() < part * min(raw, independent)
    assert found.total == pytest.approx(TOTAL, abs=3 * sigma)
    assert found.fine.sizes == SIZES
    assert found.mixture.weights.shape == (20,)


def test_the_estimated_risk_is_near_the_squared_error() -> None:
    """Stein's estimate for the step that is taken, mean over eight noises, against the error that can be counted here."""
    estimated, actual = [], []
    for seed in range(8):
        seen = observed(60.0, seed)
        shaken, noise = seen.with_noise(0.3, np.random.default_rng(seed))
        both = tuple(estimation._begin(each, 10, NumpyArrays()) for each in (seen, shaken))
        steps, mixture, risk = estimation._least_risk(seen, both, noise, NumpyArrays())  # type: ignore[arg-type]
        assert steps in estimation._STEPS
        again = Refinement(both[0].mixture, both[0].raw, NumpyArrays())
        again.advance_to(steps)
        np.testing.assert_array_equal(again.mixture.given, mixture.given)
        estimated.append(risk)
        tables = reconcile(seen).total * mixture.pairs()
        apart = [
            tables[seen.layout.part(i), seen.layout.part(j)] - margin(COUNTS, (i, j)) for i, j in seen.layout.pairs()
        ]
        actual.append(sum(float((each**2).sum()) for each in apart) / 60.0**2)
    assert np.mean(estimated) == pytest.approx(np.mean(actual), rel=0.35)
    assert np.mean(actual) < 0.5 * np.count_nonzero(seen.layout.above())


@pytest.mark.parametrize(
    ("risks", "steps", "seen_until"),
    [
        ([100, 51.9, 40, 60, 60, 1], 10, 45),
        ([100, 52.1, 40, 60, 60, 1], 20, 45),
        ([100, 40, 41, 39, 41, 41, 1], 10, 60),
        ([10, 20, 30, 1], 0, 20),
        ([90, 80, 70, 60, 50, 40, 30, 20, 10, 0], 200, 300),
    ],
)
def test_the_first_step_that_gains_nearly_all_is_taken_and_two_worse_ones_end_the_search(
    risks: list[float], steps: int, seen_until: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With risks that are told: a path whose tables miss what is observed by just so much."""
    seen = observed(60.0)
    assert seen.pairs is not None
    pairs, sigma = seen.pairs, seen.layout.blocks(seen.sigma)
    begun = estimation._begin(seen, 5, NumpyArrays())
    cells = int(np.count_nonzero(seen.layout.above()))
    asked: list[int] = []

    class Path:
        def __init__(self, *_: object) -> None:
            self.place = 0

        def advance_to(self, step: int) -> None:
            asked.append(step)
            self.place = estimation._STEPS.index(step)

        @property
        def mixture(self) -> object:
            tables = (pairs + math.sqrt((risks[self.place] + cells) / cells) * sigma) / begun.one_way.total
            return SimpleNamespace(pairs=lambda: tables)

    monkeypatch.setattr(estimation, "Refinement", Path)
    found = estimation._least_risk(seen, (begun, begun), 0 * pairs, NumpyArrays())
    assert found[0] == steps
    assert found[2] == pytest.approx(risks[estimation._STEPS.index(steps)])
    assert asked[-1] == seen_until


def test_expected_errors_are_near_the_errors_of_the_tables_that_records_follow() -> None:
    for sigma in (20.0, 150.0):
        ratios = []
        for seed in range(3):
            found, seen = fitted(sigma, seed), observed(sigma, seed)
            assert found.tables is not None
            predicted = np.array([found.pair_error[pair] for pair in seen.layout.pairs()])
            ratios.append(errors(found.tables, seen).mean() / predicted.mean())
            np.testing.assert_array_equal(found.pair_error, found.pair_error.T)
            own = np.split(found.mixture.one_way(), seen.layout.starts[1:])
            apart = [np.abs(one - margin(COUNTS, (axis,)) / TOTAL).sum() for axis, one in enumerate(own)]
            assert 0.3 < np.mean(apart) / np.diag(found.pair_error).mean() < 3
        assert 0.6 < np.mean(ratios) < 1.6
    assert fitted(150.0).pair_error.mean() > 2 * fitted(20.0).pair_error.mean()


def test_a_fit_can_be_repeated_and_a_sketch_is_what_it_starts_from() -> None:
    one, two = fitted(20.0), fit(observed(20.0), components=20)
    np.testing.assert_array_equal(one.mixture.given, two.mixture.given)
    np.testing.assert_array_equal(one.pair_error, two.pair_error)
    rough = sketch(observed(20.0), components=20)
    begun = estimation._begin(observed(20.0), 20, NumpyArrays())
    np.testing.assert_array_equal(rough.mixture.given, begun.mixture.given)
    assert rough.tables is None
    assert np.isnan(rough.pair_error).all()


def test_without_predictions_the_fit_is_the_same_and_errors_are_not_known() -> None:
    found, whole = fit(observed(30.0), components=20, predicting=False), fitted(30.0)
    assert np.array_equal(found.mixture.given, whole.mixture.given)
    assert found.grouped is not None and whole.grouped is not None and np.array_equal(found.grouped, whole.grouped)
    assert np.isnan(found.pair_error).all() and not np.isnan(whole.pair_error).any()


def test_a_table_of_three_is_followed() -> None:
    """Parity of a, b and d, which pairs do not show."""
    a, b, d = np.meshgrid(range(2), range(2), range(2), indexing="ij")
    counts = np.where(a ^ b ^ d, 10.0, 2000.0)
    domain = domain_of((2, 2, 2))
    found = list(measured(domain, counts, 20.0, np.random.default_rng(0)))
    blind = wide_tables(fit(observe(domain, found), components=20).mixture, (0, 1, 2))
    told = observe(domain, [*found, noisy(("a", "b", "c"), counts + 3 * (a - b), 30.0)])
    table = wide_tables(fit(told, components=20).mixture, (0, 1, 2))
    assert np.abs(blind - counts / counts.sum()).sum() > 0.9
    assert np.abs(table - counts / counts.sum()).sum() < 0.1
    with_noise = estimation._begin(told, 20, NumpyArrays())
    np.testing.assert_array_equal(with_noise.raw.wide[0].values, told.wide[0].values)


def test_the_raw_target_is_what_was_measured_in_units_of_all_records() -> None:
    seen = observed(30.0, groups=GROUPS)
    assert seen.pairs is not None
    begun = estimation._begin(seen, 5, NumpyArrays())
    total = reconcile(seen).total
    np.testing.assert_allclose(begun.raw.pairs * total, seen.pairs)
    assert begun.raw.total == total
    np.testing.assert_allclose(begun.raw.one_way * total, reconcile(seen).groups)
    inside = np.isfinite(begun.raw.spread)
    np.testing.assert_allclose(begun.raw.spread[inside] * total, 30.0)
    assert inside.sum() == 2 * np.count_nonzero(seen.layout.above())
    expected = np.sqrt(np.array([1] * 7 + [2, 2, 1] + [1, 1]) * 900.0)
    np.testing.assert_allclose(begun.raw.one_way_spread * total, expected)


def test_without_pairs_it_is_the_product_of_the_one_way_tables() -> None:
    domain = domain_of(SIZES)
    one_way = [one for one in measured(domain, COUNTS, 50.0, np.random.default_rng(0)) if len(one.clique) == 1]
    seen = observe(domain, one_way)
    found = fit(seen, components=20)
    assert found.grouped is None
    assert found.tables is None
    expected = reconcile(seen)
    np.testing.assert_allclose(found.mixture.one_way() * expected.total, expected.groups)
    assert found.mixture.weights.tolist() == [1.0]
    off = ~np.eye(4, dtype=bool)
    assert np.isnan(found.pair_error[off]).all()
    for axis, counts in enumerate(expected.levels):
        told = sum(min(0.8 * 50, 2 * count + 0.4 * 50) for count in counts) / expected.total
        assert found.pair_error[axis, axis] == pytest.approx(told)
    nothing = fit(observe(domain_of((2,)), [noisy(("a",), [0, 0], 1e6)]), components=2)
    assert nothing.pair_error.tolist() == [[2.0]]


def test_levels_get_their_share_of_their_group_s_cells() -> None:
    seen = observed(30.0, groups=GROUPS)
    found = fit(seen, components=10)
    assert found.grouped is not None
    assert found.tables is not None
    assert found.fine.sizes == SIZES
    assert found.mixture.layout.sizes == (3, 4, 3, 2)
    place = [[0, 1, 2], [3, 4, 5, 6], [7, 8, 8, 7, 9], [10, 11]]
    within = [np.concatenate([[one] for one in share]) for share in found.within]
    starts = [0, 3, 7, 12]
    for i, j in [(0, 2), (2, 3), (2, 1), (0, 1)]:
        for a in range(SIZES[i]):
            for b in range(SIZES[j]):
                expected = found.grouped[place[i][a], place[j][b]] * within[i][a] * within[j][b]
                assert found.tables[starts[i] + a, starts[j] + b] == pytest.approx(expected)


def test_cells_that_are_impossible_are_zero_in_tables_of_levels_and_of_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule between two attributes named against the domain's order; one of its levels shares a group."""
    table = np.zeros((5, 3), dtype=bool)
    table[1, 0] = table[4, 2] = True
    wide = np.ones((3, 4, 5), dtype=bool)
    domain = domain_of(SIZES, (), (Impossible.of(("c", "a"), table), Impossible.of(("a", "b", "c"), wide)))
    counts = COUNTS.copy()
    counts[0, :, 1], counts[2, :, 4] = 0, 0
    seen = observe(domain, list(measured(domain, counts, 30.0, np.random.default_rng(0), GROUPS)))
    found = fit(seen, components=10)
    assert found.grouped is not None
    assert found.tables is not None
    assert found.tables[0, 8] == found.tables[8, 0] == found.tables[2, 11] == found.tables[11, 2] == 0
    assert found.grouped[2, 9] == found.grouped[9, 2] == 0 < found.grouped[0, 8]
    assert (found.tables[:3, 7:12] == 0).sum() == 2
    monkeypatch.setattr(estimation, "_FINEST", 13)
    assert fine_layout(seen) is seen.layout
    rough = fit(seen, components=10)
    assert rough.tables is rough.grouped
    assert rough.pair_error.shape == (4, 4)
    assert np.isfinite(rough.pair_error).all()
    monkeypatch.setattr(estimation, "_FINEST", 14)
    assert fine_layout(seen).sizes == SIZES
    assert expand(rough.grouped, seen, rough.within).shape == (14, 14)  # type: ignore[arg-type]
