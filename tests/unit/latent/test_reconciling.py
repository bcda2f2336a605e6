"""Reconciling: against weighted least squares by a dense solver; totals; what the projection and the shares do."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize  # type: ignore[import-untyped]

from privsynth.domain import Domain, LevelFacts
from privsynth.latent import reconciling
from privsynth.latent.layout import Layout
from privsynth.latent.observed import Observed, observe
from privsynth.latent.reconciling import OneWay, products, reconcile
from privsynth.latent.smoothing import smooth
from tests.mixtures import domain_of, margin, measured, noisy

SIZES = (2, 3, 7)
GROUPS = {"c": (0, 0, 1, 2, 2, 2, 1)}
TABLE = np.random.default_rng(0).integers(20, 90, SIZES).astype(np.float64)


def seen(domain: Domain | None = None, sigma: float = 5.0, *, pairs: bool = True) -> Observed:
    """One-way tables twice, the second time at half the noise, so that one-way and pair tables weigh differently."""
    domain = domain or domain_of(SIZES)
    rng = np.random.default_rng(1)
    found = [one for one in measured(domain, TABLE, sigma, rng, GROUPS) if pairs or len(one.clique) == 1]
    again = [one for one in measured(domain, TABLE, sigma / 2, rng) if len(one.clique) == 1]
    return observe(domain, [*found, *again])


@pytest.mark.parametrize("attribute", [0, 1, 2])
def test_group_counts_are_the_weighted_least_squares_fit(attribute: int) -> None:
    observed = seen()
    layout, of = observed.layout, observed.group_of[attribute]
    assert observed.pairs is not None
    groups = layout.sizes[attribute]
    rows, values, scales = [], [], []
    for group in range(groups):
        members = of == group
        rows.append(np.eye(groups)[group])
        values.append(observed.levels[attribute][members].sum())
        scales.append(np.sqrt(members.sum() * observed.level_variances[attribute]))
        for other in set(range(3)) - {attribute}:
            rows.append(np.eye(groups)[group])
            values.append(observed.pairs[layout.part(attribute), layout.part(other)][group].sum())
            scales.append(observed.sigma[attribute, other] * np.sqrt(layout.sizes[other]))
    weights = 1 / np.array(scales)
    expected = np.linalg.lstsq(np.array(rows) * weights[:, None], np.array(values) * weights, rcond=None)[0]
    found = reconciling._levels(observed, attribute)
    np.testing.assert_allclose([found[of == group].sum() for group in range(groups)], expected)
    moved = found - observed.levels[attribute]
    for group in range(groups):
        np.testing.assert_allclose(moved[of == group], moved[of == group][0], atol=1e-9)


def test_ordered_levels_are_smoothed_inside_their_groups() -> None:
    domain = domain_of(SIZES, (LevelFacts(), LevelFacts(), LevelFacts(ordered=6)))
    plain, ordered = (reconciling._levels(seen(each, 60.0), 2) for each in (None, domain))
    of = np.array(GROUPS["c"])
    smoothed = smooth(seen(sigma=60.0).levels[2], seen(sigma=60.0).level_variances[2], 6)
    assert np.abs(plain - ordered).max() > 5
    for group in range(3):
        assert plain[of == group].sum() == pytest.approx(ordered[of == group].sum())
        moved = (ordered - smoothed)[of == group]
        np.testing.assert_allclose(moved, moved[0])


def test_the_total_is_the_mean_of_all_sums_by_inverse_variance() -> None:
    observed = seen()
    assert observed.pairs is not None
    sums, variances = [], []
    for i in range(3):
        sums.append(observed.levels[i].sum())
        variances.append(SIZES[i] * observed.level_variances[i])
        for j in range(i + 1, 3):
            block = observed.pairs[observed.layout.part(i), observed.layout.part(j)]
            sums.append(block.sum())
            variances.append(block.size * observed.sigma[i, j] ** 2)
    total = (np.array(sums) / variances).sum() / (1 / np.array(variances)).sum()
    assert reconcile(observed).total == pytest.approx(total)
    alone = seen(pairs=False)
    weights = [1 / (size * variance) for size, variance in zip(SIZES, alone.level_variances, strict=True)]
    assert reconcile(alone).total == pytest.approx(np.average([one.sum() for one in alone.levels], weights=weights))


def test_tables_are_the_nearest_that_can_be() -> None:
    """Against a general solver: few records, much noise, so that some levels have to be cut off at zero."""
    observed = observe(domain_of((6,)), [noisy(("a",), [40, -30, 8, 3, -1, 20], 10.0)])
    found = reconcile(observed)
    assert found.total == 40
    solved = optimize.minimize(
        lambda x: ((x - observed.levels[0]) ** 2).sum(),
        np.full(6, 40 / 6),
        bounds=[(0, None)] * 6,
        constraints={"type": "eq", "fun": lambda x: x.sum() - 40},
    )
    np.testing.assert_allclose(found.levels[0], solved.x, atol=1e-4)
    np.testing.assert_array_equal(found.groups, found.levels[0])


def test_exact_tables_are_found_exactly_and_groups_follow() -> None:
    found = reconcile(seen(sigma=0.0001))
    assert found.total == pytest.approx(TABLE.sum())
    for axis in range(3):
        np.testing.assert_allclose(found.levels[axis], margin(TABLE, (axis,)), rtol=1e-6)
    counts = margin(TABLE, (2,))
    np.testing.assert_allclose(found.groups[5:], [counts[[0, 1]].sum(), counts[[2, 6]].sum(), counts[3:6].sum()])


@pytest.mark.parametrize("value", [-7, 0])
def test_a_negative_total_is_one_record(value: int) -> None:
    found = reconcile(observe(domain_of((4,)), [noisy(("a",), [value] * 4, 10.0)]))
    assert found.total == 1
    np.testing.assert_allclose(found.levels[0], 0.25)
    assert reconcile(observe(Domain((), ()), [])).total == 1


def test_shares_within_groups_add_up_and_are_equal_in_an_empty_group() -> None:
    one = OneWay(total=10.0, levels=(np.array([6.0, 0, 2, 0, 2]),), groups=np.array([8.0, 0, 2]))
    (within,) = one.within((np.array([0, 1, 0, 1, 2]),))
    np.testing.assert_allclose(within, [0.75, 0.5, 0.25, 0.5, 1.0], atol=1e-8)
    assert within.min() > 0


def test_products_are_what_independence_expects() -> None:
    layout = Layout((2, 3))
    one = OneWay(total=10.0, levels=(), groups=np.array([4.0, 6, 1, 2, 7]))
    found = products(one, layout)
    np.testing.assert_allclose(found[:2, 2:], np.outer([4, 6], [1, 2, 7]) / 10)
    np.testing.assert_array_equal(found, found.T)
    assert not found[:2, :2].any()
    assert not found[2:, 2:].any()
