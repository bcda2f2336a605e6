"""Near match: do members lie closer to the release than other people do?

Must never judge by a distance alone: the threshold comes from members and controls together, so that it favours neither.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
from pydantic import Field

from privsynth import progress
from privsynth.attack import AbstractAttack, Outcome, Tier, View
from privsynth.proximity import Gower


@final
class NearMatch(AbstractAttack):
    """The attacker calls the targets that lie nearest to a released record members.

    The nearest `share` of all targets are called so (more where distances are equal). Without a leak, as many of them are
    controls as members: given the distances, which targets are members is a draw without replacement.
    """

    name: ClassVar[str] = "near_match"
    threat: ClassVar[str] = "that a released record lies so near to a person's that it gives the person away"
    tier: ClassVar[Tier] = "release and auxiliary data"

    share: float = Field(default=0.1, gt=0, le=0.5)

    def attack(self, view: View, *, rng: np.random.Generator) -> tuple[Outcome, ...]:  # noqa: ARG002
        """Measure every target's distance to its nearest released record, exactly."""
        gower = Gower(view.synthetic, tuple(view.targets.ticks))
        points = gower.points(view.targets)
        nearest = np.empty(view.targets.rows, dtype=np.int16)
        for index in range(view.targets.rows):
            nearest[index] = gower.distances(points, index).min()
            if index % 500 == 0:
                progress.report("audit: near match", 100 * index // view.targets.rows, 100)
        threshold = np.sort(nearest)[int(np.ceil(self.share * len(nearest))) - 1]
        attempted = np.ones(view.targets.rows, dtype=bool)
        return (Outcome(label="near match", success=nearest <= threshold, attempted=attempted, baseline=self.share),)


ATTACK = NearMatch
