"""The plan: its expected error, added up by loops, is least; shares are exact; levels are merged by the noise of a pair."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth.domain import LevelFacts
from privsynth.latent import planning
from privsynth.latent.grouping import merge_rare
from privsynth.latent.planning import (
    ONE_WAY_SHARES,
    Budget,
    Plan,
    exact_shares,
    make_plan,
    of_few_sizes,
    one_way_weights,
)

Floats = npt.NDArray[np.float64]
TENTH = Fraction(1, 10)


def zipf(size: int, total: float = 10_000.0) -> Floats:
    counts = 1 / np.arange(1, size + 1)
    scaled: Floats = counts * (total / counts.sum())
    return scaled


def price(counts: Sequence[Floats], facts: Sequence[LevelFacts], budget: Budget, share: float) -> float:
    """Expected mean L1 error over pairs, term by term."""
    attributes, total = range(len(counts)), counts[0].sum()
    pairs = list(itertools.combinations(attributes, 2))
    sizes = [len(one) for one in counts]
    one_way = sum(math.sqrt(size) for size in sizes)
    level_variance = [
        budget.sensitivity_squared / (2 * budget.rho * share * math.sqrt(size) / one_way) for size in sizes
    ]
    per_pair = budget.sensitivity_squared * len(pairs) / (2 * budget.rho * (1 - share)) if share < 1 else math.inf
    cells = [
        int(merge_rare(one, 4 * math.sqrt(per_pair), fact).max()) + 1 if share < 1 else len(one)
        for one, fact in zip(counts, facts, strict=True)
    ]
    effective = [one.sum() ** 2 / (one**2).sum() for one in counts]
    reach = {(i, j): math.sqrt((cells[i] + cells[j]) * effective[i] * effective[j]) for i, j in pairs}
    weight = {pair: each ** (1 / 3) / sum(other ** (1 / 3) for other in reach.values()) for pair, each in reach.items()}
    variance = {pair: per_pair / len(pairs) / each for pair, each in weight.items()}
    errors = []
    for i in attributes:
        known = 1 / level_variance[i]
        for pair in pairs:
            if i in pair and share < 1:
                (other,) = set(pair) - {i}
                known += cells[i] / sizes[i] / (cells[other] * variance[pair])
        errors.append(sum(min(0.8 / math.sqrt(known), 2 * c + 0.4 / math.sqrt(known)) for c in counts[i]) / total)
    hidden = {
        pair: sum(min(strength, math.sqrt(variance[pair]) * reach[pair] / total) for strength in (0.3, 0.1))
        if share < 1
        else 0.4
        for pair in pairs
    }
    return float(np.mean([errors[i] + errors[j] + hidden[i, j] for i, j in pairs]))


COUNTS = [zipf(30), zipf(2), np.full(6, 10_000 / 6), zipf(50)]
FACTS = [LevelFacts(), LevelFacts(), LevelFacts(ordered=6), LevelFacts(ordered=40)]


@pytest.mark.parametrize("rho", [1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 1.0])
def test_the_plan_is_the_cheapest(rho: float) -> None:
    budget = Budget(rho=rho, sensitivity_squared=4)
    prices = {share: price(COUNTS, FACTS, budget, float(share)) for share in (*ONE_WAY_SHARES, Fraction(1))}
    for share, expected in prices.items():
        assert planning._priced(COUNTS, FACTS, budget, share)[0] == pytest.approx(expected)
    assert make_plan(COUNTS, FACTS, budget, TENTH).one_way_share == min(prices, key=prices.__getitem__)


def shares_of(counts: Sequence[Floats], rho: float, spent: Fraction = TENTH) -> Fraction:
    facts = [LevelFacts()] * len(counts)
    return make_plan(counts, facts, Budget(rho=rho, sensitivity_squared=1), spent).one_way_share


def test_all_is_for_one_way_tables_at_tiny_budgets_and_little_for_narrow_columns() -> None:
    narrow = [np.array([6000.0, 4000.0])] * 8
    wide = [zipf(100)] * 8
    assert shares_of([zipf(8)] * 8, 1e-7) == shares_of(wide, 1e-5) == 1
    assert shares_of(narrow, 0.01) == TENTH
    assert shares_of(narrow, 0.1) < shares_of(wide, 0.1) < 1


def test_no_less_than_what_is_spent_is_for_one_way_tables() -> None:
    narrow = [np.array([6000.0, 4000.0])] * 8
    assert shares_of(narrow, 0.01, Fraction(12, 100)) == Fraction(15, 100)
    assert shares_of(narrow, 0.01, Fraction(35, 100)) == Fraction(35, 100)


def plan_of(share: Fraction, rho: float = 0.05) -> Plan:
    return planning._priced(COUNTS, FACTS, Budget(rho=rho, sensitivity_squared=1), share)[1]


def test_weights_follow_the_cube_root_of_what_a_pair_s_noise_does() -> None:
    plan = plan_of(Fraction(1, 4))
    np.testing.assert_array_equal(plan.weights, plan.weights.T)
    np.testing.assert_array_equal(np.diag(plan.weights), 0)
    assert np.triu(plan.weights).sum() == pytest.approx(1)
    cells = [int(of.max()) + 1 for of in plan.groups]
    effective = [1 / ((one / one.sum()) ** 2).sum() for one in COUNTS]
    reach = {(i, j): math.sqrt((cells[i] + cells[j]) * effective[i] * effective[j]) for i, j in [(0, 1), (2, 3)]}
    assert plan.weights[0, 1] / plan.weights[2, 3] == pytest.approx((reach[0, 1] / reach[2, 3]) ** (1 / 3))


def test_levels_below_five_standard_deviations_of_a_pair_s_cell_are_merged() -> None:
    sigma = math.sqrt(6 / (2 * 0.05 * 0.75))
    for counts, fact, of in zip(COUNTS, FACTS, plan_of(Fraction(1, 4)).groups, strict=True):
        np.testing.assert_array_equal(of, merge_rare(counts, 4 * sigma, fact))
    whole = plan_of(Fraction(1))
    assert [of.tolist() for of in whole.groups] == [list(range(len(one))) for one in COUNTS]
    assert not whole.weights.any()


@given(st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=30))
def test_shares_are_exact_positive_and_near(weights: list[float]) -> None:
    shares = exact_shares(np.array(weights))
    assert sum(shares) == 1
    assert min(shares) > 0
    wanted = np.array(weights) / sum(weights)
    np.testing.assert_allclose([float(share) for share in shares], wanted, atol=1e-6 * len(weights))


def test_one_way_tables_share_by_the_root_of_their_levels() -> None:
    shares = one_way_weights([1, 4, 100, 10_000])
    np.testing.assert_allclose([float(share) for share in shares], np.array([1, 2, 10, 100]) / 113, rtol=1e-3)


def test_variances_are_those_of_the_gaussian_mechanism() -> None:
    budget = Budget(rho=0.5, sensitivity_squared=9)
    np.testing.assert_allclose(budget.variance(np.array([1.0, 0.25])), [9.0, 36.0])


def test_levels_are_merged_further_where_all_pairs_would_not_fit_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """5,000 levels of ten records each, all of them common, beside 40 levels of which a half is."""
    monkeypatch.setattr(planning, "_MOST_GROUPS", 3_000)
    counts = [np.full(5000, 10.0), np.repeat([300.0, 11.0], 20), np.array([25_000.0, 25_000.0])]
    facts = [LevelFacts(ordered=5000), LevelFacts(), LevelFacts()]
    groups = planning._merged(counts, facts, 6.0)
    assert [int(of.max()) + 1 for of in groups] == [2500, 21, 2]
    few = planning._merged([one[:2900] for one in counts], [LevelFacts(ordered=2900), *facts[1:]], 6.0)
    assert [int(of.max()) + 1 for of in few] == [2900, 40, 2]
    many = planning._merged([np.full(3, 10.0)] * 1600, [LevelFacts()] * 1600, 6.0)
    assert {int(of.max()) + 1 for of in many} == {2}


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=30))
def test_weights_of_few_sizes_stay_near(weights: list[float]) -> None:
    rounded = of_few_sizes(np.array(weights))
    assert (np.abs(np.log2(rounded / weights)) <= 0.25 + 1e-9).all()
    np.testing.assert_allclose(2 * np.log2(rounded), np.round(2 * np.log2(rounded)), atol=1e-9)


def test_pairs_of_given_attributes_get_less_and_the_others_more() -> None:
    counts, budget = [zipf(8), zipf(8), zipf(8)], Budget(rho=0.5, sensitivity_squared=1)
    alike = make_plan(counts, [LevelFacts()] * 3, budget, TENTH)
    plan = make_plan(counts, [LevelFacts(given=True), LevelFacts(given=True), LevelFacts()], budget, TENTH)
    assert np.allclose(alike.weights[np.triu_indices(3, 1)], 1 / 3)
    assert plan.weights[0, 1] == pytest.approx(0.3 / 4.3)
    assert plan.weights[0, 2] == plan.weights[1, 2] == pytest.approx(2 / 4.3)


def test_a_row_and_the_one_before_it_get_their_share_together() -> None:
    counts, budget = [zipf(8)] * 6, Budget(rho=0.5, sensitivity_squared=1)
    before = [LevelFacts(given=True, chain=name) for name in ("a", "b")]
    facts = [LevelFacts(given=True), *before, LevelFacts(chain="a"), LevelFacts(chain="b"), LevelFacts()]
    weights = make_plan(counts, facts, budget, TENTH).weights
    assert weights[1, 3] + weights[2, 4] == pytest.approx(0.3)
    assert weights[1, 3] == pytest.approx(weights[2, 4])
    assert weights[1, 4] == pytest.approx(weights[2, 3]) == pytest.approx(weights[0, 3] / 2)
    assert weights[0, 1] == pytest.approx(weights[1, 2]) == pytest.approx(0.3 * weights[1, 4])
