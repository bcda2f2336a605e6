"""Near match: do members lie closer to the release than other people do?

Must never judge by a distance alone: the threshold comes from members and controls together, so that it favours neither.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np

from privsynth import progress
from privsynth.attack import Outcome, Tier, View
from privsynth.membership import AbstractTopShare
from privsynth.neighbours import Neighbours


@final
class NearMatch(AbstractTopShare):
    """The attacker calls the targets that lie nearest to a released record members.

    The nearest `share` of all targets are called so (more where distances are equal). Without a leak, as many of them are
    controls as members: given the distances, which targets are members is a draw without replacement.
    """

    name: ClassVar[str] = "near_match"
    threat: ClassVar[str] = "that a released record lies so near to a person's that it gives the person away"
    tier: ClassVar[Tier] = "release and auxiliary data"

    def attack(self, view: View, *, rng: np.random.Generator) -> tuple[Outcome, ...]:  # noqa: ARG002
        """Measure every target's distance to its nearest released record, exactly."""
        progress.report("audit: near match", 0, 1)
        search = Neighbours(view.synthetic, tuple(view.targets.ticks))
        distances, _ = search.nearest(search.gower.points(view.targets), 1)
        return self.called("near match", -distances[:, 0].astype(np.float64))


ATTACK = NearMatch
