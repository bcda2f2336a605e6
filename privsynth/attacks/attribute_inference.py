"""Attribute inference: can a person's secret be guessed better because the person was in the training data?

Must never call a good guess a leak by itself: what is guessed as well for people who were not in the data is knowledge of
the population, which a useful release is there to give.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from privsynth import progress
from privsynth.attack import AbstractAttack, Outcome, Tier, View
from privsynth.proximity import Gower, kth_smallest

Codes = npt.NDArray[np.integer]


@final
class AttributeInference(AbstractAttack):
    """The attacker knows all of a person but one value, and takes it from the most similar released records.

    The `neighbours` nearest records (and all at the same distance) vote: the commonest label, or the middle rank, which is
    right within `tolerance` of all ranks. Every column declared sensitive is attacked; where none is, the `undeclared`
    columns whose commonest released value is rarest, quasi-identifying ones aside.
    """

    name: ClassVar[str] = "attribute_inference"
    threat: ClassVar[str] = "that a secret of a person can be read off the release by someone who knows the rest"
    tier: ClassVar[Tier] = "release and auxiliary data"

    neighbours: int = Field(default=1, ge=1)
    tolerance: float = Field(default=0.05, ge=0, lt=0.5)
    undeclared: int = Field(default=3, ge=1)

    def attack(self, view: View, *, rng: np.random.Generator) -> tuple[Outcome, ...]:  # noqa: ARG002
        """Guess every secret of every target."""
        names = tuple(view.targets.ticks)
        gower = Gower(view.synthetic, names)
        secrets = self._secrets(view, gower)
        points = gower.points(view.targets)
        right = np.zeros((len(secrets), view.targets.rows), dtype=bool)
        for index in range(view.targets.rows):
            if index % 500 == 0:
                progress.report("audit: attribute inference", 100 * index // view.targets.rows, 100)
            distance = gower.distances(points, index)
            # One column adds at most one step, so who is nearest without it is at most one step farther with it.
            near = np.flatnonzero(distance <= kth_smallest(distance, self.neighbours) + gower.step)
            for row, name in enumerate(secrets):
                known = distance[near] - gower.part(name, points, index, near)
                votes = gower.codes(name)[near[known <= kth_smallest(known, self.neighbours)]]
                right[row, index] = self._right(gower, name, votes, points[name][index : index + 1])[0]
        attempted = np.ones(view.targets.rows, dtype=bool)
        return tuple(
            Outcome(
                label=f"attribute inference: {name}",
                success=right[row],
                attempted=attempted,
                baseline=float(self._right(gower, name, gower.codes(name), points[name]).mean()),
            )
            for row, name in enumerate(secrets)
        )

    def _secrets(self, view: View, gower: Gower) -> list[str]:
        modelled = view.schema.modelled
        declared = [column.name for column in modelled if column.role == "sensitive"]
        open_to_choice = [column.name for column in modelled if column.role != "quasi"] or [modelled[0].name]

        def commonest(name: str) -> int:
            return int(np.unique(gower.codes(name), return_counts=True)[1].max())

        return declared or sorted(open_to_choice, key=commonest)[: self.undeclared]

    def _right(self, gower: Gower, name: str, votes: Codes, truth: Codes) -> npt.NDArray[np.bool_]:
        """Whether the guess that these votes make is right, for each true code."""
        if name in gower.nominal:
            return np.asarray(truth == np.bincount(votes).argmax())
        middle = int(np.sort(votes)[(len(votes) - 1) // 2])
        return np.asarray(np.abs(truth.astype(np.int64) - middle) <= self.tolerance * gower.step)


ATTACK = AttributeInference
