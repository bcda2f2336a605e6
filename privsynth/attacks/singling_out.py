"""Singling out: does the release yield conditions that isolate one person?

Must never test a condition on members and controls apart: a table's size decides what is unique in it.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from privsynth import progress
from privsynth.attack import AbstractAttack, Outcome, Tier, View
from privsynth.proximity import is_nominal, rank_codes
from privsynth.records import MISSING, Records

_LARGEST_KEY = 1 << 62


@final
class SinglingOut(AbstractAttack):
    """The attacker takes combinations of values that one released record alone has, and claims that they fit one person.

    Each target is tried once, with `columns_min` to `columns_max` columns drawn at random; ordered columns are cut into
    `bins` classes of equally many released records. It is singled out when exactly one released record has its values there
    and no other target has them. Which targets are unique does not depend on who is a member, so without a leak as many
    controls as members are singled out.
    Source: Article 29 Working Party, opinion 05/2014; Giomi et al. 2023, with the control table joined to the members'.
    """

    name: ClassVar[str] = "singling_out"
    threat: ClassVar[str] = "that some values in the release fit one person only"
    tier: ClassVar[Tier] = "release only"

    columns_min: int = Field(default=2, ge=1)
    columns_max: int = Field(default=12, ge=1)
    bins: int = Field(default=10, ge=2, le=1000)
    combinations: int = Field(default=64, ge=1, le=10_000)

    def attack(self, view: View, *, rng: np.random.Generator) -> tuple[Outcome, ...]:
        """Draw combinations of columns, deal the targets out to them, and count who else has the same values."""
        released, targets = self._classes(view.synthetic, view.synthetic), self._classes(view.targets, view.synthetic)
        columns = len(released)
        dealt = rng.integers(self.combinations, size=view.targets.rows)
        success = np.zeros(view.targets.rows, dtype=bool)
        for combination in range(self.combinations):
            progress.report("audit: singling out", combination, self.combinations)
            size = rng.integers(min(self.columns_min, columns), min(self.columns_max, columns), endpoint=True)
            chosen = rng.choice(columns, size=size, replace=False)
            mine = np.flatnonzero(dealt == combination)
            keys = _keys([np.concatenate([released[column], targets[column]]) for column in chosen])
            ours, theirs = np.sort(keys[: view.synthetic.rows]), keys[view.synthetic.rows :]
            success[mine] = (_occurrences(ours, theirs[mine]) == 1) & (_occurrences(np.sort(theirs), theirs[mine]) == 1)
        attempted = np.ones(view.targets.rows, dtype=bool)
        return (Outcome(label="singling out", success=success, attempted=attempted, baseline=0.0),)

    def _classes(self, records: Records, release: Records) -> list[npt.NDArray[np.int64]]:
        """Each column as small whole numbers from 0: labels (missing is 0), or the class among the released ranks."""
        classes = []
        for name, ticks in records.ticks.items():
            if is_nominal(records, name):
                classes.append(np.where(ticks == MISSING, 0, ticks + 1))
            else:
                classes.append(rank_codes(ticks, release.ticks[name], self.bins))
        return classes


def _keys(columns: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    """One number a row, equal exactly when the rows are equal."""
    keys, largest = columns[0], int(columns[0].max(initial=0))
    for column in columns[1:]:
        size = int(column.max(initial=0)) + 1
        if (largest + 1) * size > _LARGEST_KEY:
            keys = np.unique(keys, return_inverse=True)[1]
            largest = int(keys.max(initial=0))
        keys = keys * size + column
        largest = (largest + 1) * size - 1
    return keys


def _occurrences(ordered: npt.NDArray[np.int64], keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.searchsorted(ordered, keys, side="right") - np.searchsorted(ordered, keys, side="left")


ATTACK = SinglingOut
