"""Identifier columns of a release: made anew, out of ranges that nobody is ever given.

Must never look at an identifier of the private table: what is made depends on the schema and on `rng` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from privsynth.checksums import iban_remainder, luhn
from privsynth.detectors import DETECTORS, hits
from privsynth.errors import SchemaError
from privsynth.schema import Schema
from privsynth.schema.columns import IdentifierColumn

FAKERS = ("name", "first_name", "last_name", "company")
"""Providers of Faker that may be used: words that name nobody in particular. Its numbers may be somebody's."""

_ALPHABETS: Mapping[str, str] = {"#": "0123456789", "?": "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
_ROUNDS = 60
"""Draws after which a column of different values counts as too small for its range."""
_FEW = 8
"""A pattern of which fewer than one in so many values belongs to nobody is refused."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class NeverIssued:
    """A range of identifiers that belong to nobody: one of its `patterns` is filled in, then `finish` ends it.

    In a pattern # is a digit and ? a capital letter. `reason` says why none of them is ever issued. `size` is how many there
    are, where `finish` folds some together.
    """

    patterns: tuple[str, ...]
    reason: str
    finish: Callable[[str], str] = str
    size: int | None = None

    @property
    def capacity(self) -> int:
        """How many different identifiers there are."""
        filled = sum(10 ** pattern.count("#") * 26 ** pattern.count("?") for pattern in self.patterns)
        return filled if self.size is None else self.size


def _octet(text: str) -> str:
    """Turn the three digits after the last dot into a host number from 0 to 255."""
    network, _, digits = text.rpartition(".")
    return f"{network}.{int(digits) % 256}"


def _wrong_luhn(text: str) -> str:
    """Add a last digit that is one off the Luhn check digit."""
    right = next(digit for digit in "0123456789" if luhn(text + digit))
    return text + str((int(right) + 1) % 10)


def _iban(text: str) -> str:
    """Put in the check digits, so that the form is right and only the country is nobody's."""
    return f"{text[:2]}{98 - iban_remainder(text[:2] + '00' + text[4:]):02d}{text[4:]}"


_AREA_CODES = tuple(f"{area}-555-01##" for area in range(201, 800) if area % 100 > 11)

RANGES: Mapping[str, NeverIssued] = MappingProxyType(
    {
        "us-ssn-never-issued": NeverIssued(
            patterns=("000-##-####", "666-##-####"),
            reason="the Social Security Administration issues no number with area 000 or 666",
        ),
        "us-phone-fictional": NeverIssued(
            patterns=_AREA_CODES,
            reason="555-0100 to 555-0199 are set aside for fiction in the North American numbering plan",
        ),
        "email-example": NeverIssued(
            patterns=("user########@example.org",), reason="example.org is reserved for documentation (RFC 2606)"
        ),
        "url-example": NeverIssued(
            patterns=("https://example.org/########",), reason="example.org is reserved for documentation (RFC 2606)"
        ),
        "ipv4-documentation": NeverIssued(
            patterns=("192.0.2.###",),
            reason="192.0.2.0/24 is reserved for documentation (RFC 5737)",
            finish=_octet,
            size=256,
        ),
        "ipv6-documentation": NeverIssued(
            patterns=("2001:db8::####:####",), reason="2001:db8::/32 is reserved for documentation (RFC 3849)"
        ),
        "iban-unregistered": NeverIssued(
            patterns=("ZZ00##################",),
            reason="ZZ is a user-assigned code of ISO 3166: no country, so no bank, is registered under it",
            finish=_iban,
        ),
        "card-never-issued": NeverIssued(
            patterns=("0000###########",),
            reason="no payment network's numbers begin with 0 (ISO/IEC 7812), and the check digit is wrong on purpose",
            finish=_wrong_luhn,
        ),
        "us-npi-never-issued": NeverIssued(
            patterns=("00########",), reason="National Provider Identifiers begin with 1 or 2"
        ),
    }
)
"""Ranges that an identifier column may name, each with its reason."""


def regenerate(column: IdentifierColumn, n: int, *, rng: np.random.Generator, unique: bool = True) -> list[str]:
    """Make n new identifiers for one column.

    Args: `unique` is for columns of a key, where no two rows may share a value.
    Raises: SchemaError when the column names an unknown range or provider, when its range is too small for n different
        values, or when its pattern makes numbers that somebody could hold.
    """
    if column.faker is not None:
        return _fakes(column, n, rng=rng, unique=unique)
    if column.make is not None:
        return _draw(column, NeverIssued(patterns=(column.make,), reason=""), n, rng=rng, unique=unique)
    if column.range is None or column.range not in RANGES:
        raise SchemaError(
            f'column "{column.name}": there is no range "{column.range}"; the ranges are {", ".join(RANGES)}'
        )
    return _draw(column, RANGES[column.range], n, rng=rng, unique=unique)


def regenerate_all(schema: Schema, n: int, *, rng: np.random.Generator) -> dict[str, list[str]]:
    """New identifiers for every identifier column; those of the key and of the privacy unit do not repeat."""
    single = unrepeated(schema)
    return {column.name: regenerate(column, n, rng=rng, unique=column.name in single) for column in schema.identifiers}


def unrepeated(schema: Schema) -> frozenset[str]:
    """Identifier columns in which no two rows may share a value: those of the key and of the privacy unit."""
    return frozenset(column.name for column in schema.identifiers) & {*schema.key, schema.unit or ""}


def capacity(column: IdentifierColumn) -> int | None:
    """How many different identifiers a column can be given at most; None where nobody can say."""
    if column.make is not None:
        return NeverIssued(patterns=(column.make,), reason="").capacity
    named = RANGES.get(column.range or "")
    return None if named is None else named.capacity


def _draw(
    column: IdentifierColumn, source: NeverIssued, n: int, *, rng: np.random.Generator, unique: bool
) -> list[str]:
    if source.capacity == len(source.patterns):
        raise SchemaError(
            f'column "{column.name}": make = "{column.make}" has nothing to fill in; write # for a digit, ? for a letter'
        )
    if unique and n > source.capacity:
        where = f'make = "{column.make}"' if column.make is not None else f'range = "{column.range}"'
        raise SchemaError(
            f'column "{column.name}": of {where} there are too few different ones, {source.capacity}, for so many rows; draw '
            'fewer, or let the schema have more: a longer pattern, such as make = "P-########"'
        )
    kept: list[str] = []
    drawn = max(n + 16, 256)
    for _ in range(_ROUNDS):
        fresh = _issued_to_nobody([source.finish(text) for text in _fill(source, drawn, rng)])
        if _FEW * len(fresh) < drawn:
            break
        kept += fresh
        kept = list(dict.fromkeys(kept)) if unique else kept
        if len(kept) >= n:
            return kept[:n]
    raise SchemaError(
        f'column "{column.name}": most of what it makes somebody may hold, or there are too few different ones; write more # '
        f'behind a prefix of letters and a dash, as in "P-########", or name a range: {", ".join(RANGES)}'
    )


def _fill(source: NeverIssued, n: int, rng: np.random.Generator) -> list[str]:
    """Fill in n patterns. Shapes: the letters are (n, length of the pattern)."""
    width = len(source.patterns[0])
    choices = np.array([list(pattern) for pattern in source.patterns]).reshape(-1, width)
    letters: npt.NDArray[np.str_] = choices[rng.integers(len(choices), size=n)]
    for mark, alphabet in _ALPHABETS.items():
        here = letters == mark
        letters[here] = np.array(list(alphabet))[rng.integers(len(alphabet), size=int(here.sum()))]
    filled: list[str] = letters.view(f"U{width}").ravel().tolist()
    return filled


def _issued_to_nobody(texts: list[str]) -> list[str]:
    """Leave out the texts that a detector takes for somebody's number."""
    marked = np.zeros(len(texts), dtype=bool)
    for found in hits(pa.array(texts, pa.string()), DETECTORS).values():
        marked[found] = True
    return [text for text, caught in zip(texts, marked.tolist(), strict=True) if not caught]


def _fakes(column: IdentifierColumn, n: int, *, rng: np.random.Generator, unique: bool) -> list[str]:
    if column.faker not in FAKERS:
        raise SchemaError(
            f'column "{column.name}": faker = "{column.faker}" is not offered ({", ".join(FAKERS)} are), because what it '
            f'makes may be somebody\'s; use make = "P-########" or a range: {", ".join(RANGES)}'
        )
    if unique:
        raise SchemaError(
            f'column "{column.name}": faker = "{column.faker}" repeats itself, and this column is a key or the privacy '
            'unit; use make = "P-########" instead'
        )
    try:
        maker = import_module("faker").Faker("en_US")
    except ModuleNotFoundError:
        raise SchemaError(
            f'column "{column.name}": faker = "{column.faker}" needs the extra: pip install "privsynth[fake]"'
        ) from None
    maker.seed_instance(int(rng.integers(2**63)))
    return [str(maker.format(column.faker)) for _ in range(n)]
