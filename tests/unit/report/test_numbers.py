"""What the noisy answers imply: combinations, intervals, expected errors, rare categories, associations."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth.dataset import Dataset
from privsynth.domain import Domain
from privsynth.errors import FitError
from privsynth.measurement import Event, Measurement
from privsynth.report.numbers import (
    Bought,
    Estimate,
    column_numbers,
    cramers_v,
    pair_matrix,
    rare_numbers,
    table_numbers,
)

DOMAIN = Domain(("a", "b", "c"), (2, 3, 4))
LABELS = [("a0", "a1"), ("b0", "b1", "b2"), ("c0", "c1", "c2", "c3")]


def measured(clique, values, sigma, groups=None):
    """A table with noise of this standard deviation, of which rounding is a part."""
    event = Event(
        stage="s",
        mechanism="rounded-gaussian",
        rho=Fraction(1, 10),
        sensitivity_squared=1,
        sigma_squared=sigma * sigma - Fraction(1, 12),
    )
    return Measurement(clique=clique, values=np.asarray(values, dtype=np.int64), event=event, groups=groups or {})


def table(rows=600, seed=1):
    rng = np.random.default_rng(seed)
    columns = {name: rng.integers(0, size, rows) for name, size in zip(DOMAIN.attributes, DOMAIN.sizes, strict=True)}
    return Dataset.from_columns(columns, DOMAIN)


def test_an_estimate_combines_everything_that_holds_the_table():
    """a from its own table (variance 100) and folded out of (b, a), given in that order (variance 3 * 25)."""
    joint = np.array([[10, 20], [30, 40], [50, 60]])
    bought = Bought((measured(("a",), [100, 100], 10), measured(("b", "a"), joint, 5)), DOMAIN)
    found = bought.estimate(("a",))
    weights = np.array([1 / 100, 1 / 75])
    wanted = (weights[0] * np.array([100, 100]) + weights[1] * joint.sum(axis=0)) / weights.sum()
    np.testing.assert_allclose(found.counts, wanted)
    assert found.sigma == pytest.approx(1 / math.sqrt(weights.sum()))
    assert found.direct
    assert not bought.estimate(("b",)).direct
    assert bought.estimate(("a", "c")) is None
    np.testing.assert_array_equal(bought.estimate(("b", "a")).counts, joint.T)


def test_a_table_measured_twice_is_one_table_with_less_noise():
    bought = Bought((measured(("a",), [90, 110], 10), measured(("a",), [110, 90], 10)), DOMAIN)
    assert len(bought.tables) == 1
    np.testing.assert_allclose(bought.tables[0].counts, [100, 100])
    assert bought.tables[0].sigma == pytest.approx(10 / math.sqrt(2))
    assert bought.total == pytest.approx(200)


def test_a_table_over_groups_says_nothing_of_levels_and_all_of_their_sums():
    """(c, a) over two groups of c: for a it has two cells to add up, for c and (a, c) it does not count."""
    truth = table()
    coarse = {"c": (1, 0, 1, 1)}
    exact = truth.regrouped(coarse).marginal(("c", "a"))
    bought = Bought(
        (
            measured(("c", "a"), exact, 3, coarse),
            measured(("c", "a"), exact, 3, coarse),
            measured(("b",), [300, 0, 300], 6),
        ),
        DOMAIN,
    )
    assert [estimate.counts.shape for estimate in bought.tables] == [(2, 2), (3,)]
    np.testing.assert_allclose(bought.estimate(("a",)).counts, truth.marginal(("a",)))
    assert bought.estimate(("a",)).sigma == pytest.approx(3)
    assert bought.estimate(("c",)) is None
    assert bought.estimate(("c", "a")) is None
    assert not bought.estimate(("a",)).direct
    (found,) = table_numbers(bought, truth)
    assert (found.clique, found.grouped, found.cells) == (("a", "c"), ("c",), 4)
    assert found.fit == pytest.approx(0, abs=1e-9)
    pairs = pair_matrix(bought, truth, {})
    assert pairs.measured_pairs == 1
    assert math.isnan(pairs.expected_error[0, 2])


def test_the_same_clique_over_other_groups_is_another_table():
    first, second = {"c": (0, 0, 1, 1)}, {"c": (0, 1, 1, 1)}
    both = (measured(("c",), [1, 1], 3, first), measured(("c",), [1, 1], 3, second))
    assert len(Bought(both, DOMAIN).tables) == 2


def test_a_total_below_one_row_counts_as_one():
    assert Bought((measured(("a",), [-30, 2], 10),), DOMAIN).total == 1


def test_nothing_measured_is_refused():
    with pytest.raises(FitError, match="needs measurements"):
        Bought((), DOMAIN)


def test_the_expected_error_is_that_of_simulated_noise():
    """Mean over 4,000 draws of half the L1 distance; its standard error is below 0.5 % of it."""
    estimate = Estimate(clique=("b", "c"), counts=np.zeros((3, 4)), sigma=7.0, direct=True)
    noise = np.random.default_rng(5).normal(0, 7, (4000, 12))
    simulated = np.abs(noise).sum(axis=1).mean() / 2 / 1000
    assert estimate.expected_error(1000) == pytest.approx(simulated, rel=0.02)
    assert estimate.expected_error(0.5) == 1


def test_intervals_hold_the_truth_as_often_as_they_say():
    """20,000 cells at 95 %: 0.95 +- 0.0077 are five standard errors."""
    truth = table()
    rng = np.random.default_rng(8)
    inside = total = 0
    for _ in range(5000):
        noisy = truth.marginal(("c",)) + np.rint(rng.normal(0, 40, 4)).astype(int)
        whole = measured(("b", "a"), truth.marginal(("b", "a")), 1)
        numbers = column_numbers(Bought((measured(("c",), noisy, 40), whole), DOMAIN), truth, LABELS)[2]
        inside, total = inside + numbers.inside, total + 4
    assert inside / total == pytest.approx(0.95, abs=0.0077)


def test_a_column_in_no_measured_table_is_marked_unknown():
    numbers = column_numbers(Bought((measured(("a",), [300, 300], 10),), DOMAIN), table(), LABELS)
    assert numbers[0].share is not None
    assert numbers[2].share is None
    assert math.isnan(numbers[2].half)
    assert numbers[2].inside == 0
    assert rare_numbers(numbers[2], 600) is None


def test_the_fit_is_the_distance_in_standard_deviations():
    truth = table()
    exact = truth.marginal(("a", "b"))
    shift = np.array([[10, -10, 10], [-10, 10, -10]])
    bought = Bought((measured(("a", "b"), exact + shift, 5), measured(("a",), truth.marginal(("a",)), 1)), DOMAIN)
    twice = Dataset.from_columns({name: np.tile(truth.column(name), 2) for name in DOMAIN.attributes}, DOMAIN)
    (found,) = table_numbers(bought, twice)
    assert found.clique == ("a", "b")
    assert found.fit == pytest.approx(2, rel=0.01)
    assert found.share_half == pytest.approx(1.96 * 5 / bought.total)


def test_tables_come_best_known_first():
    truth = table()
    cliques = [("a", "b"), ("b", "c"), ("a", "c")]
    transcript = tuple(measured(clique, truth.marginal(clique), 5) for clique in cliques)
    found = [numbers.clique for numbers in table_numbers(Bought(transcript, DOMAIN), truth)]
    assert found == [("a", "b"), ("a", "c"), ("b", "c")]


def test_the_fate_of_categories():
    released = Dataset.from_columns({"a": [0] * 90 + [1] * 10, "b": [0] * 100, "c": [0] * 95 + [3] * 5}, DOMAIN)
    bought = Bought((measured(("c",), [90, 29, 31, 2], 10),), DOMAIN)
    column = column_numbers(bought, released, LABELS)[2]
    found = rare_numbers(column, bought.total)
    assert found.kept == 1
    assert found.lost == ("c2",)
    assert found.below == ("c1", "c3")
    assert found.below_rows == pytest.approx(0.05)
    assert found.smallest_seen == pytest.approx(30)


@given(st.lists(st.lists(st.integers(0, 40), min_size=3, max_size=3), min_size=2, max_size=5))
def test_association_lies_between_none_and_complete(rows):
    assert 0 <= cramers_v(np.array(rows)) <= 1


def test_association_of_known_tables():
    assert cramers_v(np.diag([5, 9, 2])) == pytest.approx(1)
    assert cramers_v(np.outer([3, 6], [2, 4])) == pytest.approx(0, abs=1e-7)
    assert cramers_v(np.array([[30, 10], [10, 30]])) == pytest.approx(0.5)
    assert cramers_v(np.array([[10, 0, 0], [0, 10, 10]])) == pytest.approx(1)
    assert cramers_v(np.array([[7, 9]])) == 0
    assert cramers_v(np.zeros((2, 2), dtype=int)) == 0


def test_the_map_of_pairs_knows_what_was_measured():
    truth = table()
    bought = Bought((measured(("a", "b"), truth.marginal(("a", "b")), 5),), DOMAIN)
    pairs = pair_matrix(bought, truth, {})
    assert (pairs.measured_pairs, pairs.all_pairs) == (1, 3)
    assert pairs.expected_error[1, 0] == pairs.expected_error[0, 1] > 0
    assert math.isnan(pairs.expected_error[0, 2])
    assert pairs.association[2, 1] == pytest.approx(cramers_v(truth.marginal(("b", "c"))))


def test_the_map_of_pairs_takes_the_generator_s_word_for_errors():
    truth = table()
    bought = Bought((measured(("a", "b"), truth.marginal(("a", "b")), 5),), DOMAIN)
    pairs = pair_matrix(bought, truth, {("a", "b"): 0.2, ("a", "c"): 0.1, ("b", "c"): 0.3})
    assert pairs.predicted
    assert pairs.measured_pairs == 1
    np.testing.assert_allclose(pairs.expected_error[np.triu_indices(3, 1)], [0.1, 0.05, 0.15])


def test_reordered_levels_keep_their_numbers():
    numbers = column_numbers(Bought((measured(("b",), [5, 6, 7], 1),), DOMAIN), table(), LABELS)[1]
    turned = numbers.ordered(np.array([2, 0, 1]))
    assert turned.labels == ("b2", "b0", "b1")
    assert turned.released[0] == numbers.released[2]
    assert turned.share[1] == numbers.share[0]
