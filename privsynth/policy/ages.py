"""Ages and years as labels write them: the span of ages that a label such as "[80-90)", "90+" or "under 5" stands for.

Must never guess: a label that it cannot read is unreadable, and the check that asked fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal

OLDEST = 89
"""The highest age that Safe Harbor lets stand by itself."""

UNBOUNDED = 1000
_NO_AGE = frozenset({"", "unknown", "missing", "other", "none", "not known", "not stated", "n/a", "na", "?"})
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_AND_MORE = re.compile(r"\+|>|\u2265|\b(?:over|older|above|up|more)\b")
_AND_LESS = re.compile(r"<|\u2264|\b(?:under|younger|below|less|to)\b")


def span(label: str) -> tuple[int, int] | None:
    """First and last whole age of a label; None when it cannot be read."""
    text = label.strip().lower()
    numbers = [int(Decimal(number)) for number in _NUMBER.findall(text)]
    if not numbers or len(numbers) > 2 or max(numbers) > 150:
        return None
    if len(numbers) == 2:
        return numbers[0], max(numbers[0], numbers[1] - text.endswith(")"))
    (number,) = numbers
    if _AND_MORE.search(text):
        strictly = re.search(r">(?!\s*=)|\b(?:over|above)\b", text) is not None
        return number + strictly, UNBOUNDED
    return (0, number) if _AND_LESS.search(text) else (number, number)


def age_problem(labels: Iterable[str]) -> str | None:
    """What Safe Harbor finds wrong with the labels of a column of ages, without quoting one; None when nothing.

    Source: 45 CFR 164.514(b)(2)(i)(C): ages over 89 may stand in one class of 90 or more (or a wider one).
    """
    spans = [span(label) for label in labels if label.strip().lower() not in _NO_AGE]
    if None in spans:
        return 'has labels that cannot be read as ages; write them like "80-89" and "90+"'
    over = [found for found in spans if found is not None and found[1] > OLDEST]
    if len(over) > 1:
        return 'tells ages over 89 apart; put them in one label such as "90+"'
    if over and over[0][0] > OLDEST + 1:
        return 'has a label for some ages over 89 only; put them all in one label such as "90+"'
    return None


def earliest_year(labels: Iterable[str]) -> int | None:
    """The earliest four-digit year in the labels; None when there is none."""
    years = [int(year) for label in labels for year in re.findall(r"(?<![0-9])[0-9]{4}(?![0-9])", label)]
    return min(years, default=None)
