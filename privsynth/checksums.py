"""Check digits and issuing rules of public numbering schemes: is this a number that somebody could hold?

Must never be used to make a number: `identifiers` makes only numbers that these functions turn down.
"""

from __future__ import annotations

from collections.abc import Mapping

IIN_RANGES: tuple[tuple[str, str], ...] = (
    ("2200", "2204"),  # Mir
    ("2221", "2720"),  # Mastercard
    ("300", "305"),  # Diners Club
    ("3095", "3095"),
    ("34", "34"),  # American Express
    ("3528", "3589"),  # JCB
    ("36", "36"),  # Diners Club
    ("37", "39"),  # American Express, Diners Club, Discover
    ("4", "4"),  # Visa
    ("50", "50"),  # Maestro, Verve, RuPay
    ("51", "55"),  # Mastercard
    ("56", "69"),  # Maestro, Discover, UnionPay, RuPay
    ("81", "82"),  # UnionPay, RuPay
    ("9792", "9792"),  # Troy
)
"""Issuer ranges of payment cards, first and last prefix, kept on the generous side: a range too many blocks, never leaks."""

IBAN_LENGTHS: Mapping[str, int] = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
    "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
    "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29,
    "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24,
    "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
    "YE": 30,
}  # fmt: skip
"""Length of an IBAN by registered country code (SWIFT IBAN registry)."""

_VIN_VALUES = dict(zip("0123456789ABCDEFGHJKLMNPRSTUVWXYZ", map(int, "012345678912345678123457923456789"), strict=True))
_VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)


def luhn(digits: str) -> bool:
    """Whether the last digit is the Luhn check digit of the others (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, letter in enumerate(reversed(digits)):
        value = int(letter) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def is_card_number(digits: str) -> bool:
    """Whether a run of digits could be a payment card: 13 to 19 digits, a known issuer range, Luhn."""
    if not 13 <= len(digits) <= 19:
        return False
    known = any(low <= digits[: len(low)] <= high for low, high in IIN_RANGES)
    return known and luhn(digits)


def is_us_ssn(digits: str) -> bool:
    """Whether nine digits are a number that is, was or may be issued: an SSN, or a taxpayer number (area 9xx).

    The Social Security Administration never issues area 000 or 666, group 00 or serial 0000; areas from 900 are left to
    the tax authority, whose numbers name a person just as well.
    """
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    return len(digits) == 9 and area not in ("000", "666") and group != "00" and serial != "0000"


def is_npi(digits: str) -> bool:
    """Whether ten digits are a US National Provider Identifier: first digit 1 or 2, Luhn with the prefix 80840."""
    return len(digits) == 10 and digits[0] in "12" and luhn("80840" + digits)


def is_iban(compact: str) -> bool:
    """Whether an upper-case string without spaces is an IBAN: registered country, its length, ISO 7064 mod 97-10."""
    return IBAN_LENGTHS.get(compact[:2]) == len(compact) and iban_remainder(compact) == 1


def iban_remainder(compact: str) -> int:
    """Remainder modulo 97 of an IBAN with its first four characters moved to the end and letters read as 10 to 35."""
    return int("".join(str(int(letter, 36)) for letter in compact[4:] + compact[:4])) % 97


def is_vin(text: str) -> bool:
    """Whether 17 characters are a vehicle identification number with the North American check digit (49 CFR 565.15)."""
    if len(text) != 17 or any(letter not in _VIN_VALUES for letter in text):
        return False
    remainder = sum(_VIN_VALUES[letter] * weight for letter, weight in zip(text, _VIN_WEIGHTS, strict=True)) % 11
    return text[8] == "0123456789X"[remainder]
