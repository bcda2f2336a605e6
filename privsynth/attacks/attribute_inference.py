"""Attribute inference: can a person's secret be guessed better because the person was in the training data?

Must never call a good guess a leak by itself: what is guessed as well for people who were not in the data is knowledge of
the population, which a useful release is there to give.
"""

from __future__ import annotations

from typing import ClassVar, Literal, TypeAlias, final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from privsynth import progress
from privsynth.attack import AbstractAttack, Flags, Outcome, Tier, View
from privsynth.neighbours import Around, Neighbours
from privsynth.proximity import Gower, Points
from privsynth.records import Records

Codes: TypeAlias = npt.NDArray[np.integer]
Int16s: TypeAlias = npt.NDArray[np.int16]
Int64s: TypeAlias = npt.NDArray[np.int64]

_FAR = np.iinfo(np.int16).max


@final
class AttributeInference(AbstractAttack):
    """The attacker knows all of a person but one value, and takes it from the most similar released records.

    The `neighbours` nearest records (and all at the same distance) vote: the commonest label, or the middle rank, which is
    right within `tolerance` of all ranks; a missing value is guessed as such. With "declared" `secrets`, every column
    declared sensitive is attacked; where none is, the `undeclared` columns whose commonest released value is rarest,
    quasi-identifying ones aside. With "every", each column is a secret in turn.
    """

    name: ClassVar[str] = "attribute_inference"
    threat: ClassVar[str] = "that a secret of a person can be read off the release by someone who knows the rest"
    tier: ClassVar[Tier] = "release and auxiliary data"

    neighbours: int = Field(default=1, ge=1)
    tolerance: float = Field(default=0.05, ge=0, lt=0.5)
    secrets: Literal["declared", "every"] = "declared"
    undeclared: int = Field(default=3, ge=1)

    def attack(self, view: View, *, rng: np.random.Generator) -> tuple[Outcome, ...]:  # noqa: ARG002
        """Guess every secret of every target."""
        copies = _copies(view.synthetic)
        search = Neighbours(view.synthetic, tuple(view.targets.ticks), rows=np.flatnonzero(copies))
        points = search.gower.points(view.targets)
        secrets = self._secrets(view, search.gower)
        found = {name: self._usual(name, search.gower).repeat(view.targets.rows) for name in secrets}
        known = len(points) > 1
        for near in search.around(points, self.neighbours, search.gower.step) if known else ():
            progress.report("audit: attribute inference", 100 * near.batch.start // view.targets.rows, 100)
            for name in secrets:
                found[name][near.batch] = self._guesses(name, search.gower, points, near, copies)
        return tuple(self._outcome(name, search.gower, points[name], guesses) for name, guesses in found.items())

    def _outcome(self, name: str, gower: Gower, truth: Codes, guesses: Int64s) -> Outcome:
        return Outcome(
            label=f"attribute inference: {name}",
            success=self._right(gower, name, guesses, truth),
            attempted=np.ones(len(truth), dtype=bool),
            baseline=float(self._right(gower, name, self._usual(name, gower), truth).mean()),
        )

    def _secrets(self, view: View, gower: Gower) -> list[str]:
        modelled = view.schema.modelled
        if self.secrets == "every":
            return [column.name for column in modelled]
        declared = [column.name for column in modelled if column.role == "sensitive"]
        open_to_choice = [column.name for column in modelled if column.role != "quasi"] or [modelled[0].name]

        def commonest(name: str) -> int:
            return int(np.unique(gower.codes(name), return_counts=True)[1].max())

        return declared or sorted(open_to_choice, key=commonest)[: self.undeclared]

    def _guesses(self, name: str, gower: Gower, points: Points, near: Around, copies: Int64s) -> Int64s:
        """What the released records nearest to each target, this column aside, have in it. Shapes: (targets of the batch,)."""
        mine = {name: points[name][near.batch]}
        distances = near.distances - gower.part(name, mine, near.owners, near.rows)
        # Without the column nothing is farther away, so that the k-th nearest with it is a limit without it too.
        kept = distances <= near.limits[near.owners]
        owners, rows, distances = near.owners[kept], near.rows[kept], distances[kept]
        kept = _nearest(owners, distances, copies[rows], self.neighbours)
        owners, rows = owners[kept], rows[kept]
        return _vote(owners, gower.codes(name)[rows], copies[rows], ordered=name in gower.ordinal)

    @staticmethod
    def _usual(name: str, gower: Gower) -> Int64s:
        """The guess of somebody who knows the release's column and nothing of the target."""
        codes = gower.codes(name)
        return _vote(
            np.zeros(len(codes), dtype=np.int64),
            codes,
            np.ones(len(codes), dtype=np.int64),
            ordered=name in gower.ordinal,
        )

    def _right(self, gower: Gower, name: str, guesses: Int64s, truth: Codes) -> Flags:
        """Which guesses are right: the label, or a rank that is near enough."""
        allowed = 0.0 if name in gower.nominal else self.tolerance * gower.step
        return np.asarray(np.abs(truth.astype(np.int64) - guesses) <= allowed)


def _copies(records: Records) -> Int64s:
    """How often each record stands in the table, at the first of its copies; 0 at the others. Shapes: (rows,)."""
    keys = np.zeros(records.rows, dtype=np.int64)
    for ticks in records.ticks.values():
        values = np.unique(ticks, return_inverse=True)[1]
        keys = np.unique(keys * (int(values.max()) + 1) + values, return_inverse=True)[1]
    copies = np.zeros(records.rows, dtype=np.int64)
    first, counts = np.unique(keys, return_index=True, return_counts=True)[1:]
    copies[first] = counts
    return copies


def _nearest(owners: Int64s, distances: Int16s, copies: Int64s, k: int) -> Flags:
    """Which records are among their owner's k nearest, copies counted, or as far as the last of them.

    Shapes: all (pairs,); owners ascend.
    """
    order = np.lexsort((distances, owners))
    starts, which = np.unique(owners, return_index=True, return_inverse=True)[1:]
    upto = np.cumsum(copies[order])
    before = upto[starts] - copies[order[starts]]
    enough = upto - before[which] >= k
    limits = np.minimum.reduceat(np.where(enough, distances[order], _FAR), starts)
    return np.asarray(distances <= limits[which])


def _vote(owners: Int64s, codes: Codes, copies: Int64s, *, ordered: bool) -> Int64s:
    """What the records near each target agree on: the commonest code, the lowest of equals, or the lower middle one.

    Shapes: a record's owner (ascending, each at least once), code and number of copies; one code an owner.
    """
    order = np.lexsort((codes, owners))
    sorted_codes: Int64s = codes[order].astype(np.int64)
    starts = np.flatnonzero(np.append(True, (np.diff(owners[order]) != 0) | (np.diff(sorted_codes) != 0)))
    owners, choices, votes = owners[order][starts], sorted_codes[starts], np.add.reduceat(copies[order], starts)
    firsts = np.flatnonzero(np.append(True, np.diff(owners) != 0))
    if not ordered:
        commonest: Int64s = choices[np.lexsort((choices, -votes, owners))[firsts]]
        return commonest
    before = np.cumsum(votes)[firsts] - votes[firsts]
    totals = np.add.reduceat(votes, firsts)
    middle: Int64s = choices[np.searchsorted(np.cumsum(votes), before + (totals - 1) // 2, side="right")]
    return middle


ATTACK = AttributeInference
