"""Numbers in words for the report: shares, counts, odds, probabilities, digests.

Must never round a risk down or a guarantee up: what limits a leak is rounded towards the larger leak.
"""

from __future__ import annotations

import math
from fractions import Fraction

_UNIT = "\u00a0%"
"""The sign keeps to its number: the space does not break."""

_SHARE_DIGITS = ((0.01, 1), (0.001, 2), (0.0001, 3))


def percent(share: float) -> str:
    """A share as a percentage, three digits at most: 0.1234 -> "12.3 %", 0.00012 -> "0.012 %", 0.00001 -> "< 0.01 %"."""
    size = abs(share)
    if size == 0:
        return f"0{_UNIT}"
    if 0.9995 <= share < 1:
        return f"over 99.9{_UNIT}"
    if size < 0.0001:
        return f"< 0.01{_UNIT}"
    digits = next(digits for least, digits in _SHARE_DIGITS if size >= least)
    text = f"{100 * share:.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}{_UNIT}"


def percent_at_most(share: float) -> str:
    """A bound on a share as a percentage, rounded up to one digit after the point."""
    return f"{min(math.ceil(1000 * share) / 10, 100):g}{_UNIT}"


def points(share: float) -> str:
    """A half-width as percentage points: 0.0023 -> "±0.23 points"."""
    return f"±{percent(share).removesuffix(_UNIT)} points" if share >= 0.0001 else "±0.01 points"


def count(value: float) -> str:
    """A whole number with commas: 64012.3 -> "64,012"."""
    return f"{round(value):,}"


def plural(number: int, one: str, many: str) -> str:
    """A number with its noun: (1, "row", "rows") -> "1 row"."""
    return f"{number:,} {one if number == 1 else many}"


def odds_factor(epsilon: float) -> str:
    """e to the epsilon, rounded up: how far the odds may move."""
    factor = math.exp(min(epsilon, 700))
    if factor >= 1000:
        return f"{factor:.2g}" if factor >= 1e6 else f"{math.ceil(factor):,}"
    scale = 100 if factor < 10 else 10
    return f"{math.ceil(factor * scale) / scale:g}"


def posterior(prior: float, epsilon: float) -> float:
    """Largest probability that a belief of `prior` may become when the odds grow by e to the epsilon."""
    odds = prior / (1 - prior) * math.exp(min(epsilon, 700))
    return odds / (1 + odds)


def one_in(probability: str) -> str:
    """A small probability given as a decimal string: "0.000001" -> "1 in 1,000,000"; rounded towards the larger risk."""
    exact = Fraction(probability)
    return "never" if exact == 0 else f"1 in {math.floor(1 / exact):,}"


def short_digest(digest: str) -> str:
    """The first twelve characters of a digest, in groups of four."""
    return " ".join(digest[start : start + 4] for start in (0, 4, 8))


def number(value: object) -> str:
    """A value of a findings row or settings table as text; a dash where there is none."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value)
