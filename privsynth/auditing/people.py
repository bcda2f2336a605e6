"""The people that an audit tries: members and controls, one row each, drawn so that chance alone tells them apart.

Must never pick people by anything that differs between the two groups but for the release itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth import progress
from privsynth.attack import AbstractAttack, Refit, Target, one_row_a_unit, together
from privsynth.auditing import overlap, recounting
from privsynth.errors import AuditError
from privsynth.measurement import Transcript
from privsynth.neighbours import isolation
from privsynth.private import Private
from privsynth.records import Records
from privsynth.schema import Schema

_NEIGHBOURS = 5
"""Whose distance makes a person isolated. Source: Meeus et al. 2023."""


Places = npt.NDArray[np.int64]


class AbstractPeople(ABC):
    """Members and controls of an audit, each group in random order, and the releases that they are tried against."""

    @property
    @abstractmethod
    def available(self) -> int:
        """How many people there are in the smaller group."""

    @property
    @abstractmethod
    def all_controls(self) -> int:
        """How many controls there are in all."""

    @abstractmethod
    def target(self, size: int) -> Target:
        """The first `size` people of each group."""

    @abstractmethod
    def most_isolated(self, pool: int, share: float) -> Target:
        """Of the first `pool` people of each group, the share that is farthest from all others, equally many of each group."""

    @abstractmethod
    def planted(self, size: int, copies: int) -> Target:
        """The first `size` people of each group, and a release made up of the first `copies` members and of released people.

        It has as many people as members, where the release has enough; where there are noisy answers, they count exactly what
        it holds.
        """

    @abstractmethod
    def holdout(self, size: int) -> Target:
        """The first `size` people of each group, with the controls after them for a release, counted exactly."""

    @final
    def offers(self, attack: AbstractAttack) -> bool:
        """Whether the audit was given what the attack needs."""
        return attack.possible(self.target(1))

    @final
    def size_for(self, wanted: int) -> int:
        """`wanted`, halved until both groups have so many: a round number, which does not give away how many there are."""
        while wanted > self.available:
            wanted = max(1, wanted // 2)
        return wanted


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class People(AbstractPeople):
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

    @property
    def available(self) -> int:
        """How many people there are in the smaller group."""
        return min(self.members.open().rows, self.controls.open().rows)

    @property
    def all_controls(self) -> int:
        """How many controls there are in all."""
        return self.controls.open().rows

    def target(self, size: int) -> Target:
        """The first `size` people of each group."""
        return self._target(np.arange(size), np.arange(size))

    def most_isolated(self, pool: int, share: float) -> Target:
        """Of the first `pool` people of each group, the share that is farthest from all others (see `isolated_places`)."""
        both = together(self.members.open().take(np.arange(pool)), self.controls.open().take(np.arange(pool)))
        return self._target(*isolated_places(both, pool, share))

    def planted(self, size: int, copies: int) -> Target:
        """The first `size` people of each group, and a release of which `copies` rows are members'."""
        target = self.target(size)
        members = target.members.open()
        rest = target.synthetic.take(np.arange(min(target.synthetic.rows, members.rows - copies)))
        return _seeing(target, together(rest, members.take(np.arange(copies))))

    def holdout(self, size: int) -> Target:
        """The first `size` people of each group, with the controls after them for a release."""
        controls = self.controls.open()
        return _seeing(self.target(size), controls.take(np.arange(size, controls.rows)))

    def _target(self, inside: npt.NDArray[np.int64], outside: npt.NDArray[np.int64]) -> Target:
        return Target(
            schema=self.schema,
            synthetic=self.synthetic,
            members=Private(self.members.open().take(inside)),
            controls=Private(self.controls.open().take(outside)),
            transcript=self.transcript,
            refit=self.refit,
        )


def _seeing(target: Target, release: Records) -> Target:
    """The target with another release, and noisy answers that count it exactly."""
    return replace(target, synthetic=release, transcript=recounting.recounted(target.transcript, release))


def isolated_places(both: Records, pool: int, share: float) -> tuple[Places, Places]:
    """Where the most isolated stand among the `pool` members and the `pool` controls that `both` holds, members first.

    Where distances are equal, all at that distance are taken. Isolation is measured among members and controls together,
    so it does not know who is a member either. Equally many of each group are named.
    Raises: AuditError when they are all of one group.
    """
    progress.report("audit: isolated people", 0, 1)
    distance = isolation(both, tuple(both.ticks), _NEIGHBOURS)
    progress.report("audit: isolated people", 1, 1)
    chosen = np.flatnonzero(distance >= np.sort(distance)[-max(2, round(2 * pool * share))])
    inside, outside = chosen[chosen < pool], chosen[chosen >= pool] - pool
    size = min(len(inside), len(outside))
    if not size:
        raise AuditError("the most isolated people are all of one group; members and controls are not comparable")
    return inside[:size], outside[:size]
