"""Numbers in words: sizes, bounds that are never rounded towards the smaller risk."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth.report import words

SPACE = "\u00a0"


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (1, "100 %"),
        (0.5, "50 %"),
        (0.1234, "12.3 %"),
        (0.0123, "1.2 %"),
        (0.00123, "0.12 %"),
        (0.000123, "0.012 %"),
        (0.00009, "< 0.01 %"),
        (0.9999, "over 99.9 %"),
        (-0.05, "-5 %"),
    ],
)
def test_percent(share, text):
    assert words.percent(share).replace(SPACE, " ") == text


def test_points_counts_and_lists():
    assert words.points(0.0023) == "±0.23 points"
    assert words.points(0.00001) == "±0.01 points"
    assert words.count(64012.3) == "64,012"
    assert words.plural(1, "row", "rows") == "1 row"
    assert words.plural(1200, "row", "rows") == "1,200 rows"
    assert words.short_digest("0123456789abcdef") == "0123 4567 89ab"
    assert [words.number(value) for value in (None, True, False, 0.25, 3, "x")] == ["–", "yes", "no", "0.25", "3", "x"]


@given(st.floats(0.001, 0.9), st.floats(0.0, 12.0))
def test_a_belief_never_moves_further_than_it_says(prior, epsilon):
    after = words.posterior(prior, epsilon)
    assert prior - 1e-12 <= after <= 1
    assert after / (1 - after) == pytest.approx(prior / (1 - prior) * math.exp(epsilon), rel=1e-4)
    shown = float(words.percent_at_most(after).split(SPACE)[0])
    assert shown >= 100 * after - 1e-9


@given(st.floats(0.0, 6.9))
def test_the_factor_of_the_odds_is_rounded_up(epsilon):
    shown = float(words.odds_factor(epsilon))
    assert math.exp(epsilon) <= shown <= math.exp(epsilon) + 0.1


@pytest.mark.parametrize(
    ("delta", "text"),
    [("0.000001", "1 in 1,000,000"), ("0.0000003", "1 in 3,333,333"), ("1e-7", "1 in 10,000,000"), ("0", "never")],
)
def test_small_probabilities_are_rounded_towards_the_larger_risk(delta, text):
    assert words.one_in(delta) == text


def test_large_factors_have_no_false_digits():
    assert words.odds_factor(9.98) == "21,591"
    assert words.odds_factor(20) == "4.9e+08"
