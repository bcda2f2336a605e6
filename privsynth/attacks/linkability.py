"""Linkability: does the release join two files that hold different facts about the same person?

Must never count a link that chance explains: how often controls' halves are linked is what chance explains.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
from pydantic import Field

from privsynth import progress
from privsynth.attack import AbstractAttack, Outcome, Tier, View
from privsynth.neighbours import joined


@final
class Linkability(AbstractAttack):
    """The attacker holds two files, each with half of the columns, and looks for the released records nearest to each half.

    A target's halves are linked when some released record is among the `neighbours` nearest to both. Records that are
    equally far are among the nearest together or not at all, so that at most `neighbours` are, and their order in the
    release is nothing. Where roles are declared, the quasi-identifying columns are one file and the others the other;
    else columns are dealt at random, `deals` times, and a target is linked when one deal links it.
    Source: Article 29 Working Party, opinion 05/2014; Giomi et al. 2023.
    """

    name: ClassVar[str] = "linkability"
    threat: ClassVar[str] = "that the release joins two files about the same person"
    tier: ClassVar[Tier] = "release and auxiliary data"

    neighbours: int = Field(default=5, ge=1, le=1000)
    deals: int = Field(default=1, ge=1, le=100)

    def attack(self, view: View, *, rng: np.random.Generator) -> tuple[Outcome, ...]:
        """Try to link every target's halves."""
        halves = self._halves(view, rng)
        linked = np.zeros(view.targets.rows, dtype=bool)
        for number, (left, right) in enumerate(halves):
            progress.report("audit: linkability", number, len(halves))
            linked |= joined(view.synthetic, view.targets, left, right, self.neighbours)
        attempted = np.ones(view.targets.rows, dtype=bool)
        return (Outcome(label="linkability", success=linked, attempted=attempted, baseline=0.0),)

    def _halves(self, view: View, rng: np.random.Generator) -> list[tuple[list[str], list[str]]]:
        names = [column.name for column in view.schema.modelled]
        quasi = [column.name for column in view.schema.modelled if column.role == "quasi"]
        if 0 < len(quasi) < len(names):
            return [(quasi, [name for name in names if name not in quasi])]
        dealt = [rng.permutation(len(names)).tolist() for _ in range(self.deals if len(names) > 1 else 0)]
        middle = len(names) // 2
        return [([names[place] for place in one[:middle]], [names[place] for place in one[middle:]]) for one in dealt]


ATTACK = Linkability
