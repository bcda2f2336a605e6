"""Validation: turns what pydantic says of a public TOML file into one message a person can act on.

Must never be used on records: it quotes what it found.
"""

from __future__ import annotations

from collections.abc import Callable

from pydantic import ValidationError

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
    "decimal_parsing": 'a decimal number such as "0.01"',
}


def _one(kind: str, key: str, message: str, found: object) -> str:
    """Word one problem at one key."""
    if kind == "extra_forbidden":
        return f'unknown key "{key}"; correct its spelling or remove it'
    if kind == "missing":
        return f'key "{key}" is missing; add it'
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        return f"{key + ': ' if key else ''}{message[0].lower()}{message[1:]}"
    if kind in _EXPECTED:
        return f"{key}: expected {_EXPECTED[kind]}, found {found!r}"
    if kind in ("value_error", "assertion_error"):
        text = message.partition(", ")[2] or message
        return f"{key}: {text}" if key and not text.startswith(key) else text
    return f"{key}: {message[0].lower()}{message[1:]}, found {found!r}"


def describe(
    error: ValidationError, place: Callable[[tuple[int | str, ...]], tuple[str, tuple[int | str, ...]]]
) -> str:
    """Describe every problem of a file, one line each.

    Args: `place` splits a location into the name of a part of the file, such as "[columns.age]", and the keys inside it.
    """
    lines: dict[str, None] = {}
    for problem in error.errors(include_url=False):
        where, keys = place(problem["loc"])
        key = ".".join(str(part) for part in keys)
        lines[f"{where}: {_one(problem['type'], key, problem['msg'], problem['input'])}"] = None
    return "\n".join(lines)
