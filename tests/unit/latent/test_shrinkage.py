"""Shrinkage: the published formula's asymptotics, a simulation, margins; pooled spaces; what is noise and what is not."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth.domain import Impossible
from privsynth.latent import shrinkage
from privsynth.latent.observed import Observed, observe
from privsynth.latent.reconciling import products, reconcile
from privsynth.latent.shrinkage import denoise, rake, shrink_singular_values, shrink_towards
from tests.mixtures import domain_of, measured, noisy

Floats = npt.NDArray[np.float64]


@given(st.floats(0.05, 8.0), st.integers(1, 12), st.integers(1, 12), st.floats(0.1, 100.0))
def test_singular_values_are_shrunk_to_the_asymptotic_optimum(x: float, rows: int, columns: int, sigma: float) -> None:
    """Gavish, Donoho 2017: a signal x is seen as y(x); the best multiple is x times the cosines of both vectors' angles."""
    longer, aspect = max(rows, columns), min(rows, columns) / max(rows, columns)
    seen_as = math.sqrt((x + 1 / x) * (x + aspect / x))
    visible = x**4 > aspect
    cosines = math.sqrt((x**4 - aspect) ** 2 / ((x**4 + aspect * x**2) * (x**4 + x**2))) if visible else 0.0
    rng = np.random.default_rng(0)
    left = np.linalg.qr(rng.standard_normal((rows, 1)))[0]
    right = np.linalg.qr(rng.standard_normal((columns, 1)))[0]
    direction = left @ right.T
    height = seen_as if visible else 0.99 * (1 + math.sqrt(aspect))
    found = shrink_singular_values(height * sigma * math.sqrt(longer) * direction, sigma)
    expected = x * cosines * sigma * math.sqrt(longer) * direction
    np.testing.assert_allclose(found, expected, atol=1e-5 * sigma * height * math.sqrt(longer))


def test_no_common_multiple_of_singular_values_comes_closer() -> None:
    rng = np.random.default_rng(1)
    signal = 60.0 * np.outer(rng.standard_normal(80), rng.standard_normal(40)) / math.sqrt(80 * 40)
    noisy_table = signal + 2.0 * rng.standard_normal((80, 40))
    left, values, right = np.linalg.svd(noisy_table)
    best = min(((size * np.outer(left[:, 0], right[0]) - signal) ** 2).sum() for size in np.linspace(0, values[0], 200))
    found = shrink_singular_values(noisy_table, 2.0)
    assert np.linalg.matrix_rank(found) == 1
    assert ((found - signal) ** 2).sum() < 1.02 * best
    assert best < 0.5 * (signal**2).sum()


def test_raking_keeps_odds_ratios_and_meets_both_margins() -> None:
    """What iterative proportional fitting converges to is the only table that does both."""
    rng = np.random.default_rng(0)
    table = rng.random((4, 5)) + 0.5
    rows, columns = rng.random(4) + 0.5, rng.random(5) + 0.5
    columns *= rows.sum() / columns.sum()
    found = rake(table, rows, columns)
    np.testing.assert_allclose(found.sum(axis=1), rows, rtol=1e-6)
    np.testing.assert_allclose(found.sum(axis=0), columns, rtol=1e-12)
    odds = np.log(found / table)
    np.testing.assert_allclose(odds - odds[:1] - odds[:, :1] + odds[0, 0], 0, atol=1e-9)


def test_raking_leaves_zeros_and_survives_empty_rows_and_columns() -> None:
    table = np.array([[0.0, 1.0, 2.0], [0.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    found = rake(table, np.array([1e12, 1e12, 1e12]), np.array([1e12, 1e12, 1e12]))
    assert np.isfinite(found).all()
    assert not found[:, 0].any()
    assert not found[1].any()


def test_shrinking_towards_a_reference_is_james_and_stein_s() -> None:
    reference = np.array([[10.0, 20.0], [30.0, 40.0]])
    table = reference + np.array([[3.0, -3.0], [-3.0, 3.0]])
    kept = 1 - 4 * 4.0 / 36
    np.testing.assert_allclose(shrink_towards(table, 4.0, reference), reference + kept * (table - reference))
    np.testing.assert_array_equal(shrink_towards(table, 9.5, reference), reference)
    np.testing.assert_array_equal(shrink_towards(reference, 9.5, reference), reference)
    cut = shrink_towards(np.array([[-90.0, 120.0], [30.0, 40.0]]), 0.001, reference)
    assert cut.min() == 0
    assert cut.sum() == pytest.approx(100)


def test_shrinking_towards_a_reference_halves_the_risk_of_a_near_one() -> None:
    rng = np.random.default_rng(2)
    truth = 100 + rng.standard_normal((200, 30))
    tables = truth + 3 * rng.standard_normal((200, 30))
    shrunk = np.array([shrink_towards(each, 9.0, np.full(30, 100.0)) for each in tables])
    assert ((shrunk - truth) ** 2).mean() < 0.5 * ((tables - truth) ** 2).mean()


SIZES = (4, 5, 6)


def dependent(strength: float) -> Floats:
    """A table of three attributes, each pair of them depending on each other along one direction."""
    scores = [np.linspace(-1, 1, size) for size in SIZES]
    a, b, c = np.meshgrid(*scores, indexing="ij")
    return 500 * (1 + strength * (a * b + a * c + b * c))


def observed(strength: float, sigma: float, *, seed: int = 0, ruled: bool = False) -> Observed:
    table = np.zeros((4, 5), dtype=bool)
    table[0, 4] = table[1, 3] = True
    domain = domain_of(SIZES, (), (Impossible.of(("a", "b"), table),) if ruled else ())
    return observe(domain, list(measured(domain, dependent(strength), sigma, np.random.default_rng(seed))))


def denoised(seen: Observed) -> tuple[Floats, Floats]:
    one_way = reconcile(seen)
    reference = products(one_way, seen.layout)
    return denoise(seen, reference, one_way.groups), reference


def test_noise_alone_is_taken_out_whole_and_what_is_there_is_found() -> None:
    truth = dependent(0.3)
    pairs = [truth.sum(axis=2), truth.sum(axis=1), truth.sum(axis=0)]
    for seed in range(3):
        found, reference = denoised(observed(0.0, 60.0, seed=seed))
        np.testing.assert_allclose(found, reference, rtol=1e-9)
        seen = observed(0.3, 60.0, seed=seed)
        found, reference = denoised(seen)
        assert seen.pairs is not None
        for (i, j), table in zip(seen.layout.pairs(), pairs, strict=True):
            cells = seen.layout.part(i), seen.layout.part(j)
            apart = [((each[cells] - table) ** 2).mean() for each in (found, reference, seen.pairs)]
            assert apart[0] < 0.5 * min(apart[1:])


def test_tables_agree_with_their_margins_and_their_transposes() -> None:
    seen = observed(0.3, 30.0)
    found, _ = denoised(seen)
    margins = reconcile(seen).groups
    np.testing.assert_array_equal(found, found.T)
    for i, j in seen.layout.pairs():
        table = found[seen.layout.part(i), seen.layout.part(j)]
        assert table.min() > 0
        np.testing.assert_allclose(table.sum(axis=1), margins[seen.layout.part(i)], rtol=1e-4)
        np.testing.assert_allclose(table.sum(axis=0), margins[seen.layout.part(j)], rtol=1e-9)


def test_negative_estimates_are_raised_before_raking() -> None:
    """One record in ten thousand cannot be told from none; the table must still be one."""
    domain = domain_of((3, 3))
    counts = np.array([[5000.0, 0, 0], [0, 5000.0, 0], [0, 0, 5000.0]])
    seen = observe(domain, list(measured(domain, counts, 40.0, np.random.default_rng(0))))
    found, _ = denoised(seen)
    assert found[:3, 3:].min() > 0
    assert found[:3, 3:].sum() == pytest.approx(reconcile(seen).total)


def test_impossible_cells_are_zero_and_the_rest_agrees_with_the_margins() -> None:
    seen = observed(0.3, 30.0, ruled=True)
    found, _ = denoised(seen)
    assert found[0, 8] == found[8, 0] == found[1, 7] == 0
    assert (found[:4, 4:9] > 0).sum() == 18
    np.testing.assert_allclose(found[:4, 4:9].sum(axis=0), reconcile(seen).groups[4:9], rtol=1e-6)


def test_a_direction_too_faint_for_any_pair_alone_is_found_in_all_pairs_together() -> None:
    """Ten pairs of an attribute, each with its signal below its own edge, and above that of the pool."""
    rng = np.random.default_rng(0)
    sizes = (6,) * 11
    domain = domain_of(sizes)
    direction = np.array([1.0, 1, 1, -1, -1, -1]) / math.sqrt(6)
    found = [noisy((name,), np.full(6, 1000.0), 10.0) for name in domain.attributes]
    for i, one in enumerate(domain.attributes):
        for two in domain.attributes[i + 1 :]:
            across = rng.standard_normal(6)
            signal = 34.0 * np.outer(direction, across / np.linalg.norm(across)) if one == "a" else 0.0
            found.append(noisy((one, two), 1000 / 6 + signal + 10 * rng.standard_normal((6, 6)), 10.0))
    seen = observe(domain, found)
    assert seen.pairs is not None
    residual = {
        (i, j): shrinkage._centred(seen.pairs[seen.layout.part(i), seen.layout.part(j)]) for i, j in seen.layout.pairs()
    }
    space = shrinkage._column_space(seen, residual, 0)
    assert space.shape == (6, 1)
    assert abs(space[:, 0] @ direction) > 0.9
    alone = [np.linalg.svd(residual[0, j], compute_uv=False)[0] for j in range(1, 11)]
    assert np.median(alone) / 10 < 2 * math.sqrt(5)
    others = [shrinkage._column_space(seen, residual, attribute).shape[1] for attribute in range(1, 11)]
    assert np.mean(others) < 0.6


def test_the_edge_is_passed_by_noise_alone_in_some_of_many_tables_only() -> None:
    """Marchenko and Pastur's edge is where noise's largest eigenvalue lies; it is above it in a minority of draws."""
    rng = np.random.default_rng(3)
    domain = domain_of((12, 60))
    passed = []
    for _ in range(40):
        table = 1e5 + 20 * rng.standard_normal((12, 60))
        seen = observe(domain, [noisy(("a",), [1] * 12, 1), noisy(("b",), [1] * 60, 1), noisy(("a", "b"), table, 20.0)])
        assert seen.pairs is not None
        residual = {(0, 1): shrinkage._centred(seen.pairs[:12, 12:])}
        passed.append(shrinkage._column_space(seen, residual, 0).shape[1])
    assert 0 < np.mean(passed) < 0.6
