"""Effects: which columns a what-if moves, and by how much, told from the two models alone.

Must never be read as a prediction: that what depends on a column follows it is the model's assumption.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from privsynth.errors import InputError
from privsynth.model import Model
from privsynth.raking import columns_of
from privsynth.schema.levels import level_names

_TOLD = 10


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """How far one column moved: total variation, and the level whose share changed most. Units: shares from 0 to 1."""

    column: str
    declared: bool
    total_variation: float
    level: str
    before: float
    after: float

    def line(self) -> str:
        """The effect in words."""
        declared = ", as declared" if self.declared else ""
        return (
            f"{self.column}: total variation {self.total_variation:.3f}{declared}; "
            f"{self.level} from {self.before:.1%} to {self.after:.1%}"
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """Every column's effect, declared ones first, then those that followed, the most moved first."""

    columns: tuple[Effect, ...]

    def to_json(self) -> dict[str, object]:
        """A JSON object."""
        return {
            "columns": [
                {
                    "column": one.column,
                    "declared": one.declared,
                    "totalVariation": round(one.total_variation, 6),
                    "level": one.level,
                    "before": round(one.before, 6),
                    "after": round(one.after, 6),
                }
                for one in self.columns
            ]
        }

    def lines(self) -> list[str]:
        """The declared columns, and the others that moved most."""
        declared = [one for one in self.columns if one.declared]
        followed = [one for one in self.columns if not one.declared]
        shown = [*declared, *followed[:_TOLD]]
        rest = len(self.columns) - len(shown)
        return [one.line() for one in shown] + ([f"{rest} more columns moved less"] if rest else [])


def scenario_effects(model: Model, shifted: Model) -> Effects:
    """What a what-if changes of every column's own table.

    Privacy: from the models alone; spends nothing.
    Raises: InputError where the second is no what-if of the first's schema.
    """
    if not shifted.shifts or model.schema.modelled != shifted.schema.modelled:
        raise InputError(
            "expected a model and one that was shifted from it: scenario_effects(model, model.shifted(...))"
        )
    declared = set(columns_of(shifted.shifts[len(model.shifts) :]))
    found = []
    for column in model.schema.modelled:
        tables = [each.project((column.name,)) for each in (model, shifted)]
        before, after = (table / table.sum() for table in tables)
        place = int(np.abs(after - before).argmax())
        found.append(
            Effect(
                column=column.name,
                declared=column.name in declared,
                total_variation=float(np.abs(after - before).sum() / 2),
                level=level_names(column)[place],
                before=float(before[place]),
                after=float(after[place]),
            )
        )
    return Effects(columns=tuple(sorted(found, key=lambda one: (not one.declared, -one.total_variation))))
