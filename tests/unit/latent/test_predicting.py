"""Predicting errors: what refits, margins and misfit each add, on tables whose truth is known."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pytest

from privsynth.domain import Impossible
from privsynth.latent import estimation, predicting
from privsynth.latent.estimation import fit
from privsynth.latent.fitted import Fitted
from privsynth.latent.observed import Observed, observe
from privsynth.latent.predicting import expected_errors, made_up, moved_margins, of_levels
from privsynth.latent.shrinkage import rake
from tests.mixtures import domain_of, joint, margin, measured, random_mixture

Floats = npt.NDArray[np.float64]
SIZES = (3, 4, 5, 2)
TRUTH = random_mixture(11, SIZES, 3)
TOTAL = 20_000
COUNTS = np.random.default_rng(0).multinomial(TOTAL, joint(TRUTH).ravel()).reshape(SIZES).astype(np.float64)
GROUPS = {"c": (0, 1, 1, 0, 2)}
OFF = ~np.eye(4, dtype=bool)


def observed(sigma: float, seed: int = 0, groups: dict[str, tuple[int, ...]] | None = None) -> Observed:
    domain = domain_of(SIZES)
    return observe(domain, list(measured(domain, COUNTS, sigma, np.random.default_rng(seed), groups)))


@lru_cache
def fitted(sigma: float) -> Fitted:
    return fit(observed(sigma), components=10)


def refit(seen: Observed) -> Fitted:
    return fit(seen, components=10, predicting=False)


def test_one_way_tables_of_made_up_records_are_noised_too() -> None:
    found = fitted(100.0)
    levels: list[Floats] = []

    def record(seen: Observed) -> Fitted:
        levels.append(seen.levels[3])
        return refit(seen)

    expected_errors(observed(100.0), found, record, 0)
    apart = np.array(levels) - found.total * found.mixture.one_way()[-2:]
    assert apart.shape == (4, 2)
    assert 50 < apart.std(axis=0).mean() < 250


def test_errors_are_larger_where_a_pair_s_noisy_table_is_far_from_the_fit() -> None:
    """One pair's table says what the fit does not; its error grows, others' hardly, and no column's own does."""
    seen, found = observed(30.0), fitted(30.0)
    assert seen.pairs is not None
    moved = seen.pairs.copy()
    rows, columns = seen.layout.part(1), seen.layout.part(2)
    there = np.outer([1.0, -1.0, 1.0, -1.0], [1.0, -1.0, 0.0, 1.0, -1.0]) * 300
    moved[rows, columns] += there
    moved[columns, rows] += there.T
    plain, other = (expected_errors(each, found, refit, 0) for each in (seen, replace(seen, pairs=moved)))
    assert other[1, 2] == other[2, 1] > 1.8 * plain[1, 2]
    rest = OFF.copy()
    rest[1, 2] = rest[2, 1] = False
    assert 0.8 < other[rest].mean() / plain[rest].mean() < 1.5
    np.testing.assert_allclose(np.diag(other), np.diag(plain), rtol=0.2)
    far = replace(seen, pairs=seen.pairs + 1e3 * (moved - seen.pairs))
    assert expected_errors(far, found, refit, 0).max() <= 2


def rare(seed: int) -> Observed:
    """Twelve columns of two levels, the second of which nobody has."""
    domain = domain_of((2,) * 12)
    counts = np.zeros((2,) * 12)
    counts[(0,) * 12] = TOTAL
    return observe(domain, list(measured(domain, counts, 40.0, np.random.default_rng(seed))))


def near(told: Floats, true: Floats) -> float:
    """The share of numbers that are told within a factor 1.5."""
    return float(np.mean((told < 1.5 * true) & (told > true / 1.5)))


def test_pairs_of_columns_that_are_nearly_always_the_same_are_predicted_from_their_counts() -> None:
    """No number near all of their errors is known before noise is drawn: they are those of single counts."""
    shares, usual = [], []
    for seed in range(3):
        found = fit(rare(seed), components=10)
        assert found.tables is not None
        pairs = list(found.fine.pairs())
        cells = [found.tables[found.fine.part(i), found.fine.part(j)][0, 0] / found.total for i, j in pairs]
        true, told = 2 * (1 - np.array(cells)), np.array([found.pair_error[pair] for pair in pairs])
        far = true > 5 / TOTAL
        shares.append(near(told[far], true[far]))
        usual.append(near(np.full(int(far.sum()), true[far].mean()), true[far]))
        own = np.array([1 - one[0] for one in found.mixture.layout.split(found.mixture.one_way())])
        np.testing.assert_allclose(np.diag(found.pair_error), 2 * own, atol=20 / TOTAL)
    assert np.mean(shares) > 0.85
    assert np.mean(usual) < 0.75, "one number for all of them is not near"


def test_margins_are_moved_as_raking_moves_them() -> None:
    rng = np.random.default_rng(0)
    table = rng.dirichlet(np.ones(20)).reshape(4, 5)
    rows, columns = rng.standard_normal((4, 3)), rng.standard_normal((5, 3))
    rows, columns = 1e-5 * (rows - rows.mean(axis=0)), 1e-5 * (columns - columns.mean(axis=0))
    moved = moved_margins(table, rows, columns)
    np.testing.assert_allclose(moved.sum(axis=1), rows, atol=1e-12)
    np.testing.assert_allclose(moved.sum(axis=0), columns, atol=2e-7)
    for place in range(3):
        raked = rake(table, table.sum(axis=1) + rows[:, place], table.sum(axis=0) + columns[:, place])
        np.testing.assert_allclose(moved[:, :, place], raked - table, atol=2e-7)


def test_made_up_records_keep_the_rules() -> None:
    pair = np.zeros((3, 4), dtype=bool)
    pair[0, 0] = pair[2, 3] = pair[1, 1] = True
    domain = domain_of(SIZES, impossible=(Impossible.of(("a", "b"), pair),))
    counts = np.where(pair[:, :, None, None], 0.0, COUNTS)
    seen = observe(domain, list(measured(domain, counts, 60.0, np.random.default_rng(0))))
    found = fit(seen, components=10)
    truth, levels = made_up(found, seen, np.random.default_rng(0))
    table = truth.tables[found.fine.part(0), found.fine.part(1)]
    assert not table[pair].any()
    assert (table[~pair] > 0).any()
    for counted, one in zip(levels, found.mixture.layout.split(found.mixture.one_way()), strict=True):
        np.testing.assert_allclose(counted / found.total, one, atol=0.03)
    careless, _ = made_up(found, replace(seen, domain=domain_of(SIZES)), np.random.default_rng(0))
    assert careless.tables[found.fine.part(0), found.fine.part(1)][pair].any()
    tables = found.tables
    assert tables is not None
    apart = np.abs(tables[found.fine.part(0), found.fine.part(1)] / found.total - margin(counts, (0, 1)) / counts.sum())
    assert 1 / 2.5 < found.pair_error[0, 1] / apart.sum() < 2.5


def test_an_attribute_of_one_level_and_next_to_no_records_are_no_trouble() -> None:
    domain = domain_of((1, 3, 2))
    for many in (3.0, 4000.0):
        counts = np.full((1, 3, 2), many)
        found = fit(observe(domain, list(measured(domain, counts, 20.0, np.random.default_rng(0)))), components=5)
        assert np.isfinite(found.pair_error).all()
        assert 0 <= found.pair_error.min() <= found.pair_error.max() <= 2
        assert found.pair_error[0, 0] == pytest.approx(0, abs=1e-6)


def test_fewer_draws_are_made_of_many_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, found = observed(30.0), fitted(30.0)
    usual = expected_errors(seen, found, refit, 0)
    monkeypatch.setattr(predicting, "_DRAWN", 1)
    monkeypatch.setattr(predicting, "_MOVED", 1)
    few = expected_errors(seen, found, refit, 0)
    assert not np.array_equal(few, usual)
    assert 0.6 < few[OFF].mean() / usual[OFF].mean() < 1.7


def test_more_records_than_are_made_up_are_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, found = observed(100.0), fitted(100.0)
    monkeypatch.setattr(predicting, "_MADE_UP", 500)
    truth, levels = made_up(found, seen, np.random.default_rng(0))
    for counts, one in zip(levels, np.split(found.mixture.one_way(), seen.layout.starts[1:]), strict=True):
        assert counts.sum() == pytest.approx(found.total)
        np.testing.assert_allclose(counts / found.total, one, atol=0.1)
    layout = seen.layout
    for i, j in layout.pairs():
        assert truth.tables[layout.part(i), layout.part(j)].sum() == pytest.approx(found.total)
    np.testing.assert_array_equal(truth.grouped, truth.tables)
    assert truth.total == found.total
    few, _ = made_up(replace(found, total=7.0), seen, np.random.default_rng(0))
    np.testing.assert_array_equal(few.tables, np.round(few.tables))
    assert few.tables[:3, 3:7].sum() == 7


def test_errors_of_levels_add_chance_inside_groups_and_the_error_of_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cell by cell: a group's cell of m records is off by sqrt(2 m / pi), and so is every level's cell in it by its part."""
    seen = observed(30.0, groups=GROUPS)
    found = fit(seen, components=10)
    errors = np.full((4, 4), 0.02) + 0.01 * np.eye(4)
    grown = of_levels(errors, found, seen)
    starts, sizes = seen.layout.starts, seen.layout.sizes
    for i, j in seen.layout.pairs():
        more = 0.0
        for a in range(sizes[i]):
            for b in range(sizes[j]):
                m = found.total * float((found.mixture.pairs())[starts[i] + a, starts[j] + b])
                shares = [
                    math.sqrt(found.within[i][one] * found.within[j][two])
                    for one in np.flatnonzero(seen.group_of[i] == a)
                    for two in np.flatnonzero(seen.group_of[j] == b)
                ]
                chance = math.sqrt(2 * m / math.pi)
                more += min(2 * m, chance * sum(shares)) - min(2 * m, chance)
        expected = math.sqrt(0.02**2 + 2 * 0.03**2) + more / found.total
        assert grown[i, j] == grown[j, i] == pytest.approx(expected)
    np.testing.assert_array_equal(np.diag(grown), 0.03)
    assert grown[0, 2] > grown[0, 1]
    assert of_levels(np.full((4, 4), 1.9), found, seen).max() == 2
    by_levels = found.pair_error
    monkeypatch.setattr(estimation, "_FINEST", 13)
    by_groups = fit(seen, components=10).pair_error
    off = ~np.eye(4, dtype=bool)
    assert 0.4 < by_levels[off].mean() / by_groups[off].mean() < 1.6
    monkeypatch.setattr(predicting, "of_levels", lambda errors, fitted, seen: errors)
    assert fit(seen, components=10).pair_error[0, 2] < by_groups[0, 2]
