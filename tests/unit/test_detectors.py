import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth import detectors
from privsynth.detectors import CARD, DATE, DETECTORS, caught, find, long_numbers, pattern_detector
from privsynth.errors import PolicyError

HELD = {
    "payment-card": ["4111111111111111", "4111 1111 1111 1111", "card 4111-1111-1111-1111 12/30",
                     "３７８２８２２４６３１０００５",
                     "4111\u200b1111\u200b11111111", "PAN5555555555554444"],
    "us-ssn": ["219-09-9999", "ssn: 219 09 9999.", "219099999", "912-70-1234"],
    "us-npi": ["1234567893", "NPI 1245319599"],
    "iban": ["GB82WEST12345698765432", "gb82 west 1234 5698 7654 32", "pay to DE89 3704 0044 0532 0130 00 today"],
    "vin": ["1M8GDM9AXKP042788", "vin 1m8gdm9axkp042788"],
    "e-mail": ["ann@hospital.com", "mail Ann.B+x@a-b.co.uk now", "x@notexample.org"],
    "phone": ["(212) 555-7777", "212-555-7777", "212.555.7777", "212-555-0242", "+1 212 555 7777", "2125557777",
              "+49 30 1234567", "+442079460000"],
    "ip-address": ["10.0.0.1", "at 8.8.8.8:53", "192.0.3.7"],
    "ipv6-address": ["fe80::1", "2001:4860:4860::8888", "1:2:3:4:5:6:7:8"],
    "url": ["http://clinic.de/x", "see https://u:p@clinic.de:80", "www.clinic.de", "HTTPS://EXAMPLE.ORG.EVIL.COM"],
}  # fmt: skip
NOBODYS = [
    "0000000000000000", "4111111111111112", "000-12-3456", "666-12-3456", "219-00-9999", "219-09-0000", "P-21909999",
    "A-219099999", "1234567890", "GB82WEST12345698765431", "ZZ82WEST12345698765432", "1M8GDM9A1KP042788", "1" * 17,
    "user@example.org", "x@mail.example.com", "x@y.invalid", "212-555-0142", "(800) 555-0199", "192.0.2.44", "2001:db8::1",
    "::",
    "https://example.org/12", "10:30:00", "1.2.840.10008.1", "300.1.2.3", "[0-10)", ">30", "250.83", "Emergency/Trauma", "",
    "2001-05-01", "Asian & Pacific Islander", "55-64", "$1,000 to $2,000",
]  # fmt: skip
DATES = [
    "2008-01-02",
    "02/28/2008",
    "28.2.2008",
    "January 2, 2008",
    "Jan 2008",
    "2 March",
    "20080131",
    "2008-07",
    "2008/07/09",
]
NO_DATES = ["2008", "1999-2003", "P-20080131", "250.83", "may", "3 marbles", "12", "2008.5", "20081331", "1/2", "10-20"]


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in HELD.items() for text in texts])
def test_what_somebody_may_hold_is_caught_by_its_own_detector(name, text):
    assert name in caught(text)


@pytest.mark.parametrize("text", NOBODYS)
def test_what_nobody_holds_is_not_caught(text):
    assert caught(text) == ()


def test_every_detector_has_an_example():
    assert set(HELD) == {detector.name for detector in DETECTORS}


@pytest.mark.parametrize("text", DATES)
def test_dates_finer_than_a_year_are_seen(text):
    assert caught(text, [DATE]) == ("date",)


@pytest.mark.parametrize("text", NO_DATES)
def test_years_and_other_numbers_are_no_dates(text):
    assert caught(text, [DATE]) == ()


@pytest.mark.parametrize("detector", [*DETECTORS, DATE], ids=lambda detector: detector.name)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_quick_hint_never_hides_what_the_shape_would_find(detector, data):
    known = data.draw(st.sampled_from([*HELD.get(detector.name, DATES), *NOBODYS]))
    separator = data.draw(st.sampled_from(["", " ", "-", ".", "/", ") ", "("]))
    text = (
        data.draw(st.sampled_from(["", "x", "7", " "]))
        + re.sub(r"[ ./-]", separator, known)
        + data.draw(st.sampled_from(["", "x", " 7"]))
    )
    if detector.finds(text):
        assert caught(text, [detector]) == (detector.name,)


def test_columns_are_searched_value_by_value_and_keep_the_order_of_detectors():
    values = pa.chunked_array([["x", None, "ann@hospital.com"], ["x", "4111111111111111"]])
    assert [detector.name for detector in find(values)] == ["payment-card", "e-mail"]
    assert find(pa.chunked_array([pa.array([], pa.string())])) == ()


def test_positions_are_those_of_the_column():
    found = detectors.hits(pa.array(["a", None, "ann@hospital.com", "b", "x@y.de"]))
    assert {name: places.tolist() for name, places in found.items()} == {"e-mail": [2, 4]}


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.decimal128(20, 0)])
def test_cards_are_found_in_numbers_too(kind):
    numbers = pa.chunked_array([pa.array([5, None, 4111111111111111], pa.int64()).cast(kind)])
    assert [detector.name for detector in find(pa.chunked_array([long_numbers(numbers)]), [CARD])] == ["payment-card"]


def test_ordinary_numbers_are_not_turned_into_text():
    assert len(long_numbers(pa.chunked_array([pa.array([1.5, None, float("nan"), 9e11])]))) == 0
    assert long_numbers(pa.chunked_array([pa.array([4111111111111111.5, 4e12, 7.0])])).to_pylist() == ["4000000000000"]


def test_a_policys_own_pattern_finds_and_is_checked():
    mrn = pattern_detector("mrn", "record numbers", "MRN[0-9]{6}")
    assert caught("see MRN123456", [mrn]) == ("mrn",)
    assert caught("see MRN12345", [mrn]) == ()
    for bad, said in [("(", "not a regular expression"), (r"(?=x)", "not a regular expression"), ("x*", "empty text"),
                      ("x" * 201, "longer than")]:  # fmt: skip
        with pytest.raises(PolicyError, match=said):
            pattern_detector("mrn", "record numbers", bad)


def test_a_hostile_pattern_takes_linear_time():
    evil = pattern_detector("mrn", "record numbers", "(a+)+$b")
    assert find(pa.chunked_array([["a" * 5000]]), [evil]) == ()


def test_random_digits_pass_as_cards_only_by_luhn():
    rng = np.random.default_rng(5)
    numbers = [f"4{''.join(map(str, rng.integers(0, 10, 15)))}" for _ in range(2000)]
    share = sum(len(places) for places in detectors.hits(pa.array(numbers), [CARD]).values()) / len(numbers)
    assert 0.07 < share < 0.13
