import ipaddress
import re
import sys

import numpy as np
import pyarrow as pa
import pytest

from privsynth import checksums, identifiers
from privsynth.detectors import DETECTORS, caught, find
from privsynth.errors import SchemaError
from privsynth.identifiers import RANGES, regenerate, regenerate_all
from privsynth.schema import Schema
from privsynth.schema.columns import IdentifierColumn


def registered_iban(text):
    body = "GB00" + text[4:]
    return f"GB{98 - checksums.iban_remainder(body):02d}{text[4:]}"


def issued_card(text):
    return next(number for digit in "0123456789" if checksums.luhn(number := "4" + text[1:15] + digit))


def issued_npi(text):
    return next(number for digit in "0123456789" if checksums.is_npi(number := "1" + text[1:9] + digit))


ISSUABLE = {
    "us-ssn-never-issued": ("us-ssn", lambda text: "219-12-9" + text[8:]),
    "us-phone-fictional": ("phone", lambda text: text.replace("-01", "-21")),
    "email-example": ("e-mail", lambda text: text.replace("example", "hospital")),
    "url-example": ("url", lambda text: text.replace("example", "hospital")),
    "ipv4-documentation": ("ip-address", lambda text: text.replace("192.0.2", "192.0.3")),
    "ipv6-documentation": ("ipv6-address", lambda text: text.replace("2001:db8", "2001:db9")),
    "iban-unregistered": ("iban", registered_iban),
    "card-never-issued": ("payment-card", issued_card),
    "us-npi-never-issued": ("us-npi", issued_npi),
}
"""What each range stands in for, and how one of its values would look if it could be issued."""


def column(**how):
    return IdentifierColumn(name="who", kind="identifier", **how)


def make(n, *, unique=False, seed=1, **how):
    return regenerate(column(**how), n, rng=np.random.default_rng(seed), unique=unique)


def test_every_range_is_paired_with_its_detector():
    assert set(ISSUABLE) == set(RANGES)
    assert {name for name, _ in ISSUABLE.values()} | {"vin"} == {detector.name for detector in DETECTORS}


@pytest.mark.parametrize("name", RANGES)
def test_nothing_in_a_range_could_be_issued_and_its_detector_would_see_it_if_it_could(name):
    made = make(300, range=name)
    assert find(pa.chunked_array([made])) == ()
    detector, issue = ISSUABLE[name]
    assert all(detector in caught(issue(text)) for text in made[:40])


def test_the_ranges_are_what_they_say():
    assert all(re.fullmatch(r"(000|666)-\d{2}-\d{4}", text) for text in make(200, range="us-ssn-never-issued"))
    assert all(re.fullmatch(r"[2-7]\d{2}-555-01\d{2}", text) for text in make(200, range="us-phone-fictional"))
    for name, network in (("ipv4-documentation", "192.0.2.0/24"), ("ipv6-documentation", "2001:db8::/32")):
        assert all(ipaddress.ip_address(text) in ipaddress.ip_network(network) for text in make(200, range=name))
    ibans = make(200, range="iban-unregistered")
    assert all(checksums.iban_remainder(text) == 1 and text[:2] not in checksums.IBAN_LENGTHS for text in ibans)
    assert not any(checksums.luhn(text) for text in make(200, range="card-never-issued"))
    assert all(text.endswith("@example.org") for text in make(20, range="email-example"))
    assert all(reason.reason for reason in RANGES.values())


def test_patterns_are_filled_in_place_by_place():
    made = make(4000, make="P?-##")
    assert all(re.fullmatch(r"P[A-Z]-\d{2}", text) for text in made)
    assert {text[1] for text in made} == set("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert {text[3] for text in made} == set("0123456789") == {text[4] for text in made}


def test_the_same_generator_makes_the_same_and_another_does_not():
    assert make(50, make="P-########") == make(50, make="P-########")
    assert make(50, make="P-########") != make(50, make="P-########", seed=2)


def test_unique_columns_use_their_range_to_the_last_value():
    assert sorted(make(100, unique=True, make="P-##")) == [f"P-{number:02d}" for number in range(100)]
    assert len(set(make(256, unique=True, range="ipv4-documentation"))) == 256
    assert len(set(make(20_000, unique=True, make="P-######"))) == 20_000


@pytest.mark.parametrize(
    ("n", "how", "said"),
    [
        (
            101,
            {"make": "P-##"},
            'of make = "P-##" there are too few different ones, 100, for so many rows; draw fewer, or',
        ),
        (257, {"range": "ipv4-documentation"}, 'of range = "ipv4-documentation" there are too few different ones, 256'),
        (5, {"make": "P-"}, "nothing to fill in"),
        (5, {"make": "###-##-####"}, "somebody may hold"),
        (5, {"make": "#########"}, "somebody may hold"),
        (5, {"range": "us-ssn"}, 'no range "us-ssn"; the ranges are us-ssn-never-issued'),
        (5, {"faker": "ssn"}, 'faker = "ssn" is not offered'),
        (5, {"faker": "name"}, "repeats itself"),
    ],
)
def test_what_cannot_be_made_is_refused(n, how, said):
    with pytest.raises(SchemaError, match=re.escape(said)):
        make(n, unique=True, **how)


def test_patterns_leave_out_what_a_detector_takes_for_somebodys():
    made = make(3000, make="##########")
    assert find(pa.chunked_array([made])) == ()
    cards = make(3000, make="4###############")
    assert not any(checksums.is_card_number(text) for text in cards)


def test_fakes_come_from_faker_under_the_generators_control():
    pytest.importorskip("faker")
    made = make(20, faker="name")
    assert made == make(20, faker="name")
    assert made != make(20, faker="name", seed=2)
    assert all(" " in text for text in made)


def test_fakes_without_the_extra_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "faker", None)
    with pytest.raises(SchemaError, match=re.escape('pip install "privsynth[fake]"')):
        make(3, faker="name")


def test_all_identifier_columns_of_a_schema_keys_without_repeats():
    schema = Schema.loads(
        """
        [table]
        name = "t"
        unit = "who"
        key = ["stay"]
        [columns.stay]
        kind = "identifier"
        make = "S-##"
        [columns.who]
        kind = "identifier"
        make = "P-##"
        [columns.host]
        kind = "identifier"
        range = "ipv4-documentation"
        [columns.sex]
        kind = "category"
        values = ["f", "m"]
        """
    )
    made = regenerate_all(schema, 100, rng=np.random.default_rng(3))
    assert list(made) == ["stay", "who", "host"]
    assert len(set(made["stay"])) == len(set(made["who"])) == 100
    assert len(made["host"]) == 100
    assert len(regenerate_all(schema, 90, rng=np.random.default_rng(3))["host"]) == 90
    with pytest.raises(SchemaError, match='"stay"'):
        regenerate_all(schema, 101, rng=np.random.default_rng(3))


def test_ranges_that_need_not_be_unique_may_repeat():
    assert len(make(1000, range="ipv4-documentation")) == 1000
    assert RANGES["us-ssn-never-issued"].capacity == 2_000_000
    assert identifiers.capacity(column(range="ipv4-documentation")) == 256
    assert identifiers.capacity(column(make="P?-##")) == 2600
    assert identifiers.capacity(column(faker="name")) is None
