"""Reading JSON that a stranger wrote.

Must never accept what two readers could read differently: duplicate members, NaN, infinity, lone surrogates, hostile depth
or size.
"""

from __future__ import annotations

import json
import math
from typing import Final, NoReturn, TypeAlias

from privsynth.errors import CertificateError

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"

MAX_DEPTH: Final = 16
_MAX_DIGITS: Final = 20


class _Hostile(ValueError):
    """Well-formed JSON of a kind that is not accepted; the text says why."""


def parse(content: bytes, *, what: str, max_bytes: int) -> JsonValue:
    """Parse exact bytes; `what` is what the message calls them.

    Raises: CertificateError for anything that is not plain, bounded, unambiguous JSON in UTF-8.
    """
    if len(content) > max_bytes:
        raise CertificateError(f"{what} is larger than {max_bytes} bytes; this is no certificate of a release")
    try:
        value: JsonValue = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_members,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_constant,
        )
        _check(value, 1)
    except _Hostile as problem:
        raise CertificateError(f"{what} {problem}; it cannot be trusted") from None
    except (ValueError, RecursionError):
        raise CertificateError(f"{what} is not JSON in UTF-8; it was damaged or is no certificate") from None
    return value


def _members(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Hostile("names a member twice")
    return members


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise _Hostile("holds an integer that is too long")
    return int(text)


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _Hostile("holds a number that is not finite")
    return number


def _constant(_: str) -> NoReturn:
    raise _Hostile("holds a number that is not finite")


def _check(value: JsonValue, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise _Hostile(f"is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, str):
        value.encode("utf-8")
    elif isinstance(value, list):
        for element in value:
            _check(element, depth + 1)
    elif isinstance(value, dict):
        for name, member in value.items():
            name.encode("utf-8")
            _check(member, depth + 1)
