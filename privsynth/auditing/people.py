"""The people that an audit tries: members and controls, one row each, drawn so that chance alone tells them apart.

Must never pick people by anything that differs between the two groups but for the release itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth import progress
from privsynth.attack import AbstractAttack, Refit, Target, one_row_a_unit, together
from privsynth.auditing import overlap
from privsynth.errors import AuditError
from privsynth.measurement import Transcript
from privsynth.neighbours import isolation
from privsynth.private import Private
from privsynth.records import Records
from privsynth.schema import Schema

_NEIGHBOURS = 5
"""Whose distance makes a person isolated. Source: Meeus et al. 2023."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class People:
    """All members and controls of an audit, one row of each, in random order."""

    schema: Schema
    synthetic: Records
    members: Private[Records]
    controls: Private[Records]
    transcript: Transcript | None = None
    refit: Refit | None = None

    @classmethod
    def draw(
        cls,
        *,
        schema: Schema,
        synthetic: Records,
        members: Private[Records],
        controls: Private[Records],
        rng: np.random.Generator,
        transcript: Transcript | None = None,
        refit: Refit | None = None,
    ) -> People:
        """Shuffle both groups and keep one row a privacy unit.

        Raises: AuditError when the schema leaves something open, a table is empty, or somebody is in both groups (see
            `overlap`).
        """
        if schema.unresolved:
            raise AuditError("an audit needs a schema with nothing left to buy: declare every category and bound")
        inside, outside = members.open(), controls.open()
        if not synthetic.rows or not inside.rows or outside.rows < 2:
            raise AuditError("an audit needs a release, members and at least two controls; one of the tables is empty")
        overlap.require_apart(inside, outside, rng=rng)
        return cls(
            schema=schema,
            synthetic=synthetic,
            members=Private(one_row_a_unit(inside, rng)),
            controls=Private(one_row_a_unit(outside, rng)),
            transcript=transcript,
            refit=refit,
        )

    def offers(self, attack: AbstractAttack) -> bool:
        """Whether the audit was given what the attack needs."""
        return attack.possible(self.target(1))

    def size_for(self, wanted: int) -> int:
        """`wanted`, halved until both groups have so many: a round number, which does not give away how many there are."""
        available = min(self.members.open().rows, self.controls.open().rows)
        while wanted > available:
            wanted = max(1, wanted // 2)
        return wanted

    def target(self, size: int) -> Target:
        """The first `size` people of each group."""
        return self._target(np.arange(size), np.arange(size))

    def most_isolated(self, pool: int, share: float) -> Target:
        """Of `pool` people of each group, the share that is farthest from all others, equally many of each group.

        Where distances are equal, all at that distance are taken. Isolation is measured among members and controls
        together, so it does not know who is a member either.
        """
        both = together(self.members.open().take(np.arange(pool)), self.controls.open().take(np.arange(pool)))
        progress.report("audit: isolated people", 0, 1)
        distance = isolation(both, tuple(both.ticks), _NEIGHBOURS)
        progress.report("audit: isolated people", 1, 1)
        chosen = np.flatnonzero(distance >= np.sort(distance)[-max(2, round(2 * pool * share))])
        inside, outside = chosen[chosen < pool], chosen[chosen >= pool] - pool
        size = min(len(inside), len(outside))
        if not size:
            raise AuditError("the most isolated people are all of one group; members and controls are not comparable")
        return self._target(inside[:size], outside[:size])

    def _target(self, inside: npt.NDArray[np.int64], outside: npt.NDArray[np.int64]) -> Target:
        return Target(
            schema=self.schema,
            synthetic=self.synthetic,
            members=Private(self.members.open().take(inside)),
            controls=Private(self.controls.open().take(outside)),
            transcript=self.transcript,
            refit=self.refit,
        )
