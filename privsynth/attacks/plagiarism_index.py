"""Plagiarism index: are the records nearest to a person released ones rather than other people's?

Must never let the sizes of the two tables decide: each neighbour counts by the share of its table that it is.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from privsynth import progress
from privsynth.attack import Outcome, Tier, View, together
from privsynth.membership import AbstractTopShare
from privsynth.neighbours import Neighbours
from privsynth.records import Records

_TAIL = 4
"""A neighbour's weight falls with this power of its distance."""

_BLOCK = 500
"""Targets searched at a time, between two reports of progress."""


def _different(records: Records) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The rows in which different records come first, in order, and which of these each row is."""
    table = np.ascontiguousarray(np.stack(list(records.ticks.values()), axis=1))
    rows = table.view(np.dtype((np.void, table.itemsize * table.shape[1]))).reshape(-1)
    _, first, which = np.unique(rows, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return first[order], np.argsort(order)[which]


@final
class PlagiarismIndex(AbstractTopShare):
    """The attacker calls the targets members whose nearest records are released ones rather than other targets.

    Among the `neighbours` nearest different records in both tables, the released ones' share of the weight; a record's
    weight is (1 + distance / bandwidth) ** -4, for each time that it occurs, and the two tables have the same weight in
    all. One more record of another target, as far as the last neighbour, is added: nobody's neighbours are all released.
    Source: Ward, Wang, Cheng 2024 (data plagiarism index), with weights, and all targets as the reference data.
    """

    name: ClassVar[str] = "plagiarism_index"
    threat: ClassVar[str] = "that what is nearest to a person is a released record, and not another person"
    tier: ClassVar[Tier] = "release and auxiliary data"

    neighbours: int = Field(default=30, ge=1, le=10_000)
    bandwidth: float = Field(default=0.2, gt=0, le=10)

    def attack(self, view: View, *, rng: np.random.Generator) -> tuple[Outcome, ...]:  # noqa: ARG002
        """Weigh every target's neighbours."""
        released, rows = view.synthetic.rows, view.targets.rows
        everybody = together(view.synthetic, view.targets)
        first, which = _different(everybody)
        counts = [np.bincount(part, minlength=len(first)) for part in (which[:released], which[released:])]
        search = Neighbours(everybody.take(first), tuple(view.targets.ticks))
        points = search.gower.points(view.targets)
        score = np.empty(rows)
        for start in range(0, rows, _BLOCK):
            progress.report("audit: plagiarism index", 100 * start // rows, 100)
            block = slice(start, start + _BLOCK)
            distance, near = search.nearest({name: codes[block] for name, codes in points.items()}, self.neighbours)
            weight = (1 + distance / (self.bandwidth * search.gower.step)) ** -_TAIL
            own = near == which[released:][block, None]
            copied = (weight * counts[0][near]).sum(axis=1) / released
            others = ((weight * (counts[1][near] - own)).sum(axis=1) + weight[:, -1]) / rows
            score[block] = copied / (copied + others)
        return self.called("plagiarism index", score)


ATTACK = PlagiarismIndex
