"""Margins: draws of real counts keep sums and bounds, are as wide as noise, and tell rare levels' errors from their counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from privsynth.latent import margins
from privsynth.latent.fitted import Fitted
from privsynth.latent.layout import Layout
from privsynth.latent.margins import Column, Prior, columns_of, drawn_errors, mixed
from privsynth.latent.mixture import Mixture
from privsynth.latent.observed import observe
from privsynth.latent.smoothing import smooth
from tests.mixtures import domain_of, measured

TOTAL = 10_000.0


def column(groups: list[float], sigma: float, group_of: list[int] | None = None, inside: float = 1.0) -> Column:
    """A column of which each level is a group, or so many levels share one evenly."""
    of = np.arange(len(groups)) if group_of is None else np.array(group_of)
    size = np.bincount(of)
    sums = np.array(groups)
    return Column(
        levels=(sums / size)[of],
        inside=inside,
        groups=sums,
        variance=np.full(len(groups), sigma**2),
        group_of=of,
        size=size,
    )


def fitted_to(columns: list[Column]) -> Fitted:
    """A fit that says what was counted, cut off at zero."""
    cut = [np.maximum(one.groups, 0.0) for one in columns]
    layout = Layout(tuple(len(one.size) for one in columns))
    given = np.concatenate([one / one.sum() for one in cut])[:, None]
    within = tuple((1 / one.size)[one.group_of] for one in columns)
    return Fitted(
        total=TOTAL,
        mixture=Mixture(layout=layout, given=given, weights=np.ones(1)),
        within=within,
        fine=Layout(tuple(len(one.levels) for one in columns)),
        grouped=None,
        tables=None,
        pair_error=np.zeros((len(columns), len(columns))),
    )


def test_draws_sum_to_all_records_and_none_is_below_zero() -> None:
    columns = [column([9000.0, 980.0, 20.0], 30.0), column([9990.0, 10.0], 30.0, [0, 1, 1, 1], 900.0)]
    model = fitted_to(columns)
    apart = drawn_errors(columns, model, 0.7, 40, np.random.default_rng(0))
    for one, errors, groups in zip(
        columns, apart, model.mixture.layout.split(TOTAL * model.mixture.one_way()), strict=True
    ):
        counts = (groups / one.size)[one.group_of][:, None] - errors
        assert counts.min() >= -1e-6
        np.testing.assert_allclose(counts.sum(axis=0), TOTAL, rtol=1e-6)


def test_common_levels_are_off_by_the_noise_that_their_sum_leaves() -> None:
    """Eight levels of many records: each is off by sigma, less what is known because all sum to the number of records."""
    columns = [column([TOTAL / 8] * 8, 30.0) for _ in range(6)]
    apart = np.concatenate(drawn_errors(columns, fitted_to(columns), 0.98, 200, np.random.default_rng(1)))
    assert apart.std() == pytest.approx(30 * np.sqrt(7 / 8), rel=0.08)
    assert abs(apart.mean()) < 2


def test_a_group_s_levels_share_what_is_known_of_their_sum() -> None:
    columns = [column([8000.0, 2000.0], 10.0, [0, 1, 1, 1, 1], 90_000.0)] * 5
    apart = drawn_errors(columns, fitted_to(columns), 0.98, 200, np.random.default_rng(1))[0]
    assert apart[1:].std() > 100
    assert apart[1:].sum(axis=0).std() < 12


def test_rare_levels_err_by_what_was_counted_where_next_to_none_have_records() -> None:
    """Forty columns with one level that nobody has: the error is what the fit says, and not what noise is on average."""
    rng = np.random.default_rng(2)
    noise = 30 * rng.standard_normal(40)
    columns = [column([TOTAL - one, one], 30.0) for one in noise]
    apart = drawn_errors(columns, fitted_to(columns), 0.7, 64, np.random.default_rng(3))
    told, true = np.array([np.abs(one[1]).mean() for one in apart]), np.maximum(noise, 0.0)
    assert np.abs(told - true).mean() < 5
    assert np.abs(true.mean() - true).mean() > 10, "no one number is near them all"
    spread = [
        column([TOTAL - level + one, level + one], 30.0) for level, one in zip(range(0, 4000, 100), noise, strict=True)
    ]
    apart = drawn_errors(spread, fitted_to(spread), 0.98, 64, np.random.default_rng(3))
    assert np.mean([np.abs(one[1]).mean() for one in apart[4:]]) > 12, "where levels are common, noise is what errs"


def test_a_fit_far_from_its_counts_is_taken_to_be_off() -> None:
    columns = [column([5000.0, 3000.0, 2000.0], 20.0) for _ in range(12)]
    near = fitted_to(columns)
    moved = near.mixture.given.copy()
    moved[:3, 0] += np.array([0.03, -0.02, -0.01])
    far = replace(near, mixture=replace(near.mixture, given=moved))
    one, other = (
        [np.abs(each).sum(axis=0).mean() for each in drawn_errors(columns, model, 0.6, 64, np.random.default_rng(4))]
        for model in (near, far)
    )
    assert other[0] == pytest.approx(600, rel=0.15)
    assert one[0] < 100
    assert other[1] < 2 * one[1]


def test_chances_are_learned_from_all_observations() -> None:
    strong = np.log(np.array([[0.9, 0.1]] * 30 + [[0.5, 0.5]]))
    chance = mixed(strong)
    np.testing.assert_allclose(chance.sum(axis=1), 1.0)
    assert chance[-1, 0] > 0.85
    assert mixed(strong[:, ::-1])[-1, 1] > 0.85
    assert 0.4 < mixed(np.log(np.array([[0.9, 0.1], [0.1, 0.9], [0.5, 0.5]])))[2, 0] < 0.6


def test_the_prior_counts_levels_without_records_apart() -> None:
    prior = Prior([column([9000.0, 1000.0], 8.0)], TOTAL)
    assert prior.edges[:3].tolist() == [0.0, 4.0, 8.0]
    assert prior.edges[-1] >= TOTAL
    prior.learn([np.array([[0.0, 0.0, 0.0, 2.0], [5000.0, 6000.0, 5500.0, 5000.0]])])
    assert prior.chances.sum() == pytest.approx(1.0)
    assert prior.chances[0] > 2 * prior.chances[1] > 4 * prior.chances[2]
    common, seldom = prior.density(np.array([5500.0, 3000.0])).tolist()
    assert common > seldom + 1


def test_columns_hold_what_tables_say_and_sum_to_all_records() -> None:
    sizes, counts = (6, 3, 2), np.random.default_rng(0).multinomial(TOTAL, np.full(36, 1 / 36)).reshape(6, 3, 2)
    groups = {"a": (0, 0, 0, 1, 1, 2)}
    domain = domain_of(sizes)
    many = []
    for seed in range(60):
        seen = observe(domain, list(measured(domain, counts.astype(float), 25.0, np.random.default_rng(seed), groups)))
        many.append(columns_of(seen, TOTAL, np.random.default_rng(0)))
    true = np.array([counts[:3].sum(), counts[3:5].sum(), counts[5].sum()])
    apart = np.array([one[0].groups - true for one in many])
    np.testing.assert_allclose(apart.sum(axis=1), 0.0, atol=1e-6)
    variance = many[0][0].variance
    known = variance * (1 - variance / variance.sum())
    np.testing.assert_allclose(apart.std(axis=0), np.sqrt(known), rtol=0.35)
    assert np.abs(apart.mean(axis=0)).max() < 4 * np.sqrt(known.max() / 60)
    assert many[0][0].inside == 25.0**2


def test_levels_that_are_smoothed_are_known_better_inside_groups() -> None:
    rng, of = np.random.default_rng(0), np.repeat(np.arange(4), 8)
    inside = margins._inside(np.full(32, 300.0), 400.0, 32, of, rng)
    apart = np.array([smooth(300 + 20 * rng.standard_normal(32), 400.0, 32) - 300 for _ in range(100)])
    apart -= apart.reshape(100, 4, 8).mean(axis=2).repeat(8, axis=1)
    assert inside < 200
    assert inside == pytest.approx((apart**2).mean() / (1 - 1 / 8), rel=0.5)
    assert margins._inside(np.full(32, 300.0), 400.0, 0, of, rng) == 400
    assert margins._inside(np.full(32, 300.0), 400.0, 32, np.arange(32), rng) == 400
