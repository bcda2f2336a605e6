"""What "tighter" means, one order a kind of term: the direction in which an overlay may move a policy.

Must never call a change tighter that lets more out, for more people, for longer, or behind a weaker audit.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import final


@final
class Change(enum.Enum):
    """How a term compares with the base's: only LOOSENED is refused in a file that extends another."""

    SAME = "same"
    TIGHTENED = "tightened"
    LOOSENED = "loosened"
    CHANGED = "changed"


@final
@dataclass(frozen=True, slots=True)
class Order:
    """`rule` says what an overlay may do to a term, to follow "it"; `judge` classifies a step between different values."""

    rule: str
    judge: Callable[[object, object], Change]

    def compare(self, base: object, own: object) -> Change:
        """Classify the step from `base` to `own`."""
        return Change.SAME if base == own else self.judge(base, own)


def _tighter_if(holds: bool) -> Change:  # noqa: FBT001 - the name says what it is
    return Change.TIGHTENED if holds else Change.LOOSENED


def _at_most(own: object, base: object) -> bool:
    """Whether own <= base, for two values of one ordered kind; False for anything else."""
    if isinstance(own, dt.date) and isinstance(base, dt.date):
        return own <= base
    if isinstance(own, int | Fraction) and isinstance(base, int | Fraction):
        return own <= base
    return False


def _fewer(base: object, own: object) -> Change:
    if not isinstance(base, tuple) or not isinstance(own, tuple) or not set(own) <= set(base):
        return Change.LOOSENED
    return Change.TIGHTENED if len(own) < len(base) else Change.CHANGED


def _fewer_rows(base: object, own: object) -> Change:
    return _tighter_if(isinstance(own, int) and (base == "estimate" or _at_most(own, base)))


def _added(base: object, own: object) -> Change:
    if not isinstance(base, Mapping) or not isinstance(own, Mapping):
        return Change.LOOSENED
    return Change.CHANGED if all(own.get(key) == value for key, value in base.items()) else Change.LOOSENED


SMALLER = Order("may only become smaller", lambda base, own: _tighter_if(_at_most(own, base)))
"""Smaller, or earlier, is tighter."""

LARGER = Order("may only become larger", lambda base, own: _tighter_if(_at_most(base, own)))
"""Larger is tighter."""

SUBSET = Order("may only keep some of the base's entries", _fewer)
"""Fewer choices are tighter."""

ROW_COUNT = Order('may only go from "estimate" to a number, or to a smaller number', _fewer_rows)
"""Fewer rows are tighter; any declared number is tighter than an estimate from the data."""

FIXED = Order("may not be changed once a base has said it", lambda base, _: _tighter_if(base is None))
"""What a base has said stays; a later file may only say it first."""

ADDITIONS = Order("may gain entries, and the base's entries may not be changed", _added)
"""Entries may be added, and those of the base stay as they are."""

FREE = Order("may be changed", lambda _base, _own: Change.CHANGED)
"""Neither value is tighter: names, descriptions, and how many rows of a unit are used (noise grows with them)."""


def ranked(*levels: str) -> Order:
    """Further to the right is tighter; a name that is not listed compares with nothing."""

    def judge(base: object, own: object) -> Change:
        known = base in levels and own in levels
        return _tighter_if(known and levels.index(str(own)) > levels.index(str(base)))

    return Order(f"may only move to the right in: {', '.join(levels)}", judge)


def words(value: object) -> str:
    """A term's value as a policy file writes it, without quotes."""
    if isinstance(value, Fraction):
        return decimal_text(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(words, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {words(inner)}" for key, inner in value.items()) + "}"
    return "nothing" if value is None else str(value)


def decimal_text(number: Fraction) -> str:
    """An exact decimal fraction as a decimal string, such as 0.1 or 1e-7."""
    with localcontext() as context:
        context.prec = 200
        exact = (Decimal(number.numerator) / Decimal(number.denominator)).normalize()
    if 0 < exact < Decimal("0.001"):
        mantissa, _, exponent = f"{exact:e}".partition("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{exact:f}"
