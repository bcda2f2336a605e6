"""Validation: turns what pydantic says of a public TOML file into messages a person can act on.

Must never be used on records: it quotes what it found.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TypeAlias

from pydantic import ValidationError

Location: TypeAlias = tuple[int | str, ...]
"""The keys that lead to a value, as pydantic gives them."""

_EXPECTED = {
    "int_type": "a whole number",
    "string_type": "text in quotes",
    "bool_type": "true or false",
    "tuple_type": "a list [...]",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "date_type": "a date such as 2001-01-31",
    "datetime_type": "a local time such as 2001-01-31T12:00:00",
    "timezone_naive": "a local time without zone",
    "is_instance_of": "a number",
    "decimal_type": 'a decimal number such as "0.01"',
    "finite_number": "a finite number",
}
_BRANCHES = ("date", "datetime", "int")
"""Names that pydantic adds for the members of a union of types."""


def _quoted(value: object) -> str:
    if isinstance(value, Decimal | dt.date):
        return str(value)
    return repr(value)


def _one(kind: str, key: str, message: str, found: object, context: Mapping[str, object]) -> str:
    """Word one problem at one key."""
    if kind == "extra_forbidden":
        return f'unknown key "{key}"; correct its spelling or remove it'
    if kind == "missing":
        return f'key "{key}" is missing; add it'
    match kind:
        case "union_tag_not_found":
            said = f"key {context['discriminator']} is missing; add it"
        case "union_tag_invalid":
            tag = str(context["discriminator"]).strip("'")
            said = f"{tag} {context['tag']!r} is unknown; expected one of {context['expected_tags']}"
        case "value_error":
            said = message.partition(", ")[2]
        case "too_short":
            said = f"expected at least {context['min_length']} in the list, found {context['actual_length']}"
        case _ if kind in _EXPECTED:
            said = f"expected {_EXPECTED[kind]}, found {_quoted(found)}"
        case _:
            said = f"{message.replace('Input should be', 'expected')}, found {_quoted(found)}"
    return f"{key}: {said}" if key else said


def describe(error: ValidationError, place: Callable[[Location], tuple[str, Location]]) -> str:
    """Describe every problem of a file, one line each.

    Args: `place` splits a location into the name of a part of the file, such as "[columns.age]", and the keys inside it.
    """
    lines: dict[str, None] = {}
    for problem in error.errors(include_url=False):
        where, keys = place(problem["loc"])
        if keys[:1] == ("bins",):
            keys = keys[:1] + keys[2:]
        key = ".".join(str(part) for part in keys if part not in _BRANCHES)
        said = _one(problem["type"], key, problem["msg"], problem["input"], problem.get("ctx", {}))
        lines[f"{where}: {said}"] = None
    return "\n".join(lines)


def frozen(value: object) -> object:
    """Turn lists into tuples, all the way down, because a strict model takes nothing else."""
    if isinstance(value, dict):
        return {key: frozen(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return tuple(frozen(inner) for inner in value)
    return value
