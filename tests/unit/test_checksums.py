import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from privsynth import checksums

CARDS = (
    "4111111111111111", "4222222222222", "378282246310005", "5555555555554444", "2223003122003222", "6011111111111117",
    "30569309025904", "3530111333300000", "6200000000000005", "2200000000000004", "6759649826438453",
)  # fmt: skip
IBANS = (
    "GB82WEST12345698765432", "DE89370400440532013000", "FR1420041010050500013M02606", "NL91ABNA0417164300",
    "NO9386011117947", "MT84MALT011000012345MTLCAST001S", "CH9300762011623852957",
)  # fmt: skip


@pytest.mark.parametrize("number", CARDS)
def test_published_test_cards_are_cards_and_no_single_digit_may_change(number):
    assert checksums.is_card_number(number)
    for place, old in enumerate(number):
        for new in set("0123456789") - {old}:
            assert not checksums.is_card_number(number[:place] + new + number[place + 1 :])


@pytest.mark.parametrize(
    "number", ["79927398713" + "00", "0000000000000000", "411111111111", "1" * 20, "9999999999999995"]
)
def test_numbers_outside_issuer_ranges_or_lengths_are_no_cards(number):
    assert not checksums.is_card_number(number)


def test_luhn_vector():
    assert [checksums.luhn(f"7992739871{digit}") for digit in range(10)] == [digit == 3 for digit in range(10)]


@pytest.mark.parametrize("iban", IBANS)
def test_registry_examples_are_ibans_and_changed_ones_are_not(iban):
    assert checksums.is_iban(iban)
    assert not checksums.is_iban(iban[:-1])
    assert not checksums.is_iban("ZZ" + iban[2:])
    for place in range(2, len(iban)):
        if iban[place].isdigit():
            assert not checksums.is_iban(iban[:place] + str((int(iban[place]) + 1) % 10) + iban[place + 1 :])


@pytest.mark.parametrize(
    ("number", "issuable"),
    [
        ("219099999", True), ("078051120", True), ("899010001", True), ("912701234", True), ("000121234", False),
        ("666121234", False), ("123001234", False), ("123450000", False), ("12345678", False),
    ],
)  # fmt: skip
def test_social_security_numbers(number, issuable):
    assert checksums.is_us_ssn(number) is issuable


def test_national_provider_identifiers():
    assert checksums.is_npi("1234567893")
    assert checksums.is_npi("1245319599")
    assert not checksums.is_npi("1234567890")
    assert checksums.luhn("80840" + "3234567899")
    assert not checksums.is_npi("3234567899")
    assert not checksums.is_npi("123456789")


def test_vehicle_identification_numbers():
    assert checksums.is_vin("1M8GDM9AXKP042788")
    assert checksums.is_vin("1" * 17)
    assert not checksums.is_vin("1M8GDM9A1KP042788")
    assert not checksums.is_vin("1M8GDM9AXKP04278")
    assert not checksums.is_vin("IM8GDM9AXKP042788")


@given(st.text("0123456789", min_size=2, max_size=18), st.data())
def test_luhn_catches_every_wrong_digit(digits, data):
    last = next(digit for digit in "0123456789" if checksums.luhn(digits + digit))
    number = digits + last
    place = data.draw(st.integers(0, len(number) - 1))
    other = data.draw(st.sampled_from("0123456789"))
    assume(other != number[place])
    assert not checksums.luhn(number[:place] + other + number[place + 1 :])
