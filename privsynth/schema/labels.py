"""Labels: which texts may be the label of a category or the name of a column.

Must never let through a text that a spreadsheet would run or a terminal would obey: labels are checked once, when declared.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

MAX_LABEL_LENGTH = 256
"""Characters; a longer text is free text, not a category."""

FORMULA_SIGNS = "=+-@\uff1d\uff0b\uff0d\uff20"
"""A cell that starts with one of these is a formula to a spreadsheet (the last four are the full-width forms)."""


def problem(label: str) -> str | None:
    """Say what is wrong with a label, or return None when it is lawful.

    Returns: a clause that can follow the quoted label, with what to do.
    """
    if not label:
        return 'is empty; give it a text (an empty cell is a missing value: missing = [""])'
    if len(label) > MAX_LABEL_LENGTH:
        return f"is longer than {MAX_LABEL_LENGTH} characters; shorten it, or declare the column as text"
    if any(unicodedata.category(character) == "Cc" for character in label):
        return "holds a control character (NUL, tab, a line break ...); remove it"
    if label.lstrip()[:1] in tuple(FORMULA_SIGNS):
        return (
            "starts with a sign that spreadsheets run as a formula (= + - @); "
            'rename it, or declare a column of numbers as kind = "integer" or "number"'
        )
    return None


def first_problem(labels: Iterable[str]) -> str | None:
    """Return the first problem among labels that must also differ from each other, quoting the label."""
    seen: set[str] = set()
    for label in labels:
        found = problem(label)
        if found is not None:
            return f"label {label!r} {found}"
        if label in seen:
            return f"label {label!r} is declared twice; remove one"
        seen.add(label)
    return None
