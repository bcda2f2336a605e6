"""Shadow queries: does the release answer questions about a person as releases do that were made with the person?

Must never let a shadow release be made with the real labels: who is in it is drawn at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import numpy as np
from pydantic import Field

from privsynth import progress
from privsynth.attack import Flags, Floats, Need, Outcome, Tier, View
from privsynth.errors import AuditError
from privsynth.membership import AbstractTopShare, Classes
from privsynth.records import Records

_RIDGE = 0.01
"""Added to the mean squared feature, as a share of it, so that questions asked twice can be weighed."""


@final
class ShadowQueries(AbstractTopShare):
    """The attacker fits the generator to `shadows` random halves of the targets and learns what a release shows of them.

    A question counts the released records that agree with a target on some columns, 1 to `order` of them, in classes of
    ranks for ordered ones. Each count is compared with its mean over all shadow releases; a linear discriminant, learned
    on who was in which half, adds the `queries` counts up. Nothing but halves of the targets is fitted: with released
    records among them, the shadows would show what the release shows, and hide it.
    Source: Houssiau et al. 2022 (TAPAS) for counts of random questions; one discriminant serves all targets.
    """

    name: ClassVar[str] = "shadow_queries"
    threat: ClassVar[str] = "that someone who runs the generator learns to see who is in the training data"
    tier: ClassVar[Tier] = "algorithm"
    needs: ClassVar[Need] = "the generator"

    shadows: int = Field(default=16, ge=2, le=1000)
    queries: int = Field(default=100, ge=1, le=1000)
    order: int = Field(default=3, ge=1, le=8)
    bins: int = Field(default=10, ge=2, le=1000)

    def attack(self, view: View, *, rng: np.random.Generator) -> tuple[Outcome, ...]:
        """Make the shadow releases, learn from them, and score every target in the real one."""
        if view.refit is None:
            raise AuditError("shadow releases need the generator; there is nothing to attack")
        rows, queries = view.targets.rows, self._queries(len(view.targets.ticks), rng)
        inside = np.array([rng.permutation(rows) < (rows + 1) // 2 for _ in range(self.shadows)])
        counts = np.empty((self.shadows, rows, len(queries)), dtype=np.float32)
        for number, half in enumerate(inside):
            progress.report("audit: shadow queries", number, self.shadows)
            counts[number] = self._counts(view.refit(view.targets.take(half), rng), view.targets, queries)
        usual = counts.mean(axis=0)
        scale = np.sqrt(usual + 1)
        weights = _discriminant((counts - usual) / scale, inside)
        score = ((self._counts(view.synthetic, view.targets, queries) - usual) / scale) @ weights
        return self.called("shadow queries", score.astype(np.float64))

    def _queries(self, columns: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
        """Columns to agree on, drawn at random, each question once."""
        sizes = rng.integers(1, min(self.order, columns) + 1, self.queries)
        drawn = (tuple(sorted(rng.permutation(columns)[:size].tolist())) for size in sizes)
        return list(dict.fromkeys(drawn))

    def _counts(self, release: Records, targets: Records, queries: Sequence[tuple[int, ...]]) -> Floats:
        """How many of a release's records agree with each target, for a release as large as half of the targets.

        Shapes: (targets, queries).
        """
        classes = Classes.of(release, targets, self.bins, ranks=targets)
        answers = np.empty((targets.rows, len(queries)))
        for number, columns in enumerate(queries):
            cells = classes.cells(columns)
            found = np.bincount(cells[: release.rows], minlength=int(cells.max()) + 1)
            answers[:, number] = found[cells[release.rows :]]
        return answers * (targets.rows / 2 / release.rows)


def _discriminant(features: Floats, inside: Flags) -> Floats:
    """The weights that best tell, from the features of all targets in all shadows, which targets were in which half.

    Shapes: (queries,), from (shadows, targets, queries) and (shadows, targets).
    """
    queries = features.shape[2]
    products = sum((each.T @ each for each in features), start=np.zeros((queries, queries)))
    towards = sum((each.T @ (half - 0.5) for each, half in zip(features, inside, strict=True)), start=np.zeros(queries))
    ridge = _RIDGE * float(np.trace(products)) / queries + 1e-9
    return np.linalg.solve(products + ridge * np.eye(queries), towards)


ATTACK = ShadowQueries
