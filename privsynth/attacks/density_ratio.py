"""Density ratio: is the release denser around a person than the population is?

Must never take a dense place for a leak: what the other targets are as dense around is knowledge of the population.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
from pydantic import Field

from privsynth import progress
from privsynth.attack import Outcome, Tier, View, together
from privsynth.membership import AbstractTopShare
from privsynth.proximity import Gower

_TAIL = 8
"""The kernel's tail falls with this power of the distance."""


@final
class DensityRatio(AbstractTopShare):
    """The attacker calls the targets members around whom the release is densest, compared with the other targets.

    A density is the mean over a table's records of (1 + distance / bandwidth) ** -8, with Gower's distance: a kernel with
    a tail, so that a lone record has a density too. The `bandwidth` is a share of what one column can differ by.
    Source: van Breugel, Sun, Qian, van der Schaar 2023 (DOMIAS), with all targets as the reference data.
    """

    name: ClassVar[str] = "density_ratio"
    threat: ClassVar[str] = (
        "that the release is denser around the people in the training data, which tells who they are"
    )
    tier: ClassVar[Tier] = "release and auxiliary data"

    bandwidth: float = Field(default=0.2, gt=0, le=10)

    def attack(self, view: View, *, rng: np.random.Generator) -> tuple[Outcome, ...]:  # noqa: ARG002
        """Compare both densities at every target."""
        released, rows = view.synthetic.rows, view.targets.rows
        gower = Gower(together(view.synthetic, view.targets), tuple(view.targets.ticks))
        points = gower.points(view.targets)
        farthest = len(view.targets.ticks) * gower.step
        kernel = (1 + np.arange(farthest + 1) / (self.bandwidth * gower.step)) ** -_TAIL
        score = np.empty(rows)
        for index in range(rows):
            if index % 500 == 0:
                progress.report("audit: density ratio", 100 * index // rows, 100)
            near = kernel[gower.distances(points, index)]
            near[released + index] = 0.0
            score[index] = np.log(near[:released].sum()) - np.log(near[released:].sum())
        return self.called("density ratio", score)


ATTACK = DensityRatio
