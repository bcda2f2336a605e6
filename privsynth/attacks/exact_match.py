"""Exact match: does a person's own record stand in the release?

Must never count a match as a leak by itself: how often controls match is what chance explains.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar, final

import numpy as np

from privsynth.attack import AbstractAttack, Flags, Outcome, Tier, View
from privsynth.records import Records


def _rows(records: Records, names: Sequence[str]) -> list[bytes]:
    """Each record's ticks in these columns as bytes: equal exactly when the ticks are."""
    table = np.ascontiguousarray(np.stack([records.ticks[name] for name in names], axis=1))
    rows = table.view(np.dtype((np.void, table.itemsize * table.shape[1]))).reshape(-1)
    return [row.tobytes() for row in rows]


def _matches(view: View, names: Sequence[str]) -> Flags:
    released, targets = set(_rows(view.synthetic, names)), _rows(view.targets, names)
    owners = Counter(targets)
    return np.array([row in released and owners[row] == 1 for row in targets], dtype=bool)


@final
class ExactMatch(AbstractAttack):
    """The attacker knows a whole record, or its quasi-identifying and sensitive part, and looks it up.

    A match counts for a target whose record no other target shares: to find a common record tells of nobody.
    """

    name: ClassVar[str] = "exact_match"
    threat: ClassVar[str] = "that a person's own record was copied into the release"
    tier: ClassVar[Tier] = "release and auxiliary data"

    def attack(self, view: View, *, rng: np.random.Generator) -> tuple[Outcome, ...]:  # noqa: ARG002
        """Look every target up: all columns, and where roles are declared, the quasi-identifying and sensitive ones."""
        every = [column.name for column in view.schema.modelled]
        declared = [column.name for column in view.schema.modelled if column.role in ("quasi", "sensitive")]
        attempted = np.ones(view.targets.rows, dtype=bool)
        looked_up = {"exact match": every}
        if declared and declared != every:
            looked_up["exact match of declared columns"] = declared
        return tuple(
            Outcome(label=label, success=_matches(view, names), attempted=attempted, baseline=0.0)
            for label, names in looked_up.items()
        )


ATTACK = ExactMatch
