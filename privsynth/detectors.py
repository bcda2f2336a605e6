"""Identifier detectors: which columns hold something that looks like a real person's number, address or handle.

Must never put what it found into a message: a detector has a name, and a column has a name; that is all that comes out.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.checksums import IBAN_LENGTHS, is_card_number, is_iban, is_npi, is_us_ssn, is_vin
from privsynth.errors import PolicyError

RESERVED_DOMAINS = ("example.org", "example.com", "example.net")
"""Second-level domains kept for documentation (RFC 2606)."""

_RESERVED_TOP_LEVELS = ("example", "invalid", "test", "localhost")
_DOCUMENTATION_V4 = tuple(map(ipaddress.IPv4Network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")))
_DOCUMENTATION_V6 = ipaddress.IPv6Network("2001:db8::/32")
_INVISIBLE = "\u00ad\u200b-\u200f\u2060\ufeff"
_MAX_PATTERN = 200
_ALONE = (r"(?<![0-9A-Za-z_-])", r"(?![0-9A-Za-z_-])")
"""A run of digits that stands alone: not a part of a longer code such as P-12345678."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """One kind of identifier: where it may stand in a text, and whether what stands there is one.

    `hint` is a linear-time (RE2) expression that lets most values pass quickly; `shape` finds the candidates in the rest;
    `confirm` applies the checksum or the issuing rule to one candidate.
    """

    name: str
    title: str
    hint: str
    shape: re.Pattern[str]
    confirm: Callable[[str], bool]

    def finds(self, text: str) -> bool:
        """Whether the (normalised) text holds such an identifier."""
        return any(self.confirm(found.group()) for found in self.shape.finditer(text))


def _digits(text: str) -> str:
    return re.sub(r"[^0-9]", "", text)


def _is_card(run: str) -> bool:
    groups = re.findall(r"[0-9]+", run)
    spans = ((start, stop) for start in range(len(groups)) for stop in range(start + 1, len(groups) + 1))
    return any(is_card_number("".join(groups[start:stop])) for start, stop in spans)


def _is_ssn(text: str) -> bool:
    return is_us_ssn(_digits(text))


def _is_iban(text: str) -> bool:
    compact = re.sub(r"[ -]", "", text).upper()
    return is_iban(compact[: IBAN_LENGTHS.get(compact[:2], 0)])


def _is_vin(text: str) -> bool:
    return not text.isdigit() and is_vin(text.upper())


def _is_phone(text: str) -> bool:
    digits = _digits(text)
    if len(digits) == 11 and digits.startswith("1"):
        digits = digits[1:]
    # 555-0100 to 555-0199 are set aside for fiction in every area code of the North American plan
    return not (len(digits) == 10 and digits[3:8] == "55501")


def _is_reserved_host(host: str) -> bool:
    labels = host.lower().rstrip(".").split(".")
    return ".".join(labels[-2:]) in RESERVED_DOMAINS or labels[-1] in _RESERVED_TOP_LEVELS


def _is_email(text: str) -> bool:
    return not _is_reserved_host(text.rpartition("@")[2])


def _is_url(text: str) -> bool:
    return not _is_reserved_host(re.sub(r"^[a-z]+://", "", text.lower()).rpartition("@")[2].partition(":")[0])


def _is_ipv4(text: str) -> bool:
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return not any(address in network for network in _DOCUMENTATION_V4)


def _is_ipv6(text: str) -> bool:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return address not in _DOCUMENTATION_V6 and not address.is_unspecified


def _always(_: str) -> bool:
    return True


def _detector(name: str, title: str, *, hint: str, shape: str, confirm: Callable[[str], bool]) -> Detector:
    return Detector(name=name, title=title, hint=hint, shape=re.compile(shape, re.IGNORECASE), confirm=confirm)


CARD = _detector(
    "payment-card",
    "payment card numbers (13 to 19 digits, known issuer range, Luhn)",
    hint=r"[0-9]([ .-]?[0-9]){12}",
    shape=r"(?<![0-9])[0-9](?:[ .-]?[0-9]){12,}(?![0-9])",
    confirm=_is_card,
)

DETECTORS: tuple[Detector, ...] = (
    CARD,
    _detector(
        "us-ssn",
        "US social security or taxpayer numbers",
        hint=r"[0-9]{3}[ -]?[0-9]{2}[ -]?[0-9]{4}",
        shape=rf"(?<![0-9])(?<![0-9]-)[0-9]{{3}}([ -])[0-9]{{2}}\1[0-9]{{4}}(?!-?[0-9])|{_ALONE[0]}[0-9]{{9}}{_ALONE[1]}",
        confirm=_is_ssn,
    ),
    _detector(
        "us-npi",
        "US National Provider Identifiers (Luhn with prefix 80840)",
        hint=r"[12][0-9]{9}",
        shape=rf"{_ALONE[0]}[12][0-9]{{9}}{_ALONE[1]}",
        confirm=is_npi,
    ),
    _detector(
        "iban",
        "international bank account numbers (registered country, mod 97)",
        hint=r"(?i)[A-Z]{2}[0-9]{2}([ -]?[A-Z0-9]){11}",
        shape=r"(?<![A-Z0-9])[A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9]){11,30}",
        confirm=_is_iban,
    ),
    _detector(
        "vin",
        "vehicle identification numbers (check digit)",
        hint=r"(?i)[A-HJ-NPR-Z0-9]{17}",
        shape=r"(?<![A-Z0-9])[A-HJ-NPR-Z0-9]{17}(?![A-Z0-9])",
        confirm=_is_vin,
    ),
    _detector(
        "e-mail",
        "e-mail addresses",
        hint="@",
        shape=r"[A-Z0-9._%+-]{1,64}@(?:[A-Z0-9-]{1,63}\.)+[A-Z]{2,63}",
        confirm=_is_email,
    ),
    _detector(
        "phone",
        "telephone or fax numbers",
        hint=r"\+[1-9]|[2-9][0-9]{2}\)?[ .-]{0,2}[2-9][0-9]{2}[ .-]?[0-9]{4}",
        shape=(
            r"(?<![0-9])\+[1-9](?:[ .()-]{0,2}[0-9]){7,14}(?![0-9])"
            r"|(?<![0-9])(?<![0-9]-)\(?[2-9][0-9]{2}(?:\)[ .-]?|[ .-])[2-9][0-9]{2}[ .-]?[0-9]{4}(?!-?[0-9])"
            rf"|{_ALONE[0]}1?[2-9][0-9]{{2}}[2-9][0-9]{{6}}{_ALONE[1]}"
        ),
        confirm=_is_phone,
    ),
    _detector(
        "ip-address",
        "IPv4 addresses",
        hint=r"([0-9]{1,3}\.){3}[0-9]",
        shape=r"(?<![0-9])(?<![0-9]\.)(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?!\.?[0-9])",
        confirm=_is_ipv4,
    ),
    _detector(
        "ipv6-address",
        "IPv6 addresses",
        hint=r"(?i)[0-9A-F]?:[0-9A-F]{0,4}:",
        shape=r"(?<![0-9A-Z:.])[0-9A-F]{0,4}:[0-9A-F:]{0,40}(?![0-9A-Z:])",
        confirm=_is_ipv6,
    ),
    _detector(
        "url",
        "web addresses",
        hint=r"(?i)://|www\.",
        shape=r"(?:[A-Z]{2,10}://|www\.)[^\s/?#,;\"'<>]{1,253}",
        confirm=_is_url,
    ),
)
"""Every detector that needs no policy, most specific first."""

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_DAY, _YEAR = "[0-3]?[0-9]", "(?:1[89]|2[01])[0-9]{2}"
DATE = _detector(
    "date",
    "dates finer than a year",
    hint=r"(?i)[0-9]{4}|[0-9][a-z ,.]*[a-z]{3}",
    shape=(
        rf"(?<![0-9.]){_YEAR}([-/.])(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12][0-9]|3[01])(?![0-9.])"
        rf"|(?<![0-9-]){_YEAR}[-/](?:0[1-9]|1[0-2])(?![0-9-])"
        rf"|(?<![0-9.]){_DAY}([-/.]){_DAY}\2{_YEAR}(?![0-9.])"
        rf"|\b{_MONTH}\.?,? (?:{_DAY}(?:st|nd|rd|th)?,? )?{_YEAR}\b"
        rf"|\b{_DAY}\.? {_MONTH}\b"
        rf"|{_ALONE[0]}(?:19|20)[0-9]{{2}}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01]){_ALONE[1]}"
    ),
    confirm=_always,
)
"""Dates written as text or as eight digits; used where a profile wants years only."""


def pattern_detector(name: str, title: str, pattern: str) -> Detector:
    """A detector from an expression that a policy gives, such as the form of a hospital's record numbers.

    Raises: PolicyError when it is longer than 200 characters, is not a linear-time (RE2) expression, or matches nothing at all.
    """
    if len(pattern) > _MAX_PATTERN:
        raise PolicyError(f"the pattern is longer than {_MAX_PATTERN} characters; shorten it")
    try:
        empty = pc.match_substring_regex(pa.array([""]), f"(?:{pattern})")[0].as_py()
    except pa.ArrowInvalid:
        raise PolicyError(
            "the pattern is not a regular expression without look-around and back-references; correct it"
        ) from None
    if empty:
        raise PolicyError("the pattern matches the empty text, so it would match every value; make it stricter")
    return Detector(name=name, title=title, hint=f"(?:{pattern})", shape=re.compile("(?s).+"), confirm=_always)


def hits(values: pa.Array, detectors: Sequence[Detector] = DETECTORS) -> dict[str, npt.NDArray[np.int64]]:
    """Positions of the texts in which each detector finds something, by the detector's name; no entry where it finds none.

    Texts are looked at after compatibility normalisation (full-width digits become digits) and without invisible characters.
    """
    plain = pc.replace_substring_regex(pc.utf8_normalize(values, form="NFKC"), f"[{_INVISIBLE}]", "")
    found = {}
    for detector in detectors:
        candidates = np.flatnonzero(pc.fill_null(pc.match_substring_regex(plain, detector.hint), fill_value=False))
        texts = plain.take(pa.array(candidates)).to_pylist()
        places = [place for place, text in zip(candidates.tolist(), texts, strict=True) if detector.finds(text)]
        if places:
            found[detector.name] = np.array(places, dtype=np.int64)
    return found


def find(values: pa.ChunkedArray, detectors: Sequence[Detector] = DETECTORS) -> tuple[Detector, ...]:
    """The detectors that find something in a column of text, in the order given; each distinct value is looked at once."""
    found = hits(pc.drop_null(pc.unique(values.cast(pa.string()))), detectors)
    return tuple(detector for detector in detectors if detector.name in found)


def caught(text: str, detectors: Iterable[Detector] = DETECTORS) -> tuple[str, ...]:
    """Names of the detectors that find something in one text."""
    return tuple(detector.name for detector in find(pa.array([text]), tuple(detectors)))


def long_numbers(column: pa.ChunkedArray) -> pa.Array:
    """The values of a numeric column that have 13 digits or more, as text, for the card detector."""
    large = pc.unique(column.cast(pa.float64(), safe=False)).to_pylist()
    if not any(value is not None and abs(value) >= 1e12 for value in large):
        return pa.array([], pa.string())
    exact = pc.drop_null(pc.unique(column)).to_pylist()
    return pa.array([str(int(value)) for value in exact if abs(value) >= 1e12 and value == value // 1], pa.string())
