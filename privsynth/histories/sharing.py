"""Sharing: how the budget of a database is divided among its views, in exact fractions that sum to 1.

Must never depend on records: shares are a function of the schema.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Final

from privsynth.database.document import DatabaseSchema
from privsynth.errors import MechanismError
from privsynth.histories.layout import views

ROOT_SHARE: Final = Fraction(1, 8)
"""The least share of the units' own view: numbers of children and all that other tables hang on are measured there."""

BOUND_SHARE: Final = Fraction(1, 50)
"""Of a view's share: what buys its bound, where it is bought."""

_GRID = 1 << 10


def shares(schema: DatabaseSchema) -> dict[str, Fraction]:
    """Each view's share of the budget, by table; they sum to 1 exactly.

    In proportion to the square root of a view's pairs of attributes, which are what is measured of it; the units' view has an
    eighth at least.
    """
    found = views(schema)
    pairs = {name: max(1, math.comb(len(view.attributes), 2)) for name, view in found.items()}
    whole = {name: max(1, round(_GRID * math.sqrt(count))) for name, count in pairs.items()}
    total = sum(whole.values())
    even = {name: Fraction(weight, total) for name, weight in whole.items()}
    root = schema.root.name
    if root not in even or len(even) == 1 or even[root] >= ROOT_SHARE:
        return even
    rest = 1 - even[root]
    return {name: ROOT_SHARE if name == root else share * (1 - ROOT_SHARE) / rest for name, share in even.items()}


def require_complete(schema: DatabaseSchema, given: Mapping[str, Fraction]) -> None:
    """Raise MechanismError unless all views, and no others, have a share above zero, and the shares sum to 1."""
    if set(given) != set(views(schema)) or not all(type(one) is Fraction and one > 0 for one in given.values()):
        raise MechanismError("every view needs an exact share of the budget, above zero; this is a defect of privsynth")
    if sum(given.values()) != 1:
        raise MechanismError("the views' shares of the budget do not sum to 1; this is a defect of privsynth")
