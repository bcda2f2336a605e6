import datetime as dt
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth.policy.orders import (
    ADDITIONS,
    FIXED,
    FREE,
    LARGER,
    ROW_COUNT,
    SMALLER,
    SUBSET,
    Change,
    decimal_text,
    ranked,
    words,
)

SAME, TIGHTER, LOOSER, CHANGED = Change.SAME, Change.TIGHTENED, Change.LOOSENED, Change.CHANGED
PLAN = ranked("quick", "standard", "long")


@pytest.mark.parametrize(
    ("order", "base", "own", "change"),
    [
        (SMALLER, 2, 1, TIGHTER), (SMALLER, 1, 2, LOOSER), (SMALLER, Fraction(1, 3), Fraction(1, 3), SAME),
        (SMALLER, dt.date(2027, 1, 1), dt.date(2026, 1, 1), TIGHTER),
        (SMALLER, dt.date(2027, 1, 1), dt.date(2028, 1, 1), LOOSER),
        (SMALLER, 1, "0", LOOSER), (LARGER, 1, 2, TIGHTER), (LARGER, 2, 1, LOOSER), (LARGER, 1, "2", LOOSER),
        (SUBSET, ("a", "b"), ("a",), TIGHTER), (SUBSET, ("a",), ("a", "b"), LOOSER), (SUBSET, ("a", "b"), ("b", "a"), CHANGED),
        (SUBSET, ("a", "b"), ("a", "c"), LOOSER),
        (PLAN, "quick", "standard", TIGHTER), (PLAN, "standard", "quick", LOOSER), (PLAN, "standard", "mine", LOOSER),
        (PLAN, "mine", "long", LOOSER), (PLAN, "mine", "mine", SAME),
        (ROW_COUNT, "estimate", 10, TIGHTER), (ROW_COUNT, 10, "estimate", LOOSER), (ROW_COUNT, 10, 9, TIGHTER),
        (ROW_COUNT, 10, 11, LOOSER), (FIXED, None, "a", TIGHTER), (FIXED, "a", "b", LOOSER), (FIXED, "a", None, LOOSER),
        (ADDITIONS, {"a": 1}, {"a": 1, "b": 2}, CHANGED), (ADDITIONS, {"a": 1}, {"a": 2}, LOOSER),
        (ADDITIONS, {"a": 1}, {"b": 1}, LOOSER), (FREE, "a", "b", CHANGED), (FREE, "a", "a", SAME),
    ],
)  # fmt: skip
def test_the_direction_of_every_order(order, base, own, change):
    assert order.compare(base, own) is change


@given(st.fractions(0, 9), st.fractions(0, 9), st.fractions(0, 9))
def test_tightening_twice_is_tightening(a, b, c):
    for order in (SMALLER, LARGER):
        if order.compare(a, b) is TIGHTER and order.compare(b, c) is TIGHTER:
            assert order.compare(a, c) is TIGHTER
        assert (order.compare(a, b) is LOOSER) == (order.compare(b, a) is TIGHTER)


@given(st.decimals(min_value=Decimal("1e-20"), max_value=Decimal("1e9"), allow_nan=False, places=12).filter(bool))
def test_decimal_text_reads_back_exactly(number):
    assert Fraction(decimal_text(Fraction(number))) == Fraction(number)


def test_words():
    assert decimal_text(Fraction(1, 10)) == "0.1"
    assert decimal_text(Fraction(1, 10**7)) == "1e-7"
    assert decimal_text(Fraction(100)) == "100"
    assert words(("a", Fraction(1, 2))) == "[a, 0.5]"
    assert words({"a": 1}) == "{a = 1}"
    assert words(None) == "nothing"
