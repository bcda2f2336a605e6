"""Near match: do members lie closer to the release than other people do?

Must never judge by a distance alone: the threshold comes from members and controls together, so that it favours neither.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
from pydantic import Field

from privsynth import progress
from privsynth.attack import AbstractAttack, Outcome, Tier, View
from privsynth.neighbours import Neighbours


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

    @property
    def largest_excess(self) -> float:
        """Twice the share of targets that are called: all of these members."""
        return min(1.0, 2 * self.share)

    def attack(self, view: View, *, rng: np.random.Generator) -> tuple[Outcome, ...]:  # noqa: ARG002
        """Measure every target's distance to its nearest released record, exactly."""
        progress.report("audit: near match", 0, 1)
        search = Neighbours(view.synthetic, tuple(view.targets.ticks))
        distances, _ = search.nearest(search.gower.points(view.targets), 1)
        nearest = distances[:, 0].astype(np.int64)
        threshold = np.sort(nearest)[int(np.ceil(self.share * len(nearest))) - 1]
        return (
            Outcome(
                label="near match",
                success=nearest <= threshold,
                attempted=np.ones(len(nearest), dtype=bool),
                baseline=self.share,
                score=-nearest.astype(np.float64),
            ),
        )


ATTACK = NearMatch
